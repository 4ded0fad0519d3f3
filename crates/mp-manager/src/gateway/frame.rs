//! Frames: CPython's, `multiprocessing.connection`'s, for either protocol.
//!
//! | bytes | meaning |
//! |---|---|
//! | 4, big-endian, signed | the length of what follows; -1: it is in the next 8 bytes |
//! | 8, big-endian | the length, for more than 2 GiB - 1 |
//! | the length | the frame |
//!
//! What a length claims is compared with the limit before anything is allocated, and memory grows with what has come.

use std::fmt;

/// The least that is read at once.
const READ: usize = 64 << 10;

/// A frame that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFrame {
    /// It would be longer than is allowed.
    TooLong(u64),
    /// Its length makes no sense.
    Negative,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadFrame::TooLong(len) => write!(f, "a frame of {len} bytes is longer than is allowed"),
            BadFrame::Negative => f.write_str("a frame of negative length"),
        }
    }
}

/// The bytes that have come and were not used yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Where the first frame begins that was not given out.
    start: usize,
    /// Where the bytes end that have come; room after it.
    end: usize,
}

impl Input {
    /// Room to read into: at least what is still missing of a frame that has begun, but not much more than has come.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.bytes.len() - self.end < READ {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < READ {
            let grown = (self.end + READ).max(self.end * 2);
            self.bytes.resize(grown, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes have come into the room.
    pub(crate) fn came(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Gives memory back that a large frame has needed, where nothing is pending.
    pub(crate) fn rest(&mut self) {
        if self.start == self.end && self.bytes.len() > READ {
            *self = Input::default();
        }
    }

    /// The next whole frame, if it is there.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<&[u8]>, BadFrame> {
        let there = &self.bytes[self.start..self.end];
        let Some((short, rest)) = there.split_first_chunk::<4>() else { return Ok(None) };
        let (header, len) = match i32::from_be_bytes(*short) {
            -1 => match rest.first_chunk::<8>() {
                Some(long) => (12, u64::from_be_bytes(*long)),
                None => return Ok(None),
            },
            len => (4, u64::try_from(len).map_err(|_| BadFrame::Negative)?),
        };
        if len > limit as u64 {
            return Err(BadFrame::TooLong(len));
        }
        let whole = header + len as usize;
        if there.len() < whole {
            return Ok(None);
        }
        let from = self.start + header;
        self.start += whole;
        Ok(Some(&self.bytes[from..self.start]))
    }
}

/// Begins a frame at the end of `out`; [`end`] writes its length.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend([0; 4]);
    at
}

/// Ends the frame that was begun there.
pub(crate) fn end(out: &mut Vec<u8>, at: usize) {
    let len = out.len() - at - 4;
    match i32::try_from(len) {
        Ok(short) => out[at..at + 4].copy_from_slice(&short.to_be_bytes()),
        Err(_) => {
            out[at..at + 4].copy_from_slice(&(-1_i32).to_be_bytes());
            out.splice(at + 4..at + 4, (len as u64).to_be_bytes());
        }
    }
}

/// Appends a whole frame.
pub(crate) fn write(out: &mut Vec<u8>, content: &[u8]) {
    let at = begin(out);
    out.extend_from_slice(content);
    end(out, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(input: &mut Input, bytes: &[u8]) {
        for byte in bytes {
            input.room()[0] = *byte;
            input.came(1);
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let mut out = Vec::new();
        write(&mut out, b"one");
        write(&mut out, b"");
        write(&mut out, &[7; 100_000]);
        let mut input = Input::default();
        let mut frames = Vec::new();
        for chunk in out.chunks(7) {
            feed(&mut input, chunk);
            while let Some(frame) = input.next(1 << 20).unwrap() {
                frames.push(frame.to_vec());
            }
        }
        assert_eq!(frames, [b"one".to_vec(), Vec::new(), vec![7; 100_000]]);
        input.rest();
        assert_eq!(input.bytes.capacity(), 0);
    }

    #[test]
    fn a_long_length_is_read_and_a_claim_costs_nothing() {
        let mut input = Input::default();
        feed(&mut input, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 2, 8, 9]);
        assert_eq!(input.next(2).unwrap(), Some(&[8, 9][..]));
        feed(&mut input, &i32::MAX.to_be_bytes());
        assert_eq!(input.next(1 << 20), Err(BadFrame::TooLong(i32::MAX as u64)));
        let mut input = Input::default();
        feed(&mut input, &(-2_i32).to_be_bytes());
        assert_eq!(input.next(1 << 20), Err(BadFrame::Negative));
        assert!(input.bytes.capacity() <= 2 * READ);
    }
}

//! Frames: what lies in a stream.
//!
//! A frame is a head of eight bytes and a payload, padded to whole words, so that a head is never cut by the end of the ring:
//!
//! ```text
//! length of the payload(32) | kind(8) | codec(8) | tag(16)
//! ```
//!
//! | kind | payload |
//! |---|---|
//! | `WHOLE` | a message |
//! | `FIRST` | the length of a message (8 bytes) that is too large for one frame, and its first part |
//! | `MORE` | a part of it |
//! | `LAST` | the last part of it |
//! | `CELL` | nothing; the length is the number of the cell that holds the message, the tag its lap ([`crate::cells`]); the codec is that of bytes, or nothing |
//!
//! A message in parts is never mixed with another: its writer has the turn until `LAST`. If it dies before that, `WHOLE`, `FIRST`, `CELL`
//! or the end of the stream come in the place of the next part, and the reader knows (*torn*).

/// The bytes of a head.
pub(crate) const HEAD: u64 = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Whole = 1,
    First = 2,
    More = 3,
    Last = 4,
    Cell = 5,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) length: u32,
    pub(crate) kind: Kind,
    pub(crate) codec: u8,
    pub(crate) tag: u16,
}

impl Frame {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.length)
            | (self.kind as u64) << 32
            | u64::from(self.codec) << 40
            | u64::from(self.tag) << 48
    }

    /// `None` for a word that no writer wrote.
    pub(crate) fn unpack(word: u64) -> Option<Frame> {
        let kind = match (word >> 32) as u8 {
            1 => Kind::Whole,
            2 => Kind::First,
            3 => Kind::More,
            4 => Kind::Last,
            5 => Kind::Cell,
            _ => return None,
        };
        Some(Frame { length: word as u32, kind, codec: (word >> 40) as u8, tag: (word >> 48) as u16 })
    }

    /// What the frame takes in the ring.
    pub(crate) fn size(self) -> u64 {
        match self.kind {
            Kind::Cell => HEAD,
            _ => size_of_frame(u64::from(self.length)),
        }
    }
}

/// What a frame with so many bytes of payload takes.
pub(crate) fn size_of_frame(payload: u64) -> u64 {
    HEAD + payload.next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_and_garbage_is_none() {
        for kind in [Kind::Whole, Kind::First, Kind::More, Kind::Last, Kind::Cell] {
            let frame = Frame { length: u32::MAX - 3, kind, codec: 255, tag: 0xABCD };
            assert_eq!(Frame::unpack(frame.pack()), Some(frame));
        }
        assert_eq!(Frame::unpack(0), None);
        assert_eq!(Frame::unpack(u64::MAX), None);
        assert_eq!(size_of_frame(0), 8);
        assert_eq!(size_of_frame(9), 24);
        assert_eq!(Frame { length: 7, kind: Kind::Cell, codec: 0, tag: 0 }.size(), 8);
    }
}

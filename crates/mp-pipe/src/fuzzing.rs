//! Doors for the fuzz targets: what this crate reads from strangers.

use std::collections::VecDeque;
use std::time::Duration;

use mp_sys::Socket;
use mp_wire::{Error, Result};

use crate::AuthKey;
use crate::link::fuzzing::{Frames, answer, deliver};
use crate::{Link, RecvIntoError};

/// Payloads above this are refused.
const LIMIT: u64 = 1 << 16;

/// Receives frames from a stream, by one way of receiving after the other, and compares them with what is plainly there.
pub fn frames(bytes: &[u8]) {
    let Some((how, stream)) = bytes.split_first() else { return };
    let (ours, theirs) = Socket::pair().expect("descriptors");
    let link = Link::new(theirs, "fuzzed".into());
    link.set_max_message(LIMIT);
    // In two pieces, so that a read ends anywhere.
    let (first, second) = stream.split_at(usize::from(*how) * stream.len() / 255);
    let mut rest = stream;
    let mut send = [first, second].into_iter().filter(|piece| !piece.is_empty());
    let mut ours = Some(ours);
    for turn in 0.. {
        match send.next() {
            Some(piece) => {
                let count = ours.as_ref().expect("it is open").write([piece, &[]], &[], None);
                assert_eq!(count.expect("it fits"), piece.len());
            }
            None => ours = None,
        }
        loop {
            let received = match (turn + usize::from(*how)) % 3 {
                0 => link.recv_bytes_timeout(Duration::ZERO),
                1 if ours.is_none() => {
                    let mut buffer = [0; 64];
                    match link.recv_bytes_into(&mut buffer) {
                        Ok(length) => Ok(buffer[..length].to_vec()),
                        Err(RecvIntoError::TooShort(message)) => Ok(message),
                        Err(RecvIntoError::Failed(error)) => Err(error),
                    }
                }
                _ => link.recv_bytes_timeout(Duration::from_nanos(1)),
            };
            match received {
                Ok(payload) => rest = taken(rest, &payload),
                Err(Error::TimedOut { .. }) if ours.is_some() => break,
                Err(Error::TimedOut { .. }) => {} // a deadline, and not the end
                Err(error) => return ended(rest, &error),
            }
        }
    }
}

/// The length that stands at the beginning, and the bytes of the head.
fn head(bytes: &[u8]) -> Option<(i128, usize)> {
    let short = i32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    if short != -1 {
        return Some((short.into(), 4));
    }
    Some((u64::from_be_bytes(bytes.get(4..12)?.try_into().ok()?).into(), 12))
}

fn taken<'a>(rest: &'a [u8], payload: &[u8]) -> &'a [u8] {
    let (length, head) = head(rest).expect("a head");
    assert_eq!(length, payload.len() as i128);
    assert_eq!(&rest[head..head + payload.len()], payload);
    &rest[head + payload.len()..]
}

fn ended(rest: &[u8], error: &Error) {
    match (head(rest), error) {
        (None, Error::Disconnected { .. }) => assert!(rest.is_empty()),
        (None, Error::Torn { .. }) => assert!(!rest.is_empty()),
        (Some((length, _)), Error::Forged { .. }) => assert!(length < 0),
        (Some((length, _)), Error::LimitReached { .. }) => assert!(length > LIMIT.into()),
        (Some((length, head)), Error::Torn { .. }) => {
            assert!(length > (rest.len() - head) as i128 && length <= LIMIT.into());
        }
        (head, error) => panic!("{head:?}: {error}"),
    }
}

/// Frames that were written beforehand.
struct Script<'a> {
    frames: VecDeque<&'a [u8]>,
    said: usize,
}

impl Frames for Script<'_> {
    fn put(&mut self, frame: &[u8]) -> Result<()> {
        assert!(frame.len() <= 256);
        self.said += 1;
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>> {
        self.frames.pop_front().map(<[u8]>::to_vec).ok_or(Error::Empty)
    }
}

/// Proves a key to a side that says what it wants: frames, each behind a byte that is its length.
pub fn challenge(bytes: &[u8]) {
    let mut frames = VecDeque::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first() {
        let (frame, after) = after.split_at(usize::from(*length).min(after.len()));
        frames.push_back(frame);
        rest = after;
    }
    let key = AuthKey::from("a key that is not in the corpus");
    let mut script = Script { frames: frames.clone(), said: 0 };
    let welcome = |frame: &&[u8]| *frame == b"#WELCOME#";
    match answer(&mut script, &key) {
        Ok(()) => assert!(frames.get(1).is_some_and(welcome) && script.said == 1),
        Err(error) => assert!(matches!(error, Error::Authentication { .. } | Error::Empty), "{error}"),
    }
    let mut script = Script { frames, said: 0 };
    let error = deliver(&mut script, &key).expect_err("nobody knows the key");
    assert!(matches!(error, Error::Authentication { .. } | Error::Empty), "{error}");
}

//! Frames on a stream, as CPython writes them.
//!
//! ```text
//! length (4 bytes, signed, big-endian) | payload                                    up to 2 GiB - 1
//! -1 (4 bytes)                         | length (8 bytes, big-endian) | payload     more
//! ```
//!
//! The head and the payload are written at once, so that a small message is one packet. (CPython joins them up to 16 KiB, which is the same to the
//! reader.)

use mp_wire::{Error, Result};

/// The longest head.
pub(crate) const LONGEST_HEAD: usize = 12;
const SHORT: usize = 4;

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    bytes: [u8; LONGEST_HEAD],
    length: usize,
}

impl Head {
    pub(crate) fn new(payload: usize) -> Head {
        let mut bytes = [0; LONGEST_HEAD];
        let length = match i32::try_from(payload) {
            Ok(short) => {
                bytes[..SHORT].copy_from_slice(&short.to_be_bytes());
                SHORT
            }
            Err(_) => {
                bytes[..SHORT].copy_from_slice(&(-1_i32).to_be_bytes());
                bytes[SHORT..].copy_from_slice(&(payload as u64).to_be_bytes());
                LONGEST_HEAD
            }
        };
        Head { bytes, length }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What the first bytes of a frame say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// The head is cut off: it has so many bytes, as far as can be told.
    Needs(usize),
    /// A payload of that length comes behind so many bytes.
    Head { payload: u64, head: usize },
}

/// Reads the head of a frame.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed> {
    let Some((short, rest)) = bytes.split_first_chunk::<SHORT>() else { return Ok(Parsed::Needs(SHORT)) };
    match i32::from_be_bytes(*short) {
        -1 => Ok(match rest.first_chunk::<8>() {
            Some(long) => Parsed::Head { payload: u64::from_be_bytes(*long), head: LONGEST_HEAD },
            None => Parsed::Needs(LONGEST_HEAD),
        }),
        length => match u64::try_from(length) {
            Ok(payload) => Ok(Parsed::Head { payload, head: SHORT }),
            Err(_) => Err(Error::Forged { what: format!("a frame of {length} bytes") }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        for payload in [0, 1, 16_384, 16_385, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, usize::MAX] {
            let head = Head::new(payload);
            let bytes = head.as_bytes();
            assert_eq!(bytes.len(), if payload > 0x7FFF_FFFF { 12 } else { 4 });
            let parsed = Parsed::Head { payload: payload as u64, head: bytes.len() };
            assert_eq!(parse(bytes).unwrap(), parsed);
            assert_eq!(parse(&[bytes, b"more"].concat()).unwrap(), parsed);
            assert!(
                matches!(parse(&bytes[..bytes.len() - 1]).unwrap(), Parsed::Needs(n) if n == bytes.len())
            );
        }
    }

    #[test]
    fn as_cpython_packs_them() {
        assert_eq!(Head::new(5).as_bytes(), [0, 0, 0, 5]);
        assert_eq!(Head::new(0x1_0000_0000).as_bytes(), [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert!(parse(&[0x80, 0, 0, 0]).is_err() && parse(&(-2_i32).to_be_bytes()).is_err());
    }
}

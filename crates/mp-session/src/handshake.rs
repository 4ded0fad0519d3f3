//! What a door and a stranger say to each other before anything is mapped.
//!
//! Two frames of fixed length, little-endian, from whoever connects (*hello*) and from the door (*answer*):
//!
//! ```text
//! hello    magic(8) layout(4) word(4) image(16) pid(4) flags(4) version(16) name(64) zero(8)                       128
//! answer   magic(8) verdict(4) layout(4) word(4) pid(4) image(16) session(16) size(8) place(8) version(16)
//!          length(2) text(166)                                                                                     256
//! ```
//!
//! The answer's verdict is 0 for "welcome", and comes with two descriptors then, the memory and the liveness file; otherwise it is
//! a cause, and the text says more. A third frame, one byte from the stranger, says that it has taken its place.
//!
//! | checked | by | why |
//! |---|---|---|
//! | magic | both | whoever connects may be anything |
//! | user, by the kernel's word | both | letting in is full trust, for one's own user only |
//! | pid, said and by the kernel's word | both | in another pid namespace pids name others, and deaths could not be told |
//! | layout version, word size | both | the session's own words |
//! | version of mp | both | the words of the objects: queues, locks, pools |
//! | image | door and stranger, where asked for | the same program: functions may be named, types are the same |
//! | size, seals, header, session id | stranger | what came is what was promised |

use mp_wire::{Error, Result};

use crate::layout::LAYOUT_VERSION;

const MAGIC: [u8; 8] = *b"MPDOOR\x00\x01";
pub(crate) const HELLO: usize = 128;
pub(crate) const ANSWER: usize = 256;
/// Says that the stranger has taken its place.
pub(crate) const ENTERED: u8 = b'!';
const TEXT: usize = ANSWER - 90;

/// What each side says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Program {
    pub(crate) layout: u32,
    pub(crate) word: u32,
    pub(crate) image: [u8; 16],
    pub(crate) pid: u32,
    pub(crate) version: [u8; 16],
}

impl Program {
    pub(crate) fn this() -> Program {
        let mut version = [0; 16];
        let text = env!("CARGO_PKG_VERSION").as_bytes();
        let len = text.len().min(16);
        version[..len].copy_from_slice(&text[..len]);
        Program {
            layout: LAYOUT_VERSION,
            word: usize::BITS,
            image: mp_sys::image_id(),
            pid: mp_sys::current_pid(),
            version,
        }
    }

    /// Whether two programs can share a session at all.
    pub(crate) fn fits(&self, other: &Program) -> Result<()> {
        let wrong = |detail: String| Err(Error::Layout { detail });
        if self.layout != other.layout {
            return wrong(format!(
                "the session has layout version {}, the other {}",
                self.layout, other.layout
            ));
        }
        if self.word != other.word {
            return wrong(format!("words have {} bits, the other's {}", self.word, other.word));
        }
        if self.version != other.version {
            let name = |v: &[u8]| String::from_utf8_lossy(v).trim_end_matches('\0').to_owned();
            return wrong(format!("mp {}, the other {}", name(&self.version), name(&other.version)));
        }
        Ok(())
    }

    pub(crate) fn is_same(&self, other: &Program) -> Result<()> {
        if self.image == other.image {
            return Ok(());
        }
        Err(Error::ImageMismatch { detail: "only the same program is wanted here, to the last byte".into() })
    }
}

/// What a stranger says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) program: Program,
    /// It wants a session of its own program only.
    pub(crate) same_program: bool,
    pub(crate) name: String,
}

impl Hello {
    pub(crate) fn write(&self) -> [u8; HELLO] {
        let mut out = [0; HELLO];
        let mut put = Put { out: &mut out, at: 0 };
        put.bytes(&MAGIC);
        put.bytes(&self.program.layout.to_le_bytes());
        put.bytes(&self.program.word.to_le_bytes());
        put.bytes(&self.program.image);
        put.bytes(&self.program.pid.to_le_bytes());
        put.bytes(&u32::from(self.same_program).to_le_bytes());
        put.bytes(&self.program.version);
        let cut = cut(&self.name, 64);
        put.bytes(cut.as_bytes());
        out
    }

    pub(crate) fn read(bytes: &[u8; HELLO]) -> Result<Hello> {
        let mut get = Get { rest: bytes };
        if get.array::<8>() != MAGIC {
            return Err(garbage());
        }
        let (layout, word, image) = (get.number(), get.number(), get.array());
        let (pid, flags, version) = (get.number(), get.number(), get.array());
        let name: [u8; 64] = get.array();
        let end = name.iter().position(|b| *b == 0).unwrap_or(64);
        Ok(Hello {
            program: Program { layout, word, image, pid, version },
            same_program: flags & 1 != 0,
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
        })
    }
}

/// What a door answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) program: Program,
    pub(crate) session: u128,
    pub(crate) size: u64,
    /// The place, or why there is none.
    pub(crate) place: Result<u64>,
}

const WELCOME: u32 = 0;
const LAYOUT: u32 = 1;
const IMAGE: u32 = 2;
const LIMIT: u32 = 3;
const REFUSED: u32 = 4;

impl Answer {
    pub(crate) fn write(&self) -> [u8; ANSWER] {
        let (verdict, place, text) = match &self.place {
            Ok(place) => (WELCOME, *place, String::new()),
            Err(Error::Layout { detail }) => (LAYOUT, 0, detail.clone()),
            Err(Error::ImageMismatch { detail }) => (IMAGE, 0, detail.clone()),
            Err(Error::LimitReached { limit, detail }) => (LIMIT, 0, format!("{limit}\n{detail}")),
            Err(Error::Refused { why, .. }) => (REFUSED, 0, why.clone()),
            Err(other) => (REFUSED, 0, other.to_string()),
        };
        let mut out = [0; ANSWER];
        let mut put = Put { out: &mut out, at: 0 };
        put.bytes(&MAGIC);
        put.bytes(&verdict.to_le_bytes());
        put.bytes(&self.program.layout.to_le_bytes());
        put.bytes(&self.program.word.to_le_bytes());
        put.bytes(&self.program.pid.to_le_bytes());
        put.bytes(&self.program.image);
        put.bytes(&self.session.to_le_bytes());
        put.bytes(&self.size.to_le_bytes());
        put.bytes(&place.to_le_bytes());
        put.bytes(&self.program.version);
        let text = cut(&text, TEXT);
        put.bytes(&(text.len() as u16).to_le_bytes());
        put.bytes(text.as_bytes());
        out
    }

    /// `door` is for the error's text.
    pub(crate) fn read(bytes: &[u8; ANSWER], door: &str) -> Result<Answer> {
        let mut get = Get { rest: bytes };
        if get.array::<8>() != MAGIC {
            return Err(garbage());
        }
        let (verdict, layout, word, pid) = (get.number(), get.number(), get.number(), get.number());
        let (image, session) = (get.array(), u128::from_le_bytes(get.array()));
        let (size, place) = (u64::from_le_bytes(get.array()), u64::from_le_bytes(get.array()));
        let version = get.array();
        let length = usize::from(u16::from_le_bytes(get.array()));
        let text = String::from_utf8_lossy(get.rest.get(..length).ok_or_else(garbage)?).into_owned();
        let place = match verdict {
            WELCOME => Ok(place),
            LAYOUT => Err(Error::Layout { detail: text }),
            IMAGE => Err(Error::ImageMismatch { detail: text }),
            LIMIT => {
                let (limit, detail) = text.split_once('\n').unwrap_or((&text, ""));
                Err(Error::LimitReached { limit: limit.into(), detail: detail.into() })
            }
            _ => Err(Error::Refused { what: door.into(), why: text }),
        };
        Ok(Answer { program: Program { layout, word, image, pid, version }, session, size, place })
    }
}

pub(crate) fn garbage() -> Error {
    Error::Forged { what: "bytes that are no greeting of mp".into() }
}

/// The text, or as much of it as fits into so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let at = (0..=text.len().min(most)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..at]
}

struct Put<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Put<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

/// Reads the parts of a frame, whose length is that of all its parts.
struct Get<'a> {
    rest: &'a [u8],
}

impl Get<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (part, rest) = self.rest.split_first_chunk::<N>().map_or(([0; N], &[][..]), |(p, r)| (*p, r));
        self.rest = rest;
        part
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_survive_the_way() {
        let hello = Hello { program: Program::this(), same_program: true, name: "näme".into() };
        assert_eq!(Hello::read(&hello.write()).unwrap(), hello);
        for place in [
            Ok(77),
            Err(Error::Layout { detail: "a".into() }),
            Err(Error::ImageMismatch { detail: "b".into() }),
            Err(Error::LimitReached { limit: "c".into(), detail: "d".into() }),
            Err(Error::Refused { what: "door".into(), why: "e".into() }),
        ] {
            let answer = Answer { program: Program::this(), session: 1 << 100, size: 9, place };
            assert_eq!(Answer::read(&answer.write(), "door").unwrap(), answer);
        }
        let long = Hello { name: "ä".repeat(100), ..hello };
        assert_eq!(Hello::read(&long.write()).unwrap().name, "ä".repeat(32));
    }

    #[test]
    fn programs_that_do_not_fit_say_where() {
        let this = Program::this();
        assert_eq!(this.fits(&this), Ok(()));
        for (other, word) in [
            (Program { layout: 99, ..this }, "layout"),
            (Program { word: 32, ..this }, "bits"),
            (Program { version: *b"9.9.9\0\0\0\0\0\0\0\0\0\0\0", ..this }, "9.9.9"),
        ] {
            let error = this.fits(&other).unwrap_err();
            assert!(matches!(error, Error::Layout { .. }) && error.to_string().contains(word), "{error}");
        }
        let other = Program { image: [1; 16], ..this };
        assert!(
            this.fits(&other).is_ok() && matches!(this.is_same(&other), Err(Error::ImageMismatch { .. }))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), ANSWER), real in any::<bool>()) {
            if real {
                bytes[..8].copy_from_slice(&MAGIC);
            }
            let _ = Hello::read(bytes[..HELLO].try_into().unwrap());
            let _ = Answer::read(bytes[..].try_into().unwrap(), "door");
        }
    }
}

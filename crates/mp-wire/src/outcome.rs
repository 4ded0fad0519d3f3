//! How a call in another process ended, in a format that cannot fail to be read.
//!
//! # Format
//!
//! All numbers are little-endian.
//!
//! ```text
//! outcome := 0                                                    a value; its own message follows
//!          | 1 text:type_name text:message chain source           a failure
//!          | 2 text:message maybe:location maybe:backtrace maybe:thread   a panic
//! text    := u32 length (at most 65,536), that many bytes of UTF-8
//! maybe   := 0 | 1 text
//! chain   := u8 count (at most 64), that many texts
//! source  := 0 | 1 u32 length, that many bytes: an mp error in postcard
//! ```
//!
//! # Totality
//!
//! Whoever reads an outcome waits for a result, and the bytes come from a process that may have been killed,
//! or have trampled its own memory. So reading has no error: what cannot be read becomes a [`Failure`] that
//! says so, which concerns this one call only. Texts that are not UTF-8 are read with replacement characters.
//! Writing cuts what is too long between two characters.

use crate::failure::MAX_CHAIN;
use crate::text::{MAX_TEXT, cut};
use crate::{Error, Failure, PanicReport, Result};

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave a value, whose bytes follow the outcome.
    Value,
    /// It gave an error.
    Failure(Failure),
    /// It panicked.
    Panic(PanicReport),
}

const VALUE: u8 = 0;
const FAILURE: u8 = 1;
const PANIC: u8 = 2;

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// An mp error inside a failure takes at most this many bytes; texts in a bigger one are cut to
/// [`SHORT_TEXT`].
const MAX_SOURCE: usize = 256 * 1024;
const SHORT_TEXT: usize = 1024;

impl Outcome {
    /// Appends this outcome to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Outcome::Value => out.push(VALUE),
            Outcome::Failure(failure) => {
                out.push(FAILURE);
                put_text(out, &failure.type_name);
                put_text(out, &failure.message);
                let links = failure.chain.len().min(MAX_CHAIN);
                out.push(links as u8);
                for link in &failure.chain[..links] {
                    put_text(out, link);
                }
                put_source(out, failure);
            }
            Outcome::Panic(report) => {
                out.push(PANIC);
                put_text(out, &report.message);
                put_maybe(out, report.location.as_deref());
                put_maybe(out, report.backtrace.as_deref());
                put_maybe(out, report.thread.as_deref());
            }
        }
    }

    /// Reads an outcome from the beginning of `bytes`, and how many bytes it took: the value follows there.
    ///
    /// Bytes that are no outcome give a [`Failure`] that says so and take all of them.
    pub fn decode(bytes: &[u8]) -> (Outcome, usize) {
        let mut reader = Reader { rest: bytes };
        match reader.outcome() {
            Ok(outcome) => (outcome, bytes.len() - reader.rest.len()),
            Err(Malformed(detail)) => {
                let error = Error::Decode { type_name: "Outcome".to_owned(), detail: detail.to_owned() };
                (Outcome::Failure(Failure::capture(error)), bytes.len())
            }
        }
    }

    /// `Ok` for a value, otherwise the error that says how the call ended.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] or [`Error::Panicked`].
    pub fn into_result(self) -> Result<()> {
        match self {
            Outcome::Value => Ok(()),
            Outcome::Failure(failure) => Err(Error::Failed(failure)),
            Outcome::Panic(report) => Err(Error::Panicked(report)),
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, cut(text, MAX_TEXT).as_bytes());
}

/// `bytes` are bounded by the callers, far below what the length can say.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_maybe(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => out.push(ABSENT),
        Some(text) => {
            out.push(PRESENT);
            put_text(out, text);
        }
    }
}

fn put_source(out: &mut Vec<u8>, failure: &Failure) {
    let fitting = |source: &Error| postcard::to_stdvec(source).ok().filter(|bytes| bytes.len() <= MAX_SOURCE);
    let bytes = match &failure.source {
        None => None,
        Some(source) => fitting(source).or_else(|| fitting(failure.trimmed(SHORT_TEXT).source.as_deref()?)),
    };
    match bytes {
        // Not even cut short does it fit. The message and the chain tell the same in words.
        None => out.push(ABSENT),
        Some(bytes) => {
            out.push(PRESENT);
            put_bytes(out, &bytes);
        }
    }
}

/// Why bytes are no outcome.
struct Malformed(&'static str);

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn outcome(&mut self) -> Result<Outcome, Malformed> {
        match self.byte()? {
            VALUE => Ok(Outcome::Value),
            FAILURE => Ok(Outcome::Failure(Failure {
                type_name: self.text()?,
                message: self.text()?,
                chain: self.chain()?,
                source: self.source()?,
            })),
            PANIC => Ok(Outcome::Panic(PanicReport {
                message: self.text()?,
                location: self.maybe()?,
                backtrace: self.maybe()?,
                thread: self.maybe()?,
            })),
            _ => Err(Malformed("it is neither a value nor a failure nor a panic")),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("the bytes end too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn sized(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let length = self.take(size_of::<u32>())?;
        let length = length.iter().rev().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        if length > max {
            return Err(Malformed("a text is longer than any that is ever written"));
        }
        self.take(length)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let text = String::from_utf8_lossy(self.sized(MAX_TEXT)?);
        // Replacement characters are longer than the bytes they stand for.
        Ok(cut(&text, MAX_TEXT).to_owned())
    }

    fn present(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            ABSENT => Ok(false),
            PRESENT => Ok(true),
            _ => Err(Malformed("a part is neither there nor not there")),
        }
    }

    fn maybe(&mut self) -> Result<Option<String>, Malformed> {
        Ok(if self.present()? { Some(self.text()?) } else { None })
    }

    fn chain(&mut self) -> Result<Vec<String>, Malformed> {
        let links = usize::from(self.byte()?);
        if links > MAX_CHAIN {
            return Err(Malformed("a chain is longer than any that is ever written"));
        }
        (0..links).map(|_| self.text()).collect()
    }

    /// An error that cannot be read is replaced by one that says so; the texts around it are still good.
    fn source(&mut self) -> Result<Option<Box<Error>>, Malformed> {
        if !self.present()? {
            return Ok(None);
        }
        let error = match postcard::take_from_bytes::<Error>(self.sized(MAX_SOURCE)?) {
            Ok((error, [])) => error,
            Ok(_) => unreadable("bytes are left over".to_owned()),
            Err(error) => unreadable(error.to_string()),
        };
        Ok(Some(Box::new(error)))
    }
}

fn unreadable(detail: String) -> Error {
    Error::Decode { type_name: "Error".to_owned(), detail }
}

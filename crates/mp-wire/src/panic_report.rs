//! A panic, as far as it can be told to another process.

use std::any::Any;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text;

/// What a panic in another process left behind.
///
/// `{}` is one line, `{:#}` adds the backtrace if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanicReport {
    /// What the panic said.
    pub message: String,
    /// Where, as `file:line:column`.
    pub location: Option<String>,
    /// The backtrace, already resolved.
    pub backtrace: Option<String>,
    /// The name of the thread.
    pub thread: Option<String>,
}

impl PanicReport {
    /// The report of a panic of which only the payload is known, as `catch_unwind` gives it.
    pub fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let message = if let Some(message) = payload.downcast_ref::<&'static str>() {
            text::cut(message, text::MAX_TEXT).to_owned()
        } else if let Some(message) = payload.downcast_ref::<String>() {
            text::cut(message, text::MAX_TEXT).to_owned()
        } else if let Some(error) = payload.downcast_ref::<crate::Error>() {
            text::written(format_args!("{error}"))
        } else {
            "a panic whose payload is not text".to_owned()
        };
        Self { message, ..Self::default() }
    }

    /// A copy whose texts are cut to `max` bytes each.
    pub(crate) fn trimmed(&self, max: usize) -> Self {
        let cut = |text: &String| text::cut(text, max).to_owned();
        Self {
            message: cut(&self.message),
            location: self.location.as_ref().map(cut),
            backtrace: self.backtrace.as_ref().map(cut),
            thread: self.thread.as_ref().map(cut),
        }
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicked")?;
        if let Some(thread) = &self.thread {
            write!(f, " in thread '{thread}'")?;
        }
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.backtrace {
            Some(backtrace) if f.alternate() => write!(f, "\n{backtrace}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for PanicReport {}

//! Errors that give something back.

use std::fmt;

use mp_wire::Error;

/// A value that was not sent, and why: it comes back.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError<T> {
    /// The value.
    pub value: T,
    /// Why it was not sent.
    pub error: Error,
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for SendError<T> {}

impl<T> From<SendError<T>> for Error {
    fn from(failed: SendError<T>) -> Error {
        failed.error
    }
}

/// Why [`recv_bytes_into`](crate::Connection::recv_bytes_into) did not fill the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvIntoError {
    /// The buffer is shorter than the message, which is here (Python's `BufferTooShort`).
    TooShort(Vec<u8>),
    /// Nothing was received.
    Failed(Error),
}

impl fmt::Display for RecvIntoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvIntoError::TooShort(message) => {
                write!(f, "the buffer is too short for a message of {} bytes", message.len())
            }
            RecvIntoError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecvIntoError {}

impl From<Error> for RecvIntoError {
    fn from(error: Error) -> RecvIntoError {
        RecvIntoError::Failed(error)
    }
}

impl From<RecvIntoError> for Error {
    fn from(failed: RecvIntoError) -> Error {
        match failed {
            RecvIntoError::TooShort(_) => Error::InvalidArgument { detail: failed.to_string() },
            RecvIntoError::Failed(error) => error,
        }
    }
}

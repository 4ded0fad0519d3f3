//! What a put that does not wait for ever gives back.

use std::fmt;

use mp_wire::Error;

/// A value that could not be put, and why.
///
/// `?` turns it into the [`Error`] alone.
///
/// # Examples
///
/// ```
/// use mp_queue::{Error, Queue};
///
/// let queue = Queue::bounded(1)?;
/// queue.put("first".to_owned())?;
/// let refused = queue.try_put("second".to_owned()).unwrap_err();
/// assert_eq!(refused.error, Error::Full);
/// assert_eq!(refused.value, "second");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PutError<T> {
    /// The value, as it was.
    pub value: T,
    /// Why it is not in the queue.
    pub error: Error,
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<T> From<PutError<T>> for Error {
    fn from(refused: PutError<T>) -> Error {
        refused.error
    }
}

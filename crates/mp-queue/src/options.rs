//! How a queue is to be made.

use mp_session::Session;
use mp_wire::{Error, Message, Result};

use crate::Queue;

/// What a queue may hold, and how.
///
/// # Examples
///
/// ```
/// use mp_queue::{Error, QueueOptions};
///
/// // At most ten messages, and no more than 64 KiB of them.
/// let queue = QueueOptions::new().capacity(10).bytes(64 << 10).create()?;
/// queue.put(vec![0_u8; 60_000])?;
/// assert_eq!(queue.try_put(vec![1; 6_000]).unwrap_err().error, Error::Full);
/// queue.put(vec![2; 1000])?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueOptions {
    pub(crate) capacity: Option<usize>,
    pub(crate) bytes: Option<u64>,
    pub(crate) message_size: Option<usize>,
}

impl QueueOptions {
    /// An unbounded queue.
    pub fn new() -> QueueOptions {
        QueueOptions::default()
    }

    /// At most so many messages at a time.
    #[must_use]
    pub fn capacity(self, messages: usize) -> QueueOptions {
        QueueOptions { capacity: Some(messages), ..self }
    }

    /// At most so many bytes of messages at a time, as they are encoded (messages of more than a mebibyte are rounded up by a
    /// millionth). A single message of more is refused. Each put then looks at all messages in the queue.
    #[must_use]
    pub fn bytes(self, bytes: u64) -> QueueOptions {
        QueueOptions { bytes: Some(bytes), ..self }
    }

    /// How large a message usually is, encoded. Messages up to that size (at most 4088 bytes) lie in the queue itself, which is several times
    /// faster than memory of their own; room for as many as the capacity is set aside.
    #[must_use]
    pub fn message_size(self, bytes: usize) -> QueueOptions {
        QueueOptions { message_size: Some(bytes), ..self }
    }

    /// Makes the queue in the session of this process.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for room for nothing, and as [`Queue::new`].
    pub fn create<T: Message>(self) -> Result<Queue<T>> {
        Queue::make_as(&Session::current()?, self)
    }

    pub(crate) fn check(self) -> Result<()> {
        if self.capacity == Some(0) || self.bytes == Some(0) {
            return Err(Error::InvalidArgument {
                detail: "a bounded queue needs room for one message at least (Queue::new() makes an unbounded one)"
                    .into(),
            });
        }
        Ok(())
    }
}

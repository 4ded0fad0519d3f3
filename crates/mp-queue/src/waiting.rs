//! Waiting for queues together with other things ([`mp_session::wait()`], [`WaitSet`](mp_session::WaitSet)).

use mp_session::{Role, Sources, Waitable};

use crate::{Queue, Receiver, Sender};

/// Ready when a get would not wait: there is a message to be got, or nobody is left to put one, or the queue was closed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_session::WaitSet;
///
/// let queues: Vec<_> = (0..3).map(|_| mp_queue::unbounded::<u32>()).collect::<Result<_, _>>()?;
/// let mut set = WaitSet::new()?;
/// for (token, (_, receiver)) in queues.iter().enumerate() {
///     set.add(token as u64, receiver)?;
/// }
/// queues[1].0.put(7)?;
/// for token in set.wait(Duration::from_secs(1))? {
///     assert_eq!((token, queues[token as usize].1.try_get()), (1, Ok(7)));
/// }
/// # Ok::<(), mp_queue::Error>(())
/// ```
impl<T> Waitable for Receiver<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.channel.object().words().waiters(Role::Second));
    }

    fn is_ready(&self) -> bool {
        self.channel.would_take()
    }
}

/// Ready when a put would not wait: there is room, or nobody is left to get, or the queue was closed. An unbounded queue always is.
impl<T> Waitable for Sender<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.channel.object().words().waiters(Role::First));
    }

    fn is_ready(&self) -> bool {
        !self.channel.is_full() || self.channel.object().holders(Role::Second) == 0
    }
}

/// Ready when a get would not wait, as its [`Receiver`] is; wait for the [`Sender`] to wait for room.
impl<T> Waitable for Queue<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.receiver.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.receiver.is_ready()
    }
}

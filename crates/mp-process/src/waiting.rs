//! Waiting for the ends of processes together with other things ([`mp_session::wait()`], [`WaitSet`](mp_session::WaitSet)), and in async tasks.

use mp_session::{Sources, Waitable, ready_in};
use mp_wire::{Message, Result};

use crate::Process;

/// Ready when its end is certain (Python's `sentinel`). [`Process::join`] then takes no longer than the system needs to finish with it.
///
/// # Examples
///
/// ```no_run
/// use mp_process::Process;
/// use mp_session::wait;
///
/// mp_process::init();
/// let children = [Process::spawn(|| (), ())?, Process::spawn(|| (), ())?];
/// let first = wait(&[&children[0], &children[1]], None)?[0];
/// children[first].join()?;
/// # Ok::<(), mp_process::Error>(())
/// ```
impl<T> Waitable for Process<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.place().waiters());
    }

    fn is_ready(&self) -> bool {
        self.is_certainly_dead() || !self.is_alive()
    }
}

impl<T: Message> Process<T> {
    /// [`Process::join`] for async tasks, on any runtime.
    ///
    /// # Errors
    /// As [`Process::join`], and those of [`mp_session::ready`].
    ///
    /// # Blocking
    /// Not for as long as the process runs. When it is dead the system takes a moment to finish with it, say to free its memory,
    /// and that moment is waited for on the spot.
    pub async fn join_async(&self) -> Result<T> {
        ready_in(self.place().session(), self).await?;
        self.join()
    }
}

//! Ending a child before its time, alone or with what is below it.

use mp_sys::Signal;
use mp_wire::{Error, Result};

use crate::process::Process;
use crate::{signals, tree};

impl<T> Process<T> {
    /// Asks it to end (SIGTERM; on Windows it is ended). No error if it has ended already.
    ///
    /// Of what is below it, daemons end as they see it gone, and others if it has no handler of its own for the signal.
    ///
    /// # Errors
    /// What the system says.
    pub fn terminate(&self) -> Result<()> {
        self.shared().process.signal(Signal::Terminate)
    }

    /// Ends it at once (SIGKILL). No error if it has ended already. Daemons below it end as they see it gone, others stay:
    /// see [`kill_tree`](Process::kill_tree).
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&self) -> Result<()> {
        self.shared().process.signal(Signal::Kill)
    }

    /// Interrupts it (SIGINT; on Windows it is ended), and this interrupt is [meant](crate::OnInterrupt): it dies of it, unless its
    /// function handles or ignores the signal.
    ///
    /// # Errors
    /// What the system says.
    pub fn interrupt(&self) -> Result<()> {
        if let Some(word) = self.shared().place.user_word(signals::WORD) {
            word.fetch_or(signals::MEANT, std::sync::atomic::Ordering::SeqCst);
        }
        self.shared().process.signal(Signal::Interrupt)
    }

    /// Ends it at once, together with all processes below it, also those of other programs.
    ///
    /// # Errors
    /// What the system says of one that could not be ended; the others were.
    ///
    /// # If a process dies
    /// Those below a process that was gone before are found if mp started them, and foreign programs are not: for those, use a
    /// [process group](crate::Builder::process_group) and [`kill_group`](Process::kill_group).
    ///
    /// # Platform
    /// Programs of others are found on Linux.
    ///
    /// # Examples
    /// ```no_run
    /// use mp_process::Process;
    ///
    /// mp_process::init();
    /// let child = Process::spawn(|| std::process::Command::new("sleep").arg("60").status().map(|_| ()), ())?;
    /// child.kill_tree()?; // the sleep goes, too
    /// # Ok::<(), mp_process::Error>(())
    /// ```
    pub fn kill_tree(&self) -> Result<()> {
        tree::signal(&self.shared().place, &self.shared().process, Signal::Kill)
    }

    /// Asks it and all processes below it to end, once.
    ///
    /// # Errors
    /// As [`kill_tree`](Process::kill_tree).
    ///
    /// # Platform
    /// As there.
    pub fn terminate_tree(&self) -> Result<()> {
        tree::signal(&self.shared().place, &self.shared().process, Signal::Terminate)
    }

    /// Ends the process group that it leads, all at once, whatever they start meanwhile. Nothing happens once it was joined, for
    /// its number may be another's by then: kill first, then join.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it was not started as the leader of a group (by
    /// [`process_group(0)`](crate::Builder::process_group) or [`new_session`](crate::Builder::new_session)), else what the system says.
    ///
    /// # Platform
    /// Unix.
    pub fn kill_group(&self) -> Result<()> {
        self.signal_group(Signal::Kill)
    }

    /// Asks the process group that it leads to end; as [`kill_group`](Process::kill_group).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Platform
    /// Unix.
    pub fn terminate_group(&self) -> Result<()> {
        self.signal_group(Signal::Terminate)
    }

    fn signal_group(&self, signal: Signal) -> Result<()> {
        if !self.shared().leads_group() {
            let detail = format!("{} does not lead a process group", self.ident());
            return Err(Error::InvalidArgument { detail });
        }
        self.shared().process.signal_group(signal)
    }
}

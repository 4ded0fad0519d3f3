//! A child that is a copy of this process.
//!
//! Python's `fork`: the child has all that lies in its parent's memory, and its descriptors. It begins as any child does after that: it has a
//! place of its own in the session, takes its arguments from there, and exits when its function has returned; it never comes back to where its
//! parent was.
//!
//! | what the copy finds | what is done with it |
//! |---|---|
//! | the parent's part in the session | stays as it is: handles that belong to it are errors, and their drops do nothing |
//! | the parent's children, its fork server | forgotten |
//! | tokens that the parent worked under | left |
//! | output that the parent has not flushed | flushed before |
//! | threads | there are none but the caller: more are refused |
//! | an interrupt that comes early | held back, as in other children |
//!
//! Deaths are those of a child started by [`Spawn`](StartMethod::Spawn): the pid is known to the parent as soon as there is a process.

use std::io::Write;

use mp_session::{Place, Prepared, StartedProcess};
use mp_sys::{Child, Forked};
use mp_wire::{Error, Output, Result};

use crate::builder::Builder;
use crate::child;
use crate::current;
use crate::fork_server;
use crate::handles;
use crate::launch::{Order, start_error};
use crate::process::Process;
use crate::registry;
use crate::start::StartMethod;
use crate::streams;
use crate::target::{self, Target};

impl Process<()> {
    /// Runs `target` with `args` in a copy of this process (Python's start method `fork`): what its parent made in statics and
    /// thread-locals is there.
    ///
    /// Handles that the copy finds there (queues, locks, processes) are its parent's and of no use to it, but for those among its arguments.
    /// Descriptors of the parent stay open in it, and functions that the parent registered to run at its exit run at the copy's, too.
    ///
    /// # Safety
    /// What the target comes upon must stand being there twice. A library may count on being one of a kind: a connection is used by both
    /// then, a temporary file removed by both, a generator of random numbers yields the same twice. That no other thread was in the middle of
    /// anything is seen to, where the system says how many there are (Linux).
    ///
    /// # Errors
    /// As [`Process::spawn`]; [`Error::InvalidArgument`] in a process that has other threads (also mp's own: a daemon has one, and so has whoever has
    /// used async forms, descriptors in wait sets, or doors).
    ///
    /// # Platform
    /// Linux and macOS; [`Error::Unsupported`] on Windows.
    ///
    /// # Examples
    /// ```no_run
    /// use std::sync::OnceLock;
    ///
    /// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
    ///
    /// fn main() -> mp_process::Result<()> {
    ///     mp_process::init();
    ///     TABLE.get_or_init(|| (0..1_000_000).map(|n| n * n).collect());
    ///     // SAFETY: the program has one thread, and the table is plain memory.
    ///     let child = unsafe { mp_process::Process::fork(|i: usize| TABLE.get().map(|table| table[i]), (1000,)) }?;
    ///     assert_eq!(child.join()?, Some(1_000_000));
    ///     Ok(())
    /// }
    /// ```
    pub unsafe fn fork<F, A>(target: F, args: A) -> Result<Process<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        // SAFETY: the caller's promise is the same.
        unsafe { Builder::new().fork(target, args) }
    }
}

impl Builder {
    /// Starts the process as a copy of this one; see [`Process::fork`].
    ///
    /// # Safety
    /// As [`Process::fork`].
    ///
    /// # Errors
    /// As [`Process::fork`].
    pub unsafe fn fork<F, A>(self, target: F, args: A) -> Result<Process<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        self.start(StartMethod::Fork, target::shim::<F, A>(target), &args)
    }
}

/// Copies this process, whose caller has promised that it may be. In the copy it does not return.
pub(crate) fn fork(place: &Place, order: Order) -> Result<StartedProcess> {
    let ticket = place.ticket()?;
    let streams = streams::of_a_child(&order.streams)?;
    // What cannot be flushed now is not lost: it comes twice.
    let _ = std::io::stdout().flush();
    match mp_sys::thread_count() {
        None | Some(0..=1) => {}
        Some(threads) => {
            let detail = format!(
                "a process with {threads} threads cannot be forked: the copy would have one of them, and what the others had locked"
            );
            return Err(Error::InvalidArgument { detail });
        }
    }
    // SAFETY: there is no other thread, or the caller answers for it.
    match unsafe { mp_sys::fork() }.map_err(|e| start_error("fork a process", e))? {
        // SAFETY: our child, which nobody else reaps.
        Forked::Parent(pid) => Ok(StartedProcess::new(unsafe { Child::from_pid(pid) })),
        Forked::Child => {
            registry::have_none();
            fork_server::leave_to_the_original();
            current::count_anew();
            handles::keep(order.handles);
            let code = match mp_sys::replace_stdio(streams) {
                Ok(()) => child::live(Prepared::enter_copy(ticket), false),
                Err(error) => child::report(&Error::os("standard streams", error)),
            };
            std::process::exit(code)
        }
    }
}

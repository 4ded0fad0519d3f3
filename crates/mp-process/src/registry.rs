//! The children of this process, and what happens to them at its end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Weak};

use mp_session::{Session, StartedProcess};
use parking_lot::Mutex;

use crate::process::Shared;
use crate::signals;

/// A child that was started here, whether or not anybody still holds its handle.
#[derive(Debug)]
struct Child {
    process: Arc<StartedProcess>,
    daemon: bool,
    shared: Weak<Shared>,
}

impl Child {
    /// A daemon, or one that Ctrl-C has made as good as one ([`crate::signals`]).
    fn ends_with_us(&self) -> bool {
        let word = || Session::existing()?.child_user_word(self.process.pid(), signals::WORD);
        self.daemon || word().is_some_and(|word| word & signals::INTERRUPTED != 0)
    }
}

static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());
static NEXT_LOOK: AtomicUsize = AtomicUsize::new(0);
static AT_EXIT: AtomicBool = AtomicBool::new(false);

pub(crate) fn add(process: Arc<StartedProcess>, daemon: bool, shared: &Arc<Shared>) {
    if !AT_EXIT.swap(true, AcqRel) && mp_sys::at_exit(finish).is_err() {
        // No room for a handler: daemons still end by watching their parent, others are not waited for.
        AT_EXIT.store(false, Release);
    }
    let mut children = CHILDREN.lock();
    // Those that ended and whose handles are gone have no business here any more. Looking at all of them at each start
    // would make a thousand starts quadratic; two at each, in turn, are enough for none to stay.
    for _ in 0..2 {
        let at = NEXT_LOOK.fetch_add(1, Relaxed) % children.len().max(1);
        if children.get(at).is_some_and(|c| c.shared.strong_count() == 0 && c.process.ended().is_some()) {
            children.remove(at);
        }
    }
    children.push(Child { process, daemon, shared: Arc::downgrade(shared) });
}

pub(crate) fn remove(pid: u32) {
    CHILDREN.lock().retain(|c| c.process.pid() != pid);
}

/// In a copy of this process: they are the original's.
pub(crate) fn have_none() {
    // Dropping them is none of the copy's business.
    #[expect(clippy::mem_forget, reason = "what they are is the original's to give back")]
    std::mem::forget(std::mem::take(&mut *CHILDREN.lock()));
}

/// The living ones among the children whose handles exist.
pub(crate) fn alive() -> Vec<Arc<Shared>> {
    let all: Vec<_> = CHILDREN.lock().iter().filter_map(|c| c.shared.upgrade()).collect();
    all.into_iter().filter(|s| s.is_alive()).collect()
}

/// Python's order: daemons, and those that were interrupted, are told to end, then everybody is waited for, daemons included.
extern "C" fn finish() {
    // In a child that somebody else's `fork` made: these are not its children, and the lock may be held by a thread that it
    // does not have.
    if let Some(session) = Session::existing() {
        if !session.is_member() {
            return;
        }
        signals::leave(&session);
    }
    // It would go by itself, a moment after us.
    let _ = crate::fork_server::dismiss_spare();
    loop {
        let children = std::mem::take(&mut *CHILDREN.lock());
        if children.is_empty() {
            return;
        }
        let ends: Vec<bool> = children.iter().map(Child::ends_with_us).collect();
        for (child, _) in children.iter().zip(&ends).filter(|(_, ends)| **ends) {
            // One that has ended, or ends by itself, need not be told.
            let _ = child.process.signal(mp_sys::Signal::Terminate);
        }
        // The same for all, so that many who are stubborn take no longer than one.
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(500);
        for (child, ends) in children.iter().zip(ends) {
            if ends && matches!(child.process.wait(Some(soon)), Ok(None)) {
                let _ = child.process.signal(mp_sys::Signal::Kill);
            }
            // Nobody is left to tell if the system cannot wait.
            let _ = child.process.wait(None);
        }
    }
}

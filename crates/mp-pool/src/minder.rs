//! Work that nobody waits for: `apply_async` has to go on while its caller does something else, callbacks have to be called, and
//! cancelled tasks that do not end have to lose their process.
//!
//! Two threads, started when they are first needed: the *minder* does what any waiting caller would do (it steps the
//! pool), the *caller* runs the callbacks, so that no user code holds the pool up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use mp_session::primitive::{AtomicU32, Ordering::*};
use parking_lot::Mutex;

use crate::core::{Core, Phase};
use crate::job::Call;

#[derive(Debug)]
pub(crate) struct Minder {
    core: Arc<Core>,
    leaving: Arc<AtomicU32>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Minder {
    pub(crate) fn new(core: Arc<Core>) -> Minder {
        Minder { core, leaving: Arc::default(), threads: Mutex::default() }
    }

    /// Sees to it that submitted work goes on, and that callbacks are called.
    pub(crate) fn attend(&self) {
        let mut threads = self.threads.lock();
        if threads.is_empty() && self.leaving.load(SeqCst) == 0 {
            let (send, receive) = mpsc::channel::<Call>();
            self.core.state.lock().calls = Some(send);
            let (core, leaving) = (self.core.clone(), self.leaving.clone());
            let minder = spawn("mp-pool-minder", move || mind(&core, &leaving));
            let caller = spawn("mp-pool-caller", move || {
                for (callback, finished) in receive {
                    // Its panic is its own: the hook has printed it, the next one is called all the same.
                    let _ = catch_unwind(AssertUnwindSafe(|| callback(finished)));
                }
            });
            threads.extend(minder.into_iter().chain(caller));
        }
        drop(threads);
        self.core.nudge();
    }

    /// Waits until the last callback was called. The pool has ended.
    pub(crate) fn leave(&self) {
        self.leaving.store(1, SeqCst);
        self.core.nudge();
        let mut threads: Vec<_> = self.threads.lock().drain(..).collect();
        let caller = threads.pop();
        let join = |thread: JoinHandle<()>| {
            if thread.thread().id() != std::thread::current().id() {
                // They catch what they call, so there is no panic to hand on.
                let _ = thread.join();
            }
        };
        threads.into_iter().for_each(join);
        // All that was to be called is in the channel by now.
        self.core.state.lock().calls = None;
        caller.into_iter().for_each(join);
    }
}

/// `None`: there is no room for a thread; work then goes on whenever somebody waits for the pool.
fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(f).ok()
}

fn mind(core: &Core, leaving: &AtomicU32) {
    // An error: the session is not to be used any more (a foreign fork, the end of the process).
    let _ = core.mind_second(|state| {
        let dying = state.workers.iter().any(|w| matches!(w.doom, Some(Some(_))));
        leaving.load(SeqCst) != 0 && (state.phase == Phase::Terminated || !state.is_busy()) && !dying
    });
}

//! Work that nobody waits for: `apply_async` has to go on while its caller does something else, and callbacks have to be
//! called.
//!
//! Two threads, started when they are first needed: the *minder* does what any waiting caller would do (it steps the
//! pool), the *caller* runs the callbacks, so that no user code holds the pool up.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::core::{Core, Phase, Reply};

pub(crate) type Callback = Box<dyn FnOnce(Option<Reply>) + Send>;

#[derive(Debug)]
pub(crate) struct Minder {
    core: Arc<Core>,
    shared: Arc<Mutex<Shared>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    callbacks: HashMap<u64, Callback>,
    leaving: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("callbacks", &self.callbacks.len())
            .field("leaving", &self.leaving)
            .finish()
    }
}

impl Minder {
    pub(crate) fn new(core: Arc<Core>) -> Minder {
        Minder { core, shared: Arc::default(), threads: Mutex::default() }
    }

    /// Sees to it that submitted work goes on, and that the callback is called in time.
    pub(crate) fn attend(&self, callback: Option<(u64, Callback)>) {
        if let Some((ticket, callback)) = callback {
            self.shared.lock().callbacks.insert(ticket, callback);
        }
        let mut threads = self.threads.lock();
        if threads.is_empty() {
            let (send, receive) = mpsc::channel::<(Callback, Option<Reply>)>();
            let (core, shared) = (self.core.clone(), self.shared.clone());
            let minder = spawn("mp-pool-minder", move || mind(&core, &shared, &send));
            let caller = spawn("mp-pool-caller", move || {
                for (callback, reply) in receive {
                    // Its panic is its own: the hook has printed it, the next one is called all the same.
                    let _ = catch_unwind(AssertUnwindSafe(|| callback(reply)));
                }
            });
            threads.extend(minder.into_iter().chain(caller));
        }
        drop(threads);
        self.core.nudge();
    }

    /// Waits until the last callback was called. The pool has ended.
    pub(crate) fn leave(&self) {
        self.shared.lock().leaving = true;
        self.core.nudge();
        for thread in self.threads.lock().drain(..) {
            if thread.thread().id() != std::thread::current().id() {
                // They catch what they call, so there is no panic to hand on.
                let _ = thread.join();
            }
        }
    }
}

/// `None`: there is no room for a thread; work then goes on whenever somebody waits for the pool.
fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(f).ok()
}

fn mind(core: &Core, shared: &Mutex<Shared>, send: &mpsc::Sender<(Callback, Option<Reply>)>) {
    let mut gone = false;
    while !gone {
        let minded = core.mind_second(|state| {
            let mut shared = shared.lock();
            let done: Vec<u64> =
                shared.callbacks.keys().copied().filter(|t| Core::has_reply(state, *t)).collect();
            for ticket in done {
                if let Some(callback) = shared.callbacks.remove(&ticket) {
                    // The receiver lives as long as we do.
                    let _ = send.send((callback, Core::take_reply(state, ticket)));
                }
            }
            gone = shared.leaving
                && shared.callbacks.is_empty()
                && (state.phase == Phase::Terminated || !Core::is_busy(state));
            gone
        });
        if minded.is_err() {
            // The session is not to be used any more (a foreign fork, the end of the process).
            return;
        }
    }
}

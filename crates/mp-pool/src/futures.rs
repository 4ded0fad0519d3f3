//! Tasks that wait more than they work: many at a time in each worker, as futures on its one thread.
//!
//! Any future will do that is woken by its waker; no runtime is brought along. A worker polls what was woken, and sleeps when there is nothing,
//! where it is also told that its tasks are cancelled: then it drops them all and leaves.
//!
//! # If the worker dies
//!
//! All tasks that it was at are lost, or tried again if they may be: who was to blame cannot be told from outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use mp_session::primitive::{AtomicU32, Ordering::*};
use mp_session::{Result, Session, ThreadId};
use mp_wire::{Failure, Message, Output};

use crate::lane::Lane;
use crate::pool::Pool;
use crate::shim::{Done, TaskShim, conjure, guarded};

/// A task that is under way.
struct Running<'a> {
    task: u32,
    future: Pin<Box<dyn Future<Output = (Done, Vec<u8>)> + 'a>>,
    signal: Arc<Signal>,
}

/// Says that a task is to be polled, and wakes its worker.
struct Signal {
    is_woken: AtomicU32,
    session: Session,
    lane: Lane,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.is_woken.swap(1, SeqCst);
        self.session.wake_all(self.lane.waiters());
    }
}

/// Decoding, the future and encoding are the user's, and may panic.
async fn run<A: Message, R: Output, U: Future<Output = R>>(
    argument: Result<A>,
    f: impl Fn(A) -> U,
) -> (Done, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut future = match argument {
        Ok(argument) => Box::pin(f(argument)),
        Err(error) => return (guarded::<()>(&mut bytes, || Err(Failure::capture(error))), bytes),
    };
    let ended = std::future::poll_fn(|context| {
        let mut pending = false;
        let done = guarded(&mut bytes, || match future.as_mut().poll(context) {
            Poll::Ready(output) => output.into_result(),
            Poll::Pending => {
                pending = true;
                Err(Failure::default())
            }
        });
        if pending { Poll::Pending } else { Poll::Ready(done) }
    });
    let done = ended.await;
    (done, bytes)
}

/// Tasks of one argument that return futures.
fn each_future<F, A, U, R>(_: F) -> TaskShim
where
    F: Fn(A) -> U + Copy + Send + 'static,
    A: Message,
    U: Future<Output = R> + 'static,
    R: Output,
{
    |work, port| {
        // SAFETY: the pool was given a value of `F`.
        let f = unsafe { conjure::<F>() };
        let mut running: Vec<Running<'_>> = Vec::new();
        loop {
            while running.len() < work.width.max(1) as usize
                && let Some(task) = port.claim()
            {
                let signal = Signal {
                    is_woken: AtomicU32::new(1),
                    session: port.lane().session().clone(),
                    lane: port.lane().clone(),
                };
                // A decoder that panics is caught with the first poll.
                let future = Box::pin(async move { run(work.argument::<A>(task), f).await });
                running.push(Running { task, future, signal: Arc::new(signal) });
            }
            if running.is_empty() {
                return Ok(());
            }
            let mut at = 0;
            while at < running.len() {
                let one = &mut running[at];
                if one.signal.is_woken.swap(0, SeqCst) == 0 {
                    at += 1;
                    continue;
                }
                let waker = Waker::from(one.signal.clone());
                match one.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready((done, bytes)) => {
                        let task = running.swap_remove(at).task;
                        port.done(work.first + task, done, &bytes)?;
                    }
                    Poll::Pending => at += 1,
                }
            }
            if running.is_empty() {
                continue;
            }
            port.tell();
            let lane = port.lane();
            let woken = |one: &Running<'_>| one.signal.is_woken.load(SeqCst) != 0;
            lane.session().wait(lane.waiters(), None, &|| ThreadId::NONE, || {
                Ok(running.iter().any(woken).then_some(()))
            })?;
        }
    }
}

impl Pool {
    /// Calls the function, which returns a future (an `async fn` say), with every item, and returns each one's result in order. A worker is
    /// at up to `at_once` of them at a time, on one thread: good for tasks that wait. The future brings what wakes it along; a
    /// runtime's own (tokio's timers) need that runtime in the worker. A time limit counts from when the worker began the last of those that it is at,
    /// and is for all of them. Python has no counterpart.
    ///
    /// # Errors
    /// When nothing could be done at all; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for 0 at once.
    ///
    /// # If a process dies
    /// A worker loses all tasks that it was at: which of them killed it is not known.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new(1)?;
    /// let lengths = pool.map_futures(|s: String| async move { s.len() }, ["a", "bc"].map(String::from), 10)?;
    /// assert_eq!(lengths, [Ok(1), Ok(2)]);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn map_futures<F, A, U, R, I>(&self, f: F, items: I, at_once: usize) -> Result<Vec<Result<R::Value>>>
    where
        F: Fn(A) -> U + Copy + Send + 'static,
        A: Message,
        U: Future<Output = R> + 'static,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        if at_once == 0 {
            return Err(crate::flow::no_chunk());
        }
        let shim = each_future::<F, A, U, R>(f);
        crate::map::results(self.wide(shim, items, at_once.min(0xFFFF) as u32), self.settings.on_error)
    }
}

//! Results that will come.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mp_session::{Error, Result};
use parking_lot::Mutex;

use crate::job::{Arrival, Finished, Hook};
use crate::pool::Shared;

/// Makes the result of a call of what came for it; the number is that of its tasks.
type Read<T> = fn(&[Arrival], u64) -> Result<T>;

/// A result that will come (Python's `AsyncResult`, and the `Future` of its executors). Dropping it takes back what nobody has begun;
/// what is at work comes to its end.
///
/// It can be awaited: as a future it needs no particular runtime.
///
/// # If a process dies
///
/// If it was the worker at this task, [`AsyncResult::get`] returns [`Error::Died`].
///
/// # Examples
///
/// ```no_run
/// use mp_pool::Pool;
/// use std::time::Duration;
///
/// mp_pool::init();
/// let pool = Pool::new(2)?;
/// let sum = pool.submit(|a: u32, b: u32| a + b, (2, 3))?;
/// if !sum.wait_timeout(Duration::from_secs(1))? {
///     sum.cancel();
/// }
/// assert_eq!(sum.get()?, 5);
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub struct AsyncResult<T> {
    shared: Arc<Shared>,
    job: u64,
    count: u64,
    read: Read<T>,
    kept: Mutex<Option<Finished>>,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> AsyncResult<T> {
    pub(crate) fn new(shared: Arc<Shared>, job: u64, count: u64, read: Read<T>) -> Self {
        AsyncResult { shared, job, count, read, kept: Mutex::new(None), value: PhantomData }
    }

    /// Waits for the result. May be called again: the value is decoded afresh.
    ///
    /// # Errors
    /// The task's error.
    ///
    /// # Blocking
    /// Until the task is done, or lost.
    pub fn get(&self) -> Result<T> {
        self.read_within(None)
    }

    /// Waits for the result, but not longer than that.
    ///
    /// # Errors
    /// The task's error; [`Error::TimedOut`] if there is no result yet, in which case one may ask again.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.read_within(Some(timeout))
    }

    fn read_within(&self, timeout: Option<Duration>) -> Result<T> {
        match self.fetch(timeout)? {
            Some(finished) => (self.read)(&finished, self.count),
            None => Err(Error::TimedOut { what: "a task of the pool".into() }),
        }
    }

    /// Waits until there is a result or an error.
    ///
    /// # Errors
    /// When waiting itself is impossible.
    pub fn wait(&self) -> Result<()> {
        self.fetch(None).map(drop)
    }

    /// Waits until there is a result or an error; `false` if there is none in time.
    ///
    /// # Errors
    /// When waiting itself is impossible.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.fetch(Some(timeout)).map(|finished| finished.is_some())
    }

    /// Whether there is a result or an error (Python's `ready` and `done`).
    pub fn is_ready(&self) -> bool {
        self.fetch(Some(Duration::ZERO)).map_or(true, |finished| finished.is_some())
    }

    /// Whether there is a value; `None` if there is nothing yet (Python's `successful`).
    pub fn is_successful(&self) -> Option<bool> {
        self.is_ready().then(|| self.read_within(Some(Duration::ZERO)).is_ok())
    }

    /// Takes the task back: if nobody has begun it, it never will be; if a worker is at it, [`task_token`](crate::task_token) tells the
    /// task there, and if it has not ended a little later ([`Builder::grace`](crate::Builder::grace)) it loses its process, with all that it started. In
    /// either case the result is [`Error::Cancelled`] from now on. `false`: there is a result already.
    ///
    /// Of a call with many tasks those without a result are cancelled.
    ///
    /// # Platform
    /// A thread of a [`ThreadPool`](crate::ThreadPool) cannot be ended: it is given up, and another takes its place.
    pub fn cancel(&self) -> bool {
        let core = &self.shared.core;
        let mut state = core.state.lock();
        let cancelled = core.cancel_job(&mut state, self.job, &Error::Cancelled);
        core.send_out(&mut state);
        drop(state);
        core.nudge_all();
        if cancelled {
            // Somebody has to look after it.
            self.shared.minder.attend();
        }
        cancelled
    }

    /// Calls `done` with the result when it is there, on a thread of this process that is for such calls alone; a panic in it is
    /// caught. May be called several times, also when the result is there already.
    pub fn add_done_callback(&self, done: impl FnOnce(Result<T>) + Send + 'static) {
        let (read, count) = (self.read, self.count);
        self.hook(Hook::Call(Box::new(move |finished| done(read(&finished, count)))));
    }

    pub(crate) fn hook(&self, hook: Hook) {
        // First, so that there is somebody to call it.
        self.shared.minder.attend();
        let kept = self.kept.lock().clone();
        let mut state = self.shared.core.state.lock();
        let finished = kept.or_else(|| state.jobs.get(&self.job).and_then(|job| job.finished.clone()));
        match finished {
            Some(finished) => state.fire(hook, &finished),
            None => {
                if let Some(job) = state.jobs.get_mut(&self.job) {
                    let first = job.hooks.is_empty();
                    job.hooks.push(hook);
                    state.hooked += usize::from(first);
                }
            }
        }
        drop(state);
        self.shared.core.nudge_all();
    }

    /// What came, if it is all there in time.
    fn fetch(&self, timeout: Option<Duration>) -> Result<Option<Finished>> {
        if let Some(finished) = &*self.kept.lock() {
            return Ok(Some(finished.clone()));
        }
        let job = self.job;
        let look = |state: &mut crate::core::State| state.jobs.get(&job)?.finished.clone();
        let found = match timeout {
            Some(Duration::ZERO) => {
                let mut state = self.shared.core.state.lock();
                self.shared.core.step(&mut state);
                look(&mut state)
            }
            _ => {
                let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
                self.shared.core.wait_until(deadline, 0, look)?
            }
        };
        if let Some(finished) = &found {
            *self.kept.lock() = Some(finished.clone());
        }
        Ok(found)
    }
}

impl<T> Drop for AsyncResult<T> {
    fn drop(&mut self) {
        self.shared.core.let_go(self.job);
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult")
            .field("call", &self.job)
            .field("tasks", &self.count)
            .finish_non_exhaustive()
    }
}

/// What `.await` on an [`AsyncResult`] waits for.
#[derive(Debug)]
pub struct ResultFuture<T> {
    result: AsyncResult<T>,
    waker: Arc<Mutex<Option<Waker>>>,
    is_hooked: bool,
}

impl<T: 'static> IntoFuture for AsyncResult<T> {
    type Output = Result<T>;
    type IntoFuture = ResultFuture<T>;

    fn into_future(self) -> ResultFuture<T> {
        ResultFuture { result: self, waker: Arc::default(), is_hooked: false }
    }
}

impl<T: 'static> Future for ResultFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        // Before the look, so that what comes after it wakes.
        *self.waker.lock() = Some(context.waker().clone());
        if !self.is_hooked {
            self.is_hooked = true;
            let waker = self.waker.clone();
            let wake = move |_| {
                if let Some(waker) = waker.lock().take() {
                    waker.wake();
                }
            };
            self.result.hook(Hook::Call(Box::new(wake)));
        }
        match self.result.fetch(Some(Duration::ZERO)) {
            Ok(Some(_)) => Poll::Ready(self.result.get()),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Gives these results as they become ready, whichever is first (Python's `as_completed`).
///
/// # Examples
///
/// ```no_run
/// use mp_pool::{Pool, as_completed};
///
/// mp_pool::init();
/// let pool = Pool::new(2)?;
/// let many = (0..10_u64).map(|x| pool.submit(|x: u64| x * x, (x,))).collect::<Result<Vec<_>, _>>()?;
/// for done in as_completed(many) {
///     println!("{}", done.get()?);
/// }
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub fn as_completed<T: 'static>(results: impl IntoIterator<Item = AsyncResult<T>>) -> AsCompleted<T> {
    let notes: Arc<Mutex<VecDeque<usize>>> = Arc::default();
    let results: Vec<Option<AsyncResult<T>>> = results.into_iter().map(Some).collect();
    for (number, result) in results.iter().flatten().enumerate() {
        result.hook(Hook::Note(notes.clone(), number));
    }
    AsCompleted { left: results.len(), results, notes }
}

/// The iterator of [`as_completed`].
#[derive(Debug)]
pub struct AsCompleted<T> {
    results: Vec<Option<AsyncResult<T>>>,
    left: usize,
    notes: Arc<Mutex<VecDeque<usize>>>,
}

impl<T: 'static> Iterator for AsCompleted<T> {
    type Item = AsyncResult<T>;

    fn next(&mut self) -> Option<AsyncResult<T>> {
        if self.left == 0 {
            return None;
        }
        let mut noted = self.notes.lock().pop_front();
        if noted.is_none() {
            // Those of other pools are minded there; they wake nobody here, so their turn comes at the latest when ours are done.
            let core = self.results.iter().flatten().next()?.shared.core.clone();
            let all_here = self.results.iter().flatten().all(|r| Arc::ptr_eq(&r.shared.core, &core));
            while noted.is_none() {
                let deadline = (!all_here).then(|| Instant::now() + Duration::from_millis(10));
                noted = core.wait_until(deadline, 0, |_| self.notes.lock().pop_front()).ok()?;
            }
        }
        self.left -= 1;
        self.results[noted?].take()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: 'static> ExactSizeIterator for AsCompleted<T> {}

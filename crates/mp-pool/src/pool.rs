//! The pool as its users see it.

use std::fmt;
use std::sync::Arc;

use mp_process::{Departure, Ident, Target};
use mp_session::{Error, Result};
use mp_wire::{Message, Output};

use crate::builder::Builder;
use crate::core::{Core, Phase};
use crate::flow;
use crate::imap::{Imap, ImapUnordered};
use crate::minder::Minder;
use crate::results::AsyncResult;
use crate::shim;
use crate::stats::Stats;
use crate::task::Settings;
use crate::{decode, map};

/// What a pool and its results share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) minder: Minder,
}

/// Many tasks over few processes (Python's `Pool` and `ProcessPoolExecutor`).
///
/// Each task has its own result or error: a task whose worker is killed gets [`Error::Died`], the others never notice,
/// and another worker takes the victim's place. A task is a function or a closure that captures nothing; what it needs
/// are its arguments.
///
/// Workers are started as they are needed, up to the number that was asked for. How the tasks of a call are to be done, with which time limit for
/// instance, is said by [`Pool::with_timeout`] and its kind, for all calls by the [`Builder`]. A [`ThreadPool`](crate::ThreadPool) can be
/// used in a pool's place.
///
/// Dropping the pool lets what was submitted finish, then ends the workers; while its thread panics they end at once.
/// [`Pool::terminate`] does not wait.
///
/// # If a process dies
///
/// A worker: above. The process that owns the pool: its workers end at once, however it ended.
///
/// # Examples
///
/// ```no_run
/// use mp_pool::Pool;
/// use std::time::Duration;
///
/// mp_pool::init();
/// let pool = Pool::new(4)?;
/// let squares: Vec<u64> = pool.map(|x: u64| x * x, 0..1000)?;
/// assert_eq!(pool.apply(|a: u32, b: u32| a + b, (2, 3))?, 5);
/// for length in pool.with_timeout(Duration::from_secs(1)).imap(|s: String| s.len(), ["a", "bc"].map(String::from)) {
///     println!("{}", length?);
/// }
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub struct Pool {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Settings,
    /// It ends the workers when it is dropped. Others are views ([`crate::With`]).
    pub(crate) is_owner: bool,
}

impl Pool {
    /// A pool of up to so many workers.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(processes: usize) -> Result<Pool> {
        Pool::builder().processes(processes).build()
    }

    /// A pool with settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Makes a pool for `work`, and ends it when that returns: what was submitted is finished first. If `work` panics the workers end at
    /// once (Python's `with Pool() as pool`, which always ends them at once).
    ///
    /// # Errors
    /// As [`Pool::new`] and [`Pool::join`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use mp_pool::Pool;
    ///
    /// mp_pool::init();
    /// let cubes = Pool::scope(2, |pool| pool.map(|x: u64| x * x * x, 0..10))??;
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn scope<R>(processes: usize, work: impl FnOnce(&Pool) -> R) -> Result<R> {
        let pool = Pool::new(processes)?;
        let done = work(&pool);
        pool.close();
        pool.join()?;
        Ok(done)
    }

    pub(crate) fn owner(core: Arc<Core>, settings: Settings) -> Pool {
        let minder = Minder::new(core.clone());
        Pool { shared: Arc::new(Shared { core, minder }), settings, is_owner: true }
    }

    /// Calls the function in a worker and waits for what it returns.
    ///
    /// # Errors
    /// What the function's error said ([`Error::Failed`]), its panic, [`Error::Died`] when its worker died over it,
    /// [`Error::Closed`] after [`Pool::close`], [`Error::Encode`] for arguments that cannot be sent.
    ///
    /// # Blocking
    /// Until the task is done, or lost.
    pub fn apply<F, A>(&self, f: F, args: A) -> Result<<F::Output as Output>::Value>
    where
        F: Target<A>,
        A: Message,
    {
        let job = self.send_one(shim::star::<F, A>(f), &args)?;
        let core = &self.shared.core;
        let found = core.wait_until(None, 0, |state| {
            let finished = state.jobs.get(&job)?.finished.is_some();
            if finished { state.jobs.remove(&job)?.finished } else { None }
        });
        match found {
            Ok(Some(finished)) => decode::single(&finished, 1),
            Ok(None) => Err(Error::TimedOut { what: "a task of the pool".into() }),
            Err(error) => {
                core.abandon(job);
                Err(error)
            }
        }
    }

    /// Submits a call, and returns at once with a handle to the result.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`Pool::close`]; [`Error::Encode`] for arguments that cannot be sent.
    pub fn apply_async<F, A>(&self, f: F, args: A) -> Result<AsyncResult<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: Message,
    {
        let job = self.send_one(shim::star::<F, A>(f), &args)?;
        self.shared.minder.attend();
        Ok(AsyncResult::new(self.shared.clone(), job, 1, decode::single))
    }

    /// As [`Pool::apply_async`], by the name that Python's executors have for it.
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn submit<F, A>(&self, f: F, args: A) -> Result<AsyncResult<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: Message,
    {
        self.apply_async(f, args)
    }

    /// As [`Pool::apply_async`]; when the result is there, `done` is called with it on a thread of this process that is
    /// for such calls alone. A panic in it is caught.
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn apply_with_callback<F, A, C>(&self, f: F, args: A, done: C) -> Result<()>
    where
        F: Target<A>,
        A: Message,
        C: FnOnce(Result<<F::Output as Output>::Value>) + Send + 'static,
    {
        let result = self.apply_async(f, args)?;
        result.add_done_callback(done);
        Ok(())
    }

    /// As [`Pool::apply_with_callback`] with a callback for values and one for errors, as Python's `apply_async` has them: one of
    /// the two is called.
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn apply_with_callbacks<F, A, C, E>(&self, f: F, args: A, done: C, failed: E) -> Result<()>
    where
        F: Target<A>,
        A: Message,
        C: FnOnce(<F::Output as Output>::Value) + Send + 'static,
        E: FnOnce(Error) + Send + 'static,
    {
        self.apply_with_callback(f, args, move |result| match result {
            Ok(value) => done(value),
            Err(error) => failed(error),
        })
    }

    /// Calls the function with every item and returns the values in order. The first error that becomes known ends it; see
    /// [`OnError`](crate::OnError).
    ///
    /// # Errors
    /// That error, which says nothing about the other items: [`Pool::map_all`] does.
    ///
    /// # Blocking
    /// Until all is done, or one has failed.
    pub fn map<F, A, R, I>(&self, f: F, items: I) -> Result<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        map::values(self.eager(shim::each::<F, A, R>(f), items, 1), self.settings.on_error)
    }

    /// As [`Pool::map`], with each item's own result: one item's error does not hide the others' values.
    ///
    /// # Errors
    /// When nothing could be done at all.
    pub fn map_all<F, A, R, I>(&self, f: F, items: I) -> Result<Vec<Result<R::Value>>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        map::results(self.eager(shim::each::<F, A, R>(f), items, 1), self.settings.on_error)
    }

    /// As [`Pool::map`]; so many neighbours at a time are done by one worker (Python's `chunksize`).
    ///
    /// It is needed only where neighbours share something, a cache say. For speed it is not: what is sent together follows from how long
    /// tasks take, and what a worker has not begun is given to one that has nothing to do.
    ///
    /// # Errors
    /// As [`Pool::map`], and [`Error::InvalidArgument`] for 0.
    pub fn map_with_chunks<F, A, R, I>(&self, f: F, items: I, chunk_size: usize) -> Result<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        if chunk_size == 0 {
            return Err(flow::no_chunk());
        }
        map::values(self.eager(shim::each::<F, A, R>(f), items, chunk_size), self.settings.on_error)
    }

    /// As [`Pool::map`] for functions of several arguments: each item is a tuple of them.
    ///
    /// # Errors
    /// As [`Pool::map`].
    pub fn starmap<F, A, I>(&self, f: F, items: I) -> Result<Vec<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: Message,
        I: IntoIterator<Item = A>,
    {
        map::values(self.eager(shim::star::<F, A>(f), items, 1), self.settings.on_error)
    }

    /// As [`Pool::map_all`] for functions of several arguments.
    ///
    /// # Errors
    /// As [`Pool::map_all`].
    pub fn starmap_all<F, A, I>(&self, f: F, items: I) -> Result<Vec<Result<<F::Output as Output>::Value>>>
    where
        F: Target<A>,
        A: Message,
        I: IntoIterator<Item = A>,
    {
        map::results(self.eager(shim::star::<F, A>(f), items, 1), self.settings.on_error)
    }

    /// Submits a call for every item, and returns at once with a handle to all values. The input is read and encoded now.
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn map_async<F, A, R, I>(&self, f: F, items: I) -> Result<AsyncResult<Vec<R::Value>>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        self.send_all(shim::each::<F, A, R>(f), items)
    }

    /// As [`Pool::map_async`] for functions of several arguments.
    ///
    /// # Errors
    /// As [`Pool::map_async`].
    pub fn starmap_async<F, A, I>(
        &self,
        f: F,
        items: I,
    ) -> Result<AsyncResult<Vec<<F::Output as Output>::Value>>>
    where
        F: Target<A>,
        A: Message,
        I: IntoIterator<Item = A>,
    {
        self.send_all(shim::star::<F, A>(f), items)
    }

    /// Calls the function with every item; the values come in order, as they are asked for. Items are taken from the
    /// iterator only as far ahead as keeps the workers busy ([`Pool::with_read_ahead`]), so it may be endless.
    pub fn imap<F, A, R, I>(&self, f: F, items: I) -> Imap<I::IntoIter, R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self.lazy(shim::each::<F, A, R>(f), items.into_iter()))
    }

    /// As [`Pool::imap`], in the order in which the values become available.
    pub fn imap_unordered<F, A, R, I>(&self, f: F, items: I) -> ImapUnordered<I::IntoIter, R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        ImapUnordered::new(self.lazy(shim::each::<F, A, R>(f), items.into_iter()))
    }

    /// Takes no more tasks.
    pub fn close(&self) {
        self.shared.core.close();
    }

    /// After [`Pool::close`]: waits until all tasks are done and the workers have left.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] before `close` or `terminate`.
    pub fn join(&self) -> Result<()> {
        if self.shared.core.phase() == Phase::Running {
            return Err(Error::InvalidArgument { detail: "close the pool before it is joined".into() });
        }
        self.shared.core.join()
    }

    /// Ends the workers at once, with all that they have started. What was not done gets [`Error::Cancelled`].
    pub fn terminate(&self) {
        self.shared.core.terminate();
    }

    /// Takes no more tasks, and waits for those that there are; `cancel_queued` drops those that nobody has begun, with
    /// [`Error::Cancelled`] (Python's `shutdown(cancel_futures)`).
    ///
    /// # Errors
    /// As [`Pool::join`].
    pub fn shutdown(&self, cancel_queued: bool) -> Result<()> {
        self.close();
        if cancel_queued {
            self.shared.core.cancel_queued();
        }
        self.join()
    }

    /// Changes how many workers there may be. Who is too many leaves when it has finished the task that it is at.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub fn resize(&self, processes: usize) -> Result<()> {
        if processes == 0 {
            return Err(Error::InvalidArgument { detail: "a pool needs a worker".into() });
        }
        self.shared.core.resize(processes);
        Ok(())
    }

    /// The workers that there are now.
    pub fn workers(&self) -> Vec<Ident> {
        self.shared.core.workers()
    }

    /// How many workers there may be.
    pub fn processes(&self) -> usize {
        self.shared.core.processes()
    }

    /// Workers that died, rather than leave, since the pool was made.
    pub fn deaths(&self) -> Vec<(Ident, Departure)> {
        self.shared.core.deaths()
    }

    /// Exact numbers: what is queued, who is at which task since when, what was done, what has failed.
    pub fn stats(&self) -> Stats {
        self.shared.core.stats()
    }

    pub(crate) fn end(&self) {
        let core = &self.shared.core;
        let orderly = !std::thread::panicking() && core.phase() != Phase::Terminated && {
            core.close();
            core.join().is_ok()
        };
        if !orderly {
            core.terminate();
        }
        self.shared.minder.leave();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.is_owner {
            self.end();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers())
            .field("phase", &self.shared.core.phase())
            .finish_non_exhaustive()
    }
}

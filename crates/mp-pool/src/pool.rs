//! The pool as its users see it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_process::{Departure, Ident, Limit, Process, StartMethod, Target};
use mp_session::{Error, Message, Object, Result, Session};
use mp_wire::Output;

use crate::core::{Core, Phase, Plan, Reply};
use crate::imap::{Imap, ImapUnordered};
use crate::minder::Minder;
use crate::results::{AsyncResult, read_single};
use crate::shim::{self, TaskShim};

/// Many tasks over few processes (Python's `Pool`).
///
/// Each task has its own result or error: a task whose worker is killed gets [`Error::Died`], the others never notice,
/// and another worker takes the victim's place. A task is a function or a closure that captures nothing; what it needs
/// are its arguments.
///
/// Dropping the pool lets what was submitted finish, then ends the workers; [`Pool::terminate`] does not wait.
///
/// # If a process dies
///
/// A worker: above. The process that owns the pool: its workers end at once, however it ended.
///
/// # Examples
///
/// ```no_run
/// use mp_pool::Pool;
///
/// mp_pool::init();
/// let pool = Pool::new(4)?;
/// let squares: Vec<u64> = pool.map(|x: u64| x * x, 0..1000)?;
/// assert_eq!(pool.apply(|a: u32, b: u32| a + b, (2, 3))?, 5);
/// for length in pool.imap(|s: String| s.len(), ["a", "bc"].map(String::from)) {
///     println!("{}", length?);
/// }
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub struct Pool {
    core: Arc<Core>,
    minder: Minder,
}

/// Encoded arguments, and the references in them.
type Arguments = (mp_wire::Codec, Vec<u8>, Vec<Box<dyn std::any::Any + Send>>);

/// Settings of a pool.
#[derive(Debug)]
#[must_use = "nothing is started before `build`"]
pub struct Builder {
    processes: Option<usize>,
    worker: mp_process::Builder,
    initializer: Option<(i64, Result<Arguments>)>,
    max_tasks: Option<u64>,
}

impl Builder {
    /// How many workers; as many as there are processors for us by default.
    pub fn processes(mut self, processes: usize) -> Builder {
        self.processes = Some(processes);
        self
    }

    /// A function that each worker calls before its first task. If it fails, or panics, the worker ends; a pool whose
    /// workers all end like that gives up with [`Error::PoolBroken`].
    pub fn initializer<F, A>(mut self, f: F, args: A) -> Builder
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        let mut bytes = Vec::new();
        let encoded = mp_wire::encode(&args, &mut bytes).map(|e| (e.codec, bytes, e.exports));
        self.initializer = Some((mp_process::__private::name_of_target::<F, A>(f), encoded));
        self
    }

    /// Replaces each worker after so many tasks (a chunk of a map is one).
    pub fn max_tasks_per_child(mut self, tasks: u64) -> Builder {
        self.max_tasks = Some(tasks);
        self
    }

    /// How the workers are started.
    pub fn start_method(mut self, method: StartMethod) -> Builder {
        self.worker = self.worker.start_method(method);
        self
    }

    /// Limits what each worker may use.
    pub fn limit(mut self, limit: Limit, value: u64) -> Builder {
        self.worker = self.worker.limit(limit, value);
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no workers or no tasks; as [`Process::spawn`] otherwise.
    pub fn build(self) -> Result<Pool> {
        let processes = self.processes.unwrap_or_else(mp_process::cpu_count);
        if processes == 0 || self.max_tasks == Some(0) {
            return Err(Error::InvalidArgument {
                detail: "a pool needs a worker, and a worker a task".into(),
            });
        }
        let session = Session::current()?;
        let initializer = match self.initializer {
            None => None,
            Some((name, encoded)) => {
                let (codec, bytes, exports) = encoded?;
                Some((name, Message::pack(&session, codec, &bytes, exports)?))
            }
        };
        let plan = Plan { processes, builder: self.worker, initializer, max_tasks: self.max_tasks };
        let core = Core::new(plan)?;
        Ok(Pool { minder: Minder::new(core.clone()), core })
    }
}

impl Pool {
    /// A pool of so many workers.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(processes: usize) -> Result<Pool> {
        Pool::builder().processes(processes).build()
    }

    /// A pool with settings.
    pub fn builder() -> Builder {
        Builder { processes: None, worker: Process::builder(), initializer: None, max_tasks: None }
    }

    /// Calls the function in a worker and waits for what it returns.
    ///
    /// # Errors
    /// What the function's error said ([`Error::Failed`]), its panic, [`Error::Died`] when its worker died over it,
    /// [`Error::Closed`] after [`Pool::close`].
    pub fn apply<F, A>(&self, f: F, args: A) -> Result<<F::Output as Output>::Value>
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        let ticket = self.submit(shim::single::<F, A>(f), &args)?;
        read_single(self.core.wait(ticket, None)?)
    }

    /// Calls the function in a worker, and returns at once with a handle to the result.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`Pool::close`]; [`Error::Encode`] for arguments that cannot be sent.
    pub fn apply_async<F, A>(&self, f: F, args: A) -> Result<AsyncResult<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        let ticket = self.submit(shim::single::<F, A>(f), &args)?;
        self.minder.attend(None);
        Ok(AsyncResult::new(self.core.clone(), ticket))
    }

    /// As [`Pool::apply_async`]; when the result is there, `done` is called with it on a thread of this process that is
    /// for such calls alone. A panic in it is caught.
    ///
    /// # Errors
    /// As [`Pool::apply_async`].
    pub fn apply_with_callback<F, A, C>(&self, f: F, args: A, done: C) -> Result<()>
    where
        F: Target<A>,
        A: mp_wire::Message,
        C: FnOnce(Result<<F::Output as Output>::Value>) + Send + 'static,
    {
        let ticket = self.submit(shim::single::<F, A>(f), &args)?;
        self.minder.attend(Some((ticket, Box::new(move |reply: Option<Reply>| done(read_single(reply))))));
        Ok(())
    }

    /// Calls the function with every item, in chunks, and returns the values in order. The first error ends it.
    ///
    /// # Errors
    /// That of the first item, in order, that failed.
    pub fn map<F, A, R, I>(&self, f: F, items: I) -> Result<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: mp_wire::Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        self.map_all(f, items)?.into_iter().collect()
    }

    /// As [`Pool::map`], with each item's own result: one item's error does not hide the others' values.
    ///
    /// # Errors
    /// When nothing could be done at all.
    pub fn map_all<F, A, R, I>(&self, f: F, items: I) -> Result<Vec<Result<R::Value>>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: mp_wire::Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        self.map_chunked(shim::chunk::<F, A, R>(f), items, None)
    }

    /// As [`Pool::map`], with the size of the chunks chosen.
    ///
    /// # Errors
    /// As [`Pool::map`], and [`Error::InvalidArgument`] for 0.
    pub fn map_with_chunks<F, A, R, I>(&self, f: F, items: I, chunk_size: usize) -> Result<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: mp_wire::Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        self.map_chunked(shim::chunk::<F, A, R>(f), items, Some(chunk_size))?.into_iter().collect()
    }

    /// As [`Pool::map`] for functions of several arguments: each item is a tuple of them.
    ///
    /// # Errors
    /// As [`Pool::map`].
    pub fn starmap<F, A, I>(&self, f: F, items: I) -> Result<Vec<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: mp_wire::Message,
        I: IntoIterator<Item = A>,
    {
        self.map_chunked(shim::star_chunk::<F, A>(f), items, None)?.into_iter().collect()
    }

    fn map_chunked<A, T, I>(
        &self,
        shim: TaskShim,
        items: I,
        chunk_size: Option<usize>,
    ) -> Result<Vec<Result<T>>>
    where
        A: mp_wire::Message,
        T: mp_wire::Message,
        I: IntoIterator<Item = A>,
    {
        let items: Vec<A> = items.into_iter().collect();
        let size = match chunk_size {
            Some(0) => return Err(Error::InvalidArgument { detail: "chunks of no items".into() }),
            Some(size) => size,
            // Python's rule: four chunks a worker.
            None => items.len().div_ceil(self.core.processes() * 4).max(1),
        };
        crate::chunks::map(&self.core, shim, items, size)
    }

    /// Calls the function with every item; the values come in order, as they are asked for. Items are taken from the
    /// iterator only as far ahead as keeps the workers busy, so it may be endless.
    pub fn imap<F, A, R, I>(&self, f: F, items: I) -> Imap<'_, I::IntoIter, A, R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: mp_wire::Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self.core.clone(), shim::each::<F, A, R>(f), items.into_iter())
    }

    /// As [`Pool::imap`], in the order in which the values become available.
    pub fn imap_unordered<F, A, R, I>(&self, f: F, items: I) -> ImapUnordered<'_, I::IntoIter, A, R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: mp_wire::Message,
        R: Output,
        I: IntoIterator<Item = A>,
    {
        ImapUnordered::new(self.core.clone(), shim::each::<F, A, R>(f), items.into_iter())
    }

    /// Takes no more tasks.
    pub fn close(&self) {
        self.core.close();
    }

    /// After [`Pool::close`]: waits until all tasks are done and the workers have left.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] before `close` or `terminate`.
    pub fn join(&self) -> Result<()> {
        if self.core.phase() == Phase::Running {
            return Err(Error::InvalidArgument { detail: "close the pool before it is joined".into() });
        }
        self.core.join()
    }

    /// Ends the workers at once. What was not done gets [`Error::Cancelled`].
    pub fn terminate(&self) {
        self.core.terminate();
    }

    /// The workers that there are now.
    pub fn workers(&self) -> Vec<Ident> {
        self.core.workers()
    }

    /// Workers that died, rather than leave, since the pool was made.
    pub fn deaths(&self) -> Vec<(Ident, Departure)> {
        self.core.deaths()
    }

    fn submit<A: mp_wire::Message>(&self, shim: TaskShim, args: &A) -> Result<u64> {
        submit(&self.core, shim, args)
    }
}

/// Encodes and submits.
pub(crate) fn submit<A: mp_wire::Message>(core: &Core, shim: TaskShim, args: &A) -> Result<u64> {
    let mut bytes = Vec::new();
    let encoded = mp_wire::encode(args, &mut bytes)?;
    let exports = encoded.exports.into_iter().map(Object::from_export).collect::<Result<Vec<_>>>()?;
    core.submit(shim::name(shim), encoded.codec, bytes, exports)
}

impl Drop for Pool {
    fn drop(&mut self) {
        let orderly = !std::thread::panicking() && self.core.phase() != Phase::Terminated && {
            self.core.close();
            self.core.join().is_ok()
        };
        if !orderly {
            self.core.terminate();
        }
        self.minder.leave();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers())
            .field("phase", &self.core.phase())
            .finish_non_exhaustive()
    }
}

/// When to stop waiting.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

//! Settings of a pool.

use std::sync::Arc;
use std::time::Duration;

use mp_process::{Limit, Process, StartMethod, Target};
use mp_session::{Blueprint, Error, Kind, Message, Object, Result, Session, Shape};

use crate::core::{Core, Plan};
use crate::pool::Pool;
use crate::station::{Processes, Terms, Threads};
use crate::task::{OnError, Settings};
use crate::threads::ThreadPool;
use crate::worker;

/// Encoded arguments, and the references in them.
type Arguments = (mp_wire::Codec, Vec<u8>, Vec<Box<dyn std::any::Any + Send>>);

/// How long a cancelled task has by default.
const GRACE: Duration = Duration::from_millis(500);
/// Pools inside the workers of pools, by default.
const DEEPEST: u32 = 10;

/// Settings of a pool.
#[derive(Debug)]
#[must_use = "nothing is started before `build`"]
pub struct Builder {
    processes: Option<usize>,
    worker: mp_process::Builder,
    initializer: Option<(i64, Result<Arguments>)>,
    max_tasks: Option<u64>,
    idle: Option<Duration>,
    settings: Settings,
    prestart: bool,
    grace: Duration,
    deepest: u32,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            processes: None,
            worker: Process::builder(),
            initializer: None,
            max_tasks: None,
            idle: None,
            settings: Settings::default(),
            prestart: false,
            grace: GRACE,
            deepest: DEEPEST,
        }
    }

    /// How many workers there may be; as many as there are processors for us by default.
    pub fn processes(mut self, processes: usize) -> Builder {
        self.processes = Some(processes);
        self
    }

    /// A function that each worker calls before its first task. If it fails, or panics, the worker ends; a pool whose
    /// workers end like that one after the other gives up with [`Error::PoolBroken`].
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

    /// Replaces each worker after so many tasks. An item of a map is one; Python counts chunks.
    pub fn max_tasks_per_child(mut self, tasks: u64) -> Builder {
        self.max_tasks = Some(tasks);
        self
    }

    /// Workers that had nothing to do for so long leave; others are started when there is something to do again.
    pub fn idle_timeout(mut self, idle: Duration) -> Builder {
        self.idle = Some(idle);
        self
    }

    /// Starts all workers at once, and replaces each that ends at once, where otherwise they are started when there are tasks for them.
    pub fn prestart(mut self, prestart: bool) -> Builder {
        self.prestart = prestart;
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

    /// Limits the private memory of each worker: a task that wants more than that loses its worker, as an error of that task alone.
    pub fn memory_limit(self, bytes: u64) -> Builder {
        self.limit(Limit::Data, bytes)
    }

    /// The time limit of all calls ([`Pool::with_timeout`]).
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.settings.timeout = Some(timeout);
        self
    }

    /// How often tasks are tried again whose workers died ([`Pool::with_retries`]).
    pub fn retries(mut self, retries: u32) -> Builder {
        self.settings.retries = retries;
        self
    }

    /// What calls do about the rest when one of their tasks has failed.
    pub fn on_error(mut self, policy: OnError) -> Builder {
        self.settings.on_error = policy;
        self
    }

    /// How many items lazy maps have under way ([`Pool::with_read_ahead`]); 64 for each worker by default.
    pub fn read_ahead(mut self, items: usize) -> Builder {
        self.settings.read_ahead = Some(items);
        self
    }

    /// How many bytes of items maps have under way ([`Pool::with_read_ahead_bytes`]); 16 MiB by default.
    pub fn read_ahead_bytes(mut self, bytes: usize) -> Builder {
        self.settings.read_ahead_bytes = Some(bytes);
        self
    }

    /// How long a task that was cancelled, or whose time is up, has to end by itself; half a second by default.
    pub fn grace(mut self, grace: Duration) -> Builder {
        self.grace = grace;
        self
    }

    /// How deep pools may be inside workers of pools; 10 by default.
    pub fn max_depth(mut self, depth: u32) -> Builder {
        self.deepest = depth;
        self
    }

    /// Makes the pool, and starts its first worker.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no workers or no tasks; [`Error::LimitReached`] too deep inside workers of other pools; as
    /// [`Process::spawn`] otherwise.
    pub fn build(self) -> Result<Pool> {
        self.make("PoolWorker", |terms, worker| Box::new(Processes { terms, builder: worker }))
    }

    /// Makes a pool of threads with these settings. Those that are about processes have no effect.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn build_threads(self) -> Result<ThreadPool> {
        self.make("ThreadPoolWorker", |terms, _| Box::new(Threads { terms, ended: Arc::default() }))
            .map(ThreadPool::from_pool)
    }

    fn make(
        self,
        name: &'static str,
        transport: impl FnOnce(Terms, mp_process::Builder) -> Box<dyn crate::transport::Transport>,
    ) -> Result<Pool> {
        let processes = self.processes.unwrap_or_else(mp_process::cpu_count);
        if processes == 0 || self.max_tasks == Some(0) {
            return Err(Error::InvalidArgument {
                detail: "a pool needs a worker, and a worker a task".into(),
            });
        }
        if worker::depth() >= self.deepest {
            return Err(Error::LimitReached {
                limit: "pools inside workers of pools".into(),
                detail: format!("{} deep already", worker::depth()),
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
        let blueprint = Blueprint { kind: Kind::POOL, fingerprint: 0, shape: Shape::Plain, size: 0 };
        let control = Object::create(&session, blueprint, |_, _| {})?;
        let terms = Terms {
            session: session.clone(),
            control: control.clone(),
            initializer,
            max_tasks: self.max_tasks,
            idle: self.idle,
        };
        let plan = Plan { name, prestart: self.prestart, grace: self.grace };
        let core = Core::new(session, control, plan, transport(terms, self.worker), processes)?;
        Ok(Pool::owner(core, self.settings))
    }
}

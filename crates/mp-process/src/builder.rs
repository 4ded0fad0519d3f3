//! What a child is to be.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use mp_session::{Message, Session};
use mp_wire::{Error, Output, Result};

use crate::current;
use crate::events;
use crate::handles;
use crate::launch;
use crate::process::{Facts, Process};
use crate::signals::{self, OnInterrupt};
use crate::spec::{Limit, Spec};
use crate::start::StartMethod;
use crate::streams::{self, Stream};
use crate::target::{self, Run, Shim, Target};

/// Sets what a child is to be, then starts it; as rich as `std::process::Command`.
///
/// # Examples
///
/// ```no_run
/// use mp_process::{Process, StartMethod};
///
/// mp_process::init();
/// let child = Process::builder()
///     .name("worker")
///     .daemon(true)
///     .env("LANG", "C")
///     .start_method(StartMethod::Spawn)
///     .spawn(|| std::env::var("LANG").unwrap_or_default(), ())?;
/// assert_eq!(child.join()?, "C");
/// # Ok::<(), mp_process::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing runs before `spawn` or `run`"]
pub struct Builder {
    name: Option<String>,
    method: Option<StartMethod>,
    daemon: Option<bool>,
    env: Vec<(OsString, Option<OsString>)>,
    env_clear: bool,
    streams: [Option<Stream>; 3],
    spec: Spec,
}

impl Builder {
    /// A child like its parent.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Its name; at most 64 bytes are kept. It shows up in errors and, in short, in `ps`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Whether it ends with this process, however that ends. By default it is what this process is: a daemon's children, if it
    /// [may have any](Builder::may_have_children), are daemons.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = Some(daemon);
        self
    }

    /// Lets a daemon have children all the same.
    pub fn may_have_children(mut self, yes: bool) -> Builder {
        self.spec.may_have_children = yes;
        self
    }

    /// What it does when Ctrl-C is pressed. By default its parent decides.
    pub fn on_interrupt(mut self, on_interrupt: OnInterrupt) -> Builder {
        self.spec.on_interrupt = on_interrupt;
        self
    }

    /// How it is started.
    pub fn start_method(mut self, method: StartMethod) -> Builder {
        self.method = Some(method);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Builder {
        self.env.push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Removes a variable from its environment.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Builder {
        self.env.push((key.as_ref().to_owned(), None));
        self
    }

    /// Starts it with no variables but those set by [`Builder::env`].
    pub fn env_clear(mut self) -> Builder {
        self.env_clear = true;
        self.env.clear();
        self
    }

    /// Its working directory.
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Builder {
        self.spec.cwd = Some(dir.into());
        self
    }

    /// Its standard input; nothing by default, for several processes cannot share a terminal's input.
    pub fn stdin(mut self, stream: impl Into<Stream>) -> Builder {
        self.streams[0] = Some(stream.into());
        self
    }

    /// Its standard output; ours by default.
    pub fn stdout(mut self, stream: impl Into<Stream>) -> Builder {
        self.streams[1] = Some(stream.into());
        self
    }

    /// Its standard error; ours by default.
    pub fn stderr(mut self, stream: impl Into<Stream>) -> Builder {
        self.streams[2] = Some(stream.into());
        self
    }

    /// Its file creation mask.
    ///
    /// # Platform
    /// Unix.
    pub fn umask(mut self, mask: u32) -> Builder {
        self.spec.umask = Some(mask);
        self
    }

    /// Adds to its niceness.
    ///
    /// # Platform
    /// Unix; elsewhere the child fails with [`Error::Os`].
    pub fn nice(mut self, delta: i32) -> Builder {
        self.spec.nice = Some(delta);
        self
    }

    /// The processors that it may use.
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Builder {
        self.spec.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// Limits what it may use.
    pub fn limit(mut self, limit: Limit, value: u64) -> Builder {
        self.spec.limits.push((limit, value));
        self
    }

    /// Its user.
    pub fn uid(mut self, uid: u32) -> Builder {
        self.spec.uid = Some(uid);
        self
    }

    /// Its group.
    pub fn gid(mut self, gid: u32) -> Builder {
        self.spec.gid = Some(gid);
        self
    }

    /// Makes it the leader of a session of terminals of its own, and so of a process group of its own: Ctrl-C and the end of the
    /// terminal do not reach it, and [`Process::kill_group`] takes along whatever it starts.
    ///
    /// # Platform
    /// Unix; elsewhere the child fails with [`Error::Os`].
    pub fn new_session(mut self) -> Builder {
        self.spec.new_session = true;
        self
    }

    /// Its process group; 0 for one of its own.
    ///
    /// # Platform
    /// Unix; elsewhere the child fails with [`Error::Os`].
    pub fn process_group(mut self, group: u32) -> Builder {
        self.spec.process_group = Some(group);
        self
    }

    /// Starts the process with `target`.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn<F, A>(self, target: F, args: A) -> Result<Process<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        self.start_safely(target::shim::<F, A>(target), &args)
    }

    /// Starts the process with a struct's `run`.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn run<S: Run>(self, it: S) -> Result<Process<<S::Output as Output>::Value>> {
        self.start_safely(target::run_shim::<S>(), &it)
    }

    fn start_safely<A: mp_wire::Message, T: mp_wire::Message>(
        self,
        shim: Shim,
        args: &A,
    ) -> Result<Process<T>> {
        let method = self.method.unwrap_or_else(current::method).require()?;
        self.start(method, shim, args)
    }

    /// For [`StartMethod::Fork`] the caller has made the promise that it takes ([`Builder::fork`]).
    pub(crate) fn start<A: mp_wire::Message, T: mp_wire::Message>(
        mut self,
        method: StartMethod,
        shim: Shim,
        args: &A,
    ) -> Result<Process<T>> {
        current::require_initialised()?;
        current::require_may_have_children()?;
        let session = Session::current()?;
        self.check()?;
        signals::become_parent();
        let name = self.name.take().unwrap_or_else(current::next_name);
        self.spec.target = target::name_of(shim);
        self.spec.image = mp_sys::image_id();
        self.spec.daemon = self.daemon.unwrap_or_else(current::is_daemon);
        self.spec.depth = current::depth() + 1;
        self.spec.log = events::inherited();
        self.spec.start_method = current::method().code();
        let changed = self.env_clear || !self.env.is_empty();
        let env = changed.then(|| self.environment());
        let [stdin, stdout, stderr] = self.streams;
        let mut streams =
            [stdin.unwrap_or(Stream::Null), stdout.unwrap_or_default(), stderr.unwrap_or_default()];
        let pipes = streams::connect(&mut streams)?;
        let daemon = self.spec.daemon;
        let order = launch::Order { method, env, streams, spec: self.spec, handles: Vec::new() };
        let leads_group = order.spec.new_session || order.spec.process_group == Some(0);
        let mut order = order.prepare()?;
        let mut payload = Vec::with_capacity(256);
        order.spec.write(&mut payload)?;
        let head = payload.len();
        let encoded = mp_wire::encode(args, &mut payload)?;
        let sorted = handles::sort(encoded.exports)?;
        if !sorted.handles.is_empty() {
            // Known only now, and rare.
            order.spec.handles = sorted.places;
            order.handles = sorted.handles;
            let args = payload.split_off(head);
            payload.clear();
            order.spec.write(&mut payload)?;
            payload.extend_from_slice(&args);
        }
        let message = Message::pack(&session, encoded.codec, &payload, sorted.objects)?;
        let (place, process) = launch::launch(&session, &name, order, &message)?;
        Ok(Process::new(place, process, name, Facts { daemon, method, leads_group }, pipes))
    }

    /// What no process can be given, said before there is one.
    fn check(&self) -> Result<()> {
        let nul = |s: &OsStr| s.as_encoded_bytes().contains(&0);
        for (key, value) in &self.env {
            let bytes = key.as_encoded_bytes();
            if bytes.is_empty() || bytes.contains(&b'=') || nul(key) {
                return Err(invalid(format!("an environment variable cannot be called {key:?}")));
            }
            if value.as_deref().is_some_and(nul) {
                return Err(invalid(format!("a NUL in the environment variable {key:?}")));
            }
        }
        match &self.spec.cwd {
            Some(dir) if nul(dir.as_os_str()) => Err(invalid(format!("a NUL in the directory {dir:?}"))),
            _ => Ok(()),
        }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> =
            if self.env_clear { Vec::new() } else { std::env::vars_os().collect() };
        for (key, value) in &self.env {
            env.retain(|(k, _)| !mp_sys::same_variable(k, key));
            if let Some(value) = value {
                env.push((key.clone(), value.clone()));
            }
        }
        env
    }
}

impl Builder {
    /// For pools: a worker's start with what they need beyond the public settings.
    #[doc(hidden)]
    pub fn error_if_uninitialised() -> std::result::Result<(), Error> {
        current::require_initialised()
    }
}

fn invalid(detail: String) -> Error {
    Error::InvalidArgument { detail }
}

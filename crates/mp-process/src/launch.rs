//! Starting the process for a place, by one of the methods.

use std::ffi::OsString;
use std::sync::Arc;

use mp_session::{Message, Place, SESSION_VAR, Session, StartedProcess};
use mp_sys::{Program, SpawnRequest, Stdio};
use mp_wire::{Error, Result};

use crate::fork;
use crate::fork_server;
use crate::handles::{self, HANDLES_VAR};
use crate::spec::Spec;
use crate::start::StartMethod;
use crate::streams::Stream;

/// What is to be started, before and after the method had its say.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) method: StartMethod,
    /// The child's environment, if it differs from ours.
    pub(crate) env: Option<Vec<(OsString, OsString)>>,
    pub(crate) streams: [Stream; 3],
    pub(crate) spec: Spec,
    /// What of the system's goes along ([`crate::handles`]).
    pub(crate) handles: Vec<mp_sys::OsHandle>,
}

impl Order {
    /// Puts into the spec what this method does not give the child by itself.
    pub(crate) fn prepare(mut self) -> Result<Order> {
        match self.method {
            StartMethod::ForkServer => fork_server::complete(&mut self)?,
            StartMethod::Fork => self.spec.env = self.env.take(),
            StartMethod::Spawn => {}
        }
        Ok(self)
    }
}

/// Starts a process with these arguments.
pub(crate) fn launch(
    session: &Session,
    name: &str,
    order: Order,
    message: &Message,
) -> Result<(Place, Arc<StartedProcess>)> {
    if order.method == StartMethod::ForkServer {
        return fork_server::launch(session, name, &order, message);
    }
    let place = session.reserve(name)?;
    match place.put_arguments(message).and_then(|()| begin(&place, order)) {
        Ok(process) => {
            let process = Arc::new(process);
            place.started(process.clone());
            Ok((place, process))
        }
        Err(error) => {
            place.give_up()?;
            Err(error)
        }
    }
}

fn begin(place: &Place, order: Order) -> Result<StartedProcess> {
    match order.method {
        StartMethod::Fork => fork::fork(place, order),
        StartMethod::Spawn | StartMethod::ForkServer => spawn(place, order),
    }
}

fn spawn(place: &Place, order: Order) -> Result<StartedProcess> {
    let ticket = place.ticket()?;
    let mut env = order.env.unwrap_or_else(|| std::env::vars_os().collect());
    env.retain(|(key, _)| key != SESSION_VAR && key != HANDLES_VAR);
    env.push((SESSION_VAR.into(), ticket.to_text().into()));
    let mut inherit = ticket.descriptors();
    if !order.handles.is_empty() {
        env.push((HANDLES_VAR.into(), handles::to_text(&order.handles).into()));
        inherit.extend(order.handles.iter().map(mp_sys::number_to_inherit));
    }
    let stdio = |stream: Stream| match stream {
        Stream::Inherit => Ok(Stdio::Inherit),
        Stream::Null => Ok(Stdio::Null),
        Stream::Handle(handle) => mp_sys::duplicate_handle(mp_sys::borrow(&handle)).map(Stdio::Handle),
        Stream::Piped => Err(std::io::ErrorKind::InvalidInput.into()), // made one before
    };
    let [stdin, stdout, stderr] = order.streams.map(stdio);
    let what = |e| start_error("standard streams for a process", e);
    let request = SpawnRequest {
        program: Program::SelfImage,
        args: std::env::args_os().skip(1).collect(),
        env,
        inherit,
        stdio: [stdin.map_err(what)?, stdout.map_err(what)?, stderr.map_err(what)?],
        cwd: None,
        // Where it could not do so itself (Windows).
        new_process_group: order.spec.process_group == Some(0),
        hold_interrupt: true,
    };
    let child = mp_sys::spawn(&request).map_err(|e| start_error("start a process", e))?;
    Ok(StartedProcess::new(child))
}

/// An error that names the limit where it is one.
pub(crate) fn start_error(what: &str, e: std::io::Error) -> Error {
    let limit = match e.kind() {
        std::io::ErrorKind::WouldBlock => Some("processes (RLIMIT_NPROC, or the container's pids.max)"),
        std::io::ErrorKind::OutOfMemory => Some("memory"),
        _ if mp_sys::is_out_of_descriptors(&e) => Some("open descriptors"),
        _ => None,
    };
    match limit {
        Some(limit) => Error::LimitReached { limit: limit.into(), detail: format!("{what}: {e}") },
        None => Error::os(what, e),
    }
}

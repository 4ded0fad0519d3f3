//! Receiving frames.
//!
//! A read takes as much as there is, up to [`AHEAD`], so that many small messages are one system call. What is larger goes to its place directly. Memory is asked
//! for as the bytes come, whatever the head of a frame claims; a frame above the limit is refused when its head is read, and nothing is read after it.
//!
//! Handles come with bytes, and belong to the frame that those bytes are of: the kernel ends a read behind the bytes that some came with.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use mp_sys::OsHandle;
use mp_wire::{Error, Result};

use super::framing::{self, Parsed};
use super::wire::Wire;

/// How much is read beyond what was asked for.
const AHEAD: usize = 16 << 10;
/// Memory is asked for in steps of this many bytes at first: what the head of a frame claims may not come.
const STEP: usize = 1 << 20;
/// The most handles in one message, and in all that lies here unread.
pub(crate) const MAX_HANDLES: usize = 1000;

/// What was received.
#[derive(Debug)]
pub(crate) enum Payload {
    Bytes(Vec<u8>),
    /// So many bytes, which lie in the slice.
    InSlice(usize),
}

#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) payload: Payload,
    pub(crate) handles: Vec<OsHandle>,
}

/// How one frame is to be received.
pub(crate) struct Request<'a> {
    /// Where it goes if it fits.
    pub(crate) slice: Option<&'a mut [u8]>,
    /// The longest payload.
    pub(crate) limit: u64,
    /// Nothing is read beyond the frame, so that the descriptor tells of what comes next.
    pub(crate) exact: bool,
    pub(crate) deadline: Option<Instant>,
}

/// A frame of which the head was read.
#[derive(Debug)]
struct Partial {
    payload: u64,
    bytes: Vec<u8>,
    have: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Inlet {
    /// What was read ahead is `ahead[start..]`.
    ahead: Vec<u8>,
    start: usize,
    /// How many bytes have come in all.
    position: u64,
    /// Handles, and how many bytes had come when they had.
    handles: VecDeque<(u64, Vec<OsHandle>)>,
    partial: Option<Partial>,
    /// Nothing more can be received, and why.
    ended: Option<Error>,
}

impl Inlet {
    /// Whether something lies here already.
    pub(crate) fn has_any(&self) -> bool {
        self.start < self.ahead.len() || self.partial.is_some() || self.ended.is_some()
    }

    fn unread(&self) -> &[u8] {
        &self.ahead[self.start..]
    }

    /// Receives a frame. `None`: the deadline came first; what has come of it is kept for the next call.
    pub(crate) fn receive(
        &mut self,
        wire: &Wire,
        what: &str,
        mut request: Request<'_>,
    ) -> Result<Option<Received>> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        match self.try_receive(wire, what, &mut request) {
            Err(error) if is_final(&error) => {
                self.partial = None;
                self.handles.clear();
                // What was cut off is told once, and then the end.
                self.ended = Some(match &error {
                    Error::Torn { .. } => disconnected(what),
                    other => other.clone(),
                });
                Err(error)
            }
            result => result,
        }
    }

    fn try_receive(
        &mut self,
        wire: &Wire,
        what: &str,
        request: &mut Request<'_>,
    ) -> Result<Option<Received>> {
        if wire.socket.keeps_bounds() {
            return self.message(wire, what, request);
        }
        if self.partial.is_none() {
            loop {
                match framing::parse(self.unread())? {
                    Parsed::Head { payload, head } => {
                        if payload > request.limit {
                            return Err(too_long(what, payload, request.limit));
                        }
                        self.start += head;
                        self.partial = Some(Partial { payload, bytes: Vec::new(), have: 0 });
                        break;
                    }
                    Parsed::Needs(head) => {
                        let missing = head - self.unread().len();
                        if !self.fill(
                            wire,
                            what,
                            if request.exact { missing } else { AHEAD },
                            request.deadline,
                        )? {
                            return Ok(None);
                        }
                    }
                }
            }
        }
        self.body(wire, what, request)
    }

    /// Reads more into the space ahead. `false`: the deadline came first.
    fn fill(&mut self, wire: &Wire, what: &str, most: usize, deadline: Option<Instant>) -> Result<bool> {
        let left = self.unread().len();
        self.ahead.copy_within(self.start.., 0);
        self.ahead.resize(left + most, 0);
        self.start = 0;
        let mut came = Vec::new();
        let read = wire.read(&mut self.ahead[left..], &mut came, deadline);
        let count = read.as_ref().map_or(0, |count| *count);
        self.ahead.truncate(left + count);
        self.came(what, count, came)?;
        match ended(what, left > 0, read)? {
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }

    /// Notes bytes, and the handles with them.
    fn came(&mut self, what: &str, count: usize, handles: Vec<OsHandle>) -> Result<()> {
        self.position += count as u64;
        if handles.is_empty() {
            return Ok(());
        }
        let there: usize = self.handles.iter().map(|(_, some)| some.len()).sum();
        if there + handles.len() > MAX_HANDLES {
            return Err(Error::LimitReached {
                limit: "OS handles in a message".into(),
                detail: format!(
                    "{what}: {} came, a message has at most {MAX_HANDLES}",
                    there + handles.len()
                ),
            });
        }
        self.handles.push_back((self.position, handles));
        Ok(())
    }

    fn body(&mut self, wire: &Wire, what: &str, request: &mut Request<'_>) -> Result<Option<Received>> {
        let Some(mut partial) = self.partial.take() else { return Ok(None) };
        let total =
            usize::try_from(partial.payload).map_err(|_| too_long(what, partial.payload, request.limit))?;
        // Into the caller's slice, unless some of it lies elsewhere since an earlier call.
        let mut slice = match request.slice.take() {
            Some(slice) if partial.have == 0 => slice.get_mut(..total),
            _ => None,
        };
        while partial.have < total {
            if slice.is_none() && partial.bytes.len() == partial.have {
                // The first step, and then as much again as has come.
                let more = total.min(partial.have + partial.have.max(STEP));
                if partial.bytes.is_empty() {
                    partial.bytes = vec![0; more];
                } else {
                    partial.bytes.resize(more, 0);
                }
            }
            let to = match slice.as_deref_mut() {
                Some(slice) => &mut slice[partial.have..],
                None => &mut partial.bytes[partial.have..],
            };
            let ahead = self.unread().len().min(to.len());
            if ahead > 0 {
                to[..ahead].copy_from_slice(&self.ahead[self.start..self.start + ahead]);
                self.start += ahead;
                partial.have += ahead;
                continue;
            }
            let mut came = Vec::new();
            let read = wire.read(to, &mut came, request.deadline);
            let noted = self.came(what, read.as_ref().map_or(0, |count| *count), came);
            match noted.and_then(|()| ended(what, true, read)) {
                // A message without an end must not outlast the deadline.
                Ok(Some(count)) if partial.have + count < total && is_over(request.deadline) => {
                    partial.have += count;
                    self.keep(partial, slice);
                    return Ok(None);
                }
                Ok(Some(count)) => partial.have += count,
                Err(error) if is_final(&error) => return Err(error),
                stopped => {
                    self.keep(partial, slice);
                    return stopped.map(|_| None);
                }
            }
        }
        let payload = match slice {
            Some(_) => Payload::InSlice(total),
            None => {
                partial.bytes.truncate(total);
                Payload::Bytes(partial.bytes)
            }
        };
        Ok(Some(Received {
            payload,
            handles: self.handles_until(self.position - self.unread().len() as u64),
        }))
    }

    /// For the next call.
    fn keep(&mut self, mut partial: Partial, slice: Option<&mut [u8]>) {
        if let Some(slice) = slice {
            partial.bytes = slice[..partial.have].to_vec();
        }
        self.partial = Some(partial);
    }

    fn handles_until(&mut self, position: u64) -> Vec<OsHandle> {
        let mut handles = Vec::new();
        while let Some((_, some)) = self.handles.pop_front_if(|(at, _)| *at <= position) {
            handles.extend(some);
        }
        handles
    }

    /// A message of a connection that keeps their bounds.
    fn message(&mut self, wire: &Wire, what: &str, request: &mut Request<'_>) -> Result<Option<Received>> {
        let mut partial = self.partial.take().unwrap_or(Partial { payload: 0, bytes: Vec::new(), have: 0 });
        loop {
            if partial.have == partial.bytes.len() {
                partial.bytes.resize(partial.have + partial.have.max(AHEAD), 0);
            }
            match wire.socket.read_part(&mut partial.bytes[partial.have..], request.deadline) {
                Ok(Some((count, more))) => {
                    partial.have += count;
                    if partial.have as u64 > request.limit {
                        return Err(too_long(what, partial.have as u64, request.limit));
                    }
                    if !more {
                        break;
                    }
                }
                Ok(None) if partial.have > 0 => return Err(torn(what)),
                Ok(None) => return Err(disconnected(what)),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if partial.have > 0 {
                        self.partial = Some(partial);
                    }
                    return Ok(None);
                }
                Err(error) => return Err(Error::os(format!("receive from {what}"), error)),
            }
        }
        partial.bytes.truncate(partial.have);
        let payload = match request.slice.take().and_then(|slice| slice.get_mut(..partial.have)) {
            Some(slice) => {
                slice.copy_from_slice(&partial.bytes);
                Payload::InSlice(partial.have)
            }
            None => Payload::Bytes(partial.bytes),
        };
        Ok(Some(Received { payload, handles: Vec::new() }))
    }
}

/// What a read means: so many bytes, or `None` when the deadline came first; the end is an error.
fn ended(what: &str, in_a_frame: bool, read: io::Result<usize>) -> Result<Option<usize>> {
    match read {
        Ok(0) if in_a_frame => Err(torn(what)),
        Ok(0) => Err(disconnected(what)),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
        Err(error) if is_gone(&error) && in_a_frame => Err(torn(what)),
        Err(error) if is_gone(&error) => Err(disconnected(what)),
        Err(error) => Err(Error::os(format!("receive from {what}"), error)),
    }
}

/// Whether the other end is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Whether nothing can be received after this error.
fn is_final(error: &Error) -> bool {
    !matches!(error, Error::Cancelled | Error::InvalidArgument { .. } | Error::ForeignFork)
}

pub(crate) fn disconnected(what: &str) -> Error {
    Error::Disconnected { what: what.into(), who: None, how: None }
}

fn torn(what: &str) -> Error {
    Error::Torn { what: what.into(), who: None }
}

fn too_long(what: &str, length: u64, limit: u64) -> Error {
    Error::LimitReached {
        limit: "bytes in a message".into(),
        detail: format!("{what}: a message of {length} was announced, the limit is {limit}"),
    }
}

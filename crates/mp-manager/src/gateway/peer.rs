//! A connection, as the loop sees it: bytes come in, frames go to whoever speaks the peer's language.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::frame::{self, Input};
use super::handshake::{self, Handshake, Step};
use super::link::{Link, past};
use super::rust::Remote;
use crate::python::Python;

/// How many frames of one peer are worked through before others have their turn.
const TURN: usize = 256;
/// Answers are sent when there are so many bytes of them.
const ANSWERS: usize = 1 << 20;

/// What the loop knows of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    link: Arc<Link>,
    input: Input,
    phase: Phase,
    /// When it came in.
    pub(crate) since: Instant,
}

#[derive(Debug)]
enum Phase {
    /// It has to prove that it knows the key.
    Stranger(Handshake),
    /// It has, and its first frame says which language it speaks.
    Known,
    Python(Python),
    Rust(Remote),
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Tell me when more comes.
    Read,
    /// There is more here, but others have their turn first.
    Again,
    /// It is over.
    End,
}

impl Peer {
    /// Somebody who wants to come in.
    pub(crate) fn new(link: Link) -> io::Result<Peer> {
        let (handshake, first) = Handshake::begin()?;
        let mut out = Vec::new();
        frame::write(&mut out, &first);
        link.send(&out);
        let phase = Phase::Stranger(handshake);
        Ok(Peer { link: Arc::new(link), input: Input::default(), phase, since: Instant::now() })
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Whether it has yet to prove that it knows the key.
    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.phase, Phase::Stranger(_))
    }

    /// Something has come, or there is room to send, or it is over.
    pub(crate) fn turn(&mut self, core: &Arc<Core>) -> Next {
        self.link.flush();
        let mut out = std::mem::take(&mut *core.scratch.lock());
        out.clear();
        let next = self.work(core, &mut out);
        if !out.is_empty() {
            self.link.send(&out);
        }
        if out.capacity() <= ANSWERS {
            *core.scratch.lock() = out;
        }
        if next == Next::Read {
            self.input.rest();
        }
        if self.link.is_closed() { Next::End } else { next }
    }

    fn work(&mut self, core: &Arc<Core>, out: &mut Vec<u8>) -> Next {
        let (mut done, mut drained) = (0, false);
        loop {
            if let Some(next) = self.frames(core, out, &mut done) {
                return next;
            }
            if drained {
                return Next::Read;
            }
            let room = self.input.room();
            let size = room.len();
            match self.link.socket().read(room, Some(past())) {
                Ok(0) => return Next::End,
                Ok(count) => {
                    self.input.came(count);
                    if matches!(self.phase, Phase::Stranger(_) | Phase::Known) {
                        // CPython says two things one after the other here, and waits for us to have the first.
                        self.link.socket().acknowledge_now();
                    }
                    drained = count < size;
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Next::Read,
                Err(_) => return Next::End,
            }
        }
    }

    /// Acts on the frames that have come. `None`: on all of them.
    fn frames(&mut self, core: &Arc<Core>, out: &mut Vec<u8>, done: &mut usize) -> Option<Next> {
        loop {
            if self.link.is_clogged() {
                return Some(Next::Read);
            }
            if *done == TURN || out.len() > ANSWERS {
                return Some(Next::Again);
            }
            let limit = if self.is_stranger() { handshake::LIMIT } else { core.limits.frame };
            let goes_on = match self.input.next(limit) {
                Ok(None) => return None,
                Ok(Some(frame)) => Peer::frame(&mut self.phase, &self.link, core, frame, out),
                Err(error) => {
                    core.note(format_args!("a peer is disconnected: {error}"));
                    false
                }
            };
            if !goes_on {
                self.link.send(out);
                out.clear();
                return Some(Next::End);
            }
            *done += 1;
        }
    }

    /// Acts on a frame. `false`: the connection is over, after what is in `out` was sent.
    fn frame(phase: &mut Phase, link: &Arc<Link>, core: &Arc<Core>, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        match phase {
            Phase::Stranger(handshake) => match handshake.step(&core.key, bytes) {
                Step::Send(answer) => {
                    frame::write(out, &answer);
                    true
                }
                Step::Open => {
                    *phase = Phase::Known;
                    true
                }
                Step::Refuse(answer) => {
                    core.note(format_args!("a peer did not prove that it knows the key"));
                    frame::write(out, &answer);
                    false
                }
            },
            Phase::Known => {
                if let Some(remote) = Remote::hello(core, link, bytes, out) {
                    match remote {
                        Ok(remote) => *phase = Phase::Rust(remote),
                        Err(error) => {
                            core.note(format_args!("a client is not served: {error}"));
                            return false;
                        }
                    }
                    return true;
                }
                let mut python = Python::new(core, link);
                let goes_on = python.frame(bytes, out);
                *phase = Phase::Python(python);
                goes_on
            }
            Phase::Python(python) => python.frame(bytes, out),
            Phase::Rust(remote) => remote.frame(bytes, out),
        }
    }

    /// The connection is over: what belonged to it is given back.
    pub(crate) fn end(self) {
        self.link.close();
        match self.phase {
            Phase::Python(python) => python.end(),
            Phase::Rust(remote) => remote.end(),
            Phase::Stranger(_) | Phase::Known => {}
        }
    }
}

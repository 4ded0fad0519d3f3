//! The loop: one thread that lets peers in, reads, does what needs no waiting, and answers.
//!
//! It waits for all connections at once and never for one: each read and write takes what there is. A peer with much to do has its turn, and then the
//! others have theirs. What would have to wait is an agent's ([`super::agent`]).
//!
//! | a peer | costs |
//! |---|---|
//! | that says nothing, without having proved that it knows the key | a descriptor, for [`PATIENCE`], and there are at most [`STRANGERS`] of these: the oldest go |
//! | that says nothing, having proved it | a descriptor and a few hundred bytes |
//! | that sends a part of a frame | that part |
//! | that does not take its answers | a mebibyte or the answer that was begun; then nothing more is done for it |
//! | that sends nonsense | an answer that says so, or its connection |

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_session::primitive::Ordering::*;
use mp_sys::Poller;
use mp_sys::socket::SocketListener;
use mp_wire::{Error, Result};

use super::core::Core;
use super::link::{Link, past};
use super::peer::{Next, Peer};

/// How long a peer has to prove that it knows the key.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many may be at it at once.
const STRANGERS: usize = 512;
/// How often the loop looks at what time brings.
const TICK: Duration = Duration::from_millis(200);
/// How many are let in before those that are in have their turn.
const ADMITTED: usize = 64;

/// What the loop's thread has.
#[derive(Debug)]
pub(crate) struct Server {
    core: Arc<Core>,
    poller: Arc<Poller>,
    listener: SocketListener,
    peers: HashMap<usize, Peer>,
    /// Those that have more to do without anything coming.
    again: Vec<usize>,
    /// Nobody can be let in, for want of descriptors.
    full: bool,
    next_tick: Instant,
}

impl Server {
    pub(crate) fn new(core: Arc<Core>, poller: Arc<Poller>, listener: SocketListener) -> Result<Server> {
        let Some(source) = listener.source() else {
            return Err(Error::Unsupported { what: "a gateway at such an address".into() });
        };
        poller.add(source).map_err(|e| Error::os("watch a listener", e))?;
        let (peers, again) = (HashMap::new(), Vec::new());
        Ok(Server { core, poller, listener, peers, again, full: false, next_tick: Instant::now() + TICK })
    }

    /// Serves until the core says that it is over.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.hear_listener()?;
        let listener = self.listener.source().map(Poller::number);
        let mut reported = Vec::new();
        while self.core.stopping.load(SeqCst) == 0 {
            let deadline = if self.again.is_empty() { self.next_tick } else { past() };
            self.poller
                .wait_until(Some(deadline), |number| reported.push(number))
                .map_err(|e| Error::os("wait for peers", e))?;
            reported.append(&mut self.again);
            for number in reported.drain(..) {
                if Some(number) == listener { self.admit()? } else { self.turn(number) }
            }
            if Instant::now() >= self.next_tick {
                self.tick()?;
            }
        }
        for (_, peer) in self.peers.drain() {
            let _forgotten_already = peer.link().socket().source().map(|source| self.poller.remove(source));
            peer.end();
        }
        Ok(())
    }

    fn hear_listener(&self) -> Result<()> {
        match self.listener.source() {
            Some(source) => {
                self.poller.ask(source, true, false).map_err(|e| Error::os("watch a listener", e))
            }
            None => Ok(()),
        }
    }

    fn turn(&mut self, number: usize) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        match peer.turn(&self.core) {
            Next::Read => peer.link().go_on_reading(),
            Next::Again => self.again.push(number),
            Next::End => {
                if let Some(peer) = self.peers.remove(&number) {
                    self.end(peer);
                }
            }
        }
    }

    fn end(&self, peer: Peer) {
        if let Some(source) = peer.link().socket().source() {
            let _forgotten_already = self.poller.remove(source);
        }
        peer.end();
    }

    fn admit(&mut self) -> Result<()> {
        for _ in 0..ADMITTED {
            match self.listener.accept(Some(past())) {
                Ok(socket) => {
                    let Some(number) = socket.source().map(Poller::number) else { continue };
                    let link = Link::new(socket, self.poller.clone());
                    let peer = match link.socket().source().map(|source| self.poller.add(source)) {
                        Some(Ok(())) => Peer::new(link),
                        Some(Err(error)) => Err(error),
                        None => continue,
                    };
                    match peer {
                        Ok(peer) => {
                            peer.link().go_on_reading();
                            self.peers.insert(number, peer);
                        }
                        Err(error) => self.core.note(format_args!("a peer cannot be let in: {error}")),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                // Who had been waiting is gone again, or there are no descriptors: the next tick tries again.
                Err(error) => {
                    self.core.note(format_args!("nobody can be let in: {error}"));
                    self.full = true;
                    return Ok(());
                }
            }
        }
        self.show_out(STRANGERS);
        self.hear_listener()
    }

    /// Ends the oldest of those that have not proved anything, until there are no more than so many.
    fn show_out(&mut self, keep: usize) {
        if self.peers.len() <= keep {
            return;
        }
        let mut strangers: Vec<(Instant, usize)> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_stranger())
            .map(|(number, peer)| (peer.since, *number))
            .collect();
        if strangers.len() > keep {
            strangers.sort_unstable();
            let many = strangers.len() - keep;
            for (_, number) in strangers.drain(..many) {
                if let Some(peer) = self.peers.remove(&number) {
                    self.end(peer);
                }
            }
        }
    }

    fn tick(&mut self) -> Result<()> {
        let now = Instant::now();
        self.next_tick = now + TICK;
        let late = |peer: &Peer| peer.is_stranger() && now.duration_since(peer.since) > PATIENCE;
        let numbers: Vec<usize> =
            self.peers.iter().filter(|(_, peer)| late(peer)).map(|(number, _)| *number).collect();
        for number in numbers {
            if let Some(peer) = self.peers.remove(&number) {
                self.end(peer);
            }
        }
        self.core.tick(now);
        if std::mem::take(&mut self.full) {
            self.admit()?;
        }
        Ok(())
    }
}

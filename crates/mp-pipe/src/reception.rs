//! Where those who connect prove that they have the key, before `accept` sees them.
//!
//! One thread takes connections from the kernel; each gets a thread of its own for its proof, which ends at its deadline. So whoever says nothing delays
//! nobody.
//!
//! | a connection is | in | until |
//! |---|---|---|
//! | proving | `proving` | it has proven (then it waits), or was refused, or its time is up, or it makes room |
//! | waiting | `waiting` | `accept` takes it |
//!
//! *make-room*: of both together there are at most `pending`. When they are that many, no further one is taken from the kernel, and the one that
//! has been proving longest is shut down once it has been at it for [`SILENCE`]. An honest side is done in a fraction of that.
//!
//! *no-spin*: when the system has no descriptor or no thread for another connection, `accept` is told and the thread waits until it was, or until a
//! connection of ours has ended, before it tries again.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mp_sys::{ReadySignal, Socket, SocketListener};
use mp_wire::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::address::Address;
use crate::authkey::AuthKey;
use crate::link::{DEFAULT_MAX_MESSAGE, Link, Tls};
use crate::listener::{Refused, accept_error};

/// How long a proof may take while others wait for its place.
const SILENCE: Duration = Duration::from_secs(1);
/// How many of the refused are remembered.
const REMEMBERED: usize = 64;
/// The stack of a thread that does a proof.
const STACK: usize = 128 << 10;

/// What applies to those who connect.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) time: Duration,
    pub(crate) pending: usize,
    pub(crate) max_message: u64,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

#[cfg(feature = "tls")]
impl Rules {
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn tls_for_one(&self) -> Result<Option<Tls>> {
        let broken = |e: rustls::Error| Error::InvalidArgument { detail: format!("TLS of a listener: {e}") };
        let tls = self.tls.clone().map(rustls::ServerConnection::new).transpose().map_err(broken)?;
        Ok(tls.map(Tls::new))
    }
}

#[cfg(not(feature = "tls"))]
impl Rules {
    pub(crate) fn has_tls(&self) -> bool {
        false
    }

    fn tls_for_one(&self) -> Result<Option<Tls>> {
        Ok(None)
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            time: Duration::from_secs(10),
            pending: 256,
            max_message: DEFAULT_MAX_MESSAGE,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reception {
    inner: Arc<Inner>,
    /// Until it is closed: the socket, and the thread that takes from it.
    open: Mutex<Option<(Arc<SocketListener>, JoinHandle<()>)>>,
}

#[derive(Debug)]
struct Inner {
    address: Address,
    key: Option<AuthKey>,
    rules: Rules,
    state: Mutex<State>,
    /// Somebody waits for `accept`, an error is to be told, or it is closed.
    came: Condvar,
    /// There is room, an error was told, or it is closed.
    went: Condvar,
    /// Raised once for each that waits, and for an error, and for the end.
    signal: ReadySignal,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Link>,
    /// By age.
    proving: VecDeque<Proving>,
    admitted: u64,
    error: Option<Error>,
    refused: VecDeque<Refused>,
    closed: bool,
}

#[derive(Debug)]
struct Proving {
    number: u64,
    since: Instant,
    /// Its thread has it.
    link: Weak<Link>,
}

impl Reception {
    pub(crate) fn new(
        listener: SocketListener,
        address: &Address,
        key: Option<AuthKey>,
        rules: Rules,
    ) -> Result<Reception> {
        let inner = Arc::new(Inner {
            address: address.clone(),
            key,
            rules,
            state: Mutex::default(),
            came: Condvar::new(),
            went: Condvar::new(),
            signal: ReadySignal::new().map_err(|e| Error::os("signal of a listener", e))?,
        });
        let listener = Arc::new(listener);
        let (taken, theirs) = (listener.clone(), inner.clone());
        let thread = std::thread::Builder::new()
            .name("mp-listener".into())
            .stack_size(STACK)
            .spawn(move || theirs.receive(&taken))
            .map_err(|e| Error::os("start the thread of a listener", e))?;
        Ok(Reception { inner, open: Mutex::new(Some((listener, thread))) })
    }

    /// The next one that has proven. `None`: the deadline came first.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Result<Option<Link>> {
        let mut state = self.inner.state.lock();
        loop {
            if let Some(link) = state.waiting.pop_front() {
                self.inner.signal.lower();
                self.inner.went.notify_one();
                return Ok(Some(link));
            }
            if state.closed {
                return Err(Error::Closed { what: format!("listener at {}", self.inner.address) });
            }
            if let Some(error) = state.error.take() {
                self.inner.signal.lower();
                self.inner.went.notify_one();
                return Err(error);
            }
            match deadline {
                None => self.inner.came.wait(&mut state),
                Some(deadline) if Instant::now() >= deadline => return Ok(None),
                Some(deadline) => drop(self.inner.came.wait_until(&mut state, deadline)),
            }
        }
    }

    /// When it returns the name is free.
    pub(crate) fn close(&self) {
        let Some((listener, thread)) = self.open.lock().take() else { return };
        let mut state = self.inner.state.lock();
        state.closed = true;
        state.waiting.clear();
        for link in state.proving.iter().filter_map(|one| one.link.upgrade()) {
            link.close();
        }
        drop(state);
        listener.close();
        self.inner.signal.raise();
        self.inner.came.notify_all();
        self.inner.went.notify_all();
        let _ = thread.join(); // a panic there was told by itself
    }

    pub(crate) fn take_refused(&self) -> Vec<Refused> {
        self.inner.state.lock().refused.drain(..).collect()
    }

    /// Raised when somebody waits, or there is something to tell.
    pub(crate) fn signal(&self) -> &ReadySignal {
        &self.inner.signal
    }
}

impl Inner {
    /// The thread that takes connections from the kernel.
    fn receive(self: Arc<Inner>, listener: &SocketListener) {
        while self.wait_for_room() {
            match listener.accept(None) {
                Ok(socket) => self.admit(socket),
                Err(e) => self.tell(accept_error(&self.address, e)),
            }
        }
    }

    /// `false`: it is closed.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return false;
            }
            if state.error.is_some() {
                self.went.wait(&mut state);
                continue;
            }
            if state.waiting.len() + state.proving.len() < self.rules.pending {
                return true;
            }
            // *make-room*
            let oldest = state.proving.front().map(|one| (one.since + SILENCE, one.link.clone()));
            match oldest {
                Some((until, link)) if Instant::now() >= until => {
                    state.proving.pop_front();
                    if let Some(link) = link.upgrade() {
                        link.close();
                    }
                }
                Some((until, _)) => drop(self.went.wait_until(&mut state, until)),
                None => self.went.wait(&mut state),
            }
        }
    }

    /// An error that `accept` has to tell.
    fn tell(&self, error: Error) {
        let mut state = self.state.lock();
        if !state.closed && state.error.is_none() {
            state.error = Some(error);
            self.signal.raise();
            self.came.notify_one();
        }
    }

    fn admit(self: &Arc<Inner>, socket: Socket) {
        let what = match socket.peer_address() {
            Some(from) => format!("connection from {from}"),
            None => format!("connection at {}", self.address),
        };
        let tls = match self.rules.tls_for_one() {
            Ok(tls) => tls,
            Err(error) => return self.tell(error),
        };
        let link = Arc::new(Link::over(socket, what, tls));
        link.set_max_message(self.rules.max_message);
        let since = Instant::now();
        let number = {
            let mut state = self.state.lock();
            state.admitted += 1;
            let number = state.admitted;
            state.proving.push_back(Proving { number, since, link: Arc::downgrade(&link) });
            number
        };
        let inner = self.clone();
        let started = std::thread::Builder::new()
            .name("mp-handshake".into())
            .stack_size(STACK)
            .spawn(move || inner.prove(link, number, since));
        if let Err(e) = started {
            drop(self.leave(number));
            self.tell(Error::os("start a thread for a handshake", e));
        }
    }

    /// The thread of one that connects, which alone holds its link but for moments under the lock.
    fn prove(&self, link: Arc<Link>, number: u64, since: Instant) {
        let until = since.checked_add(self.rules.time);
        let proven = link.secure(until).and_then(|()| match &self.key {
            Some(key) => link.authenticate(key, true, until),
            None => Ok(()),
        });
        let mut state = self.leave(number);
        let from = link.peer_address();
        match (proven, Arc::into_inner(link)) {
            (Ok(()), Some(link)) if !link.is_closed() && !state.closed => {
                state.waiting.push_back(link);
                self.signal.raise();
                self.came.notify_one();
            }
            // It had to make room.
            (Ok(()), _) => {}
            (Err(error), _) => {
                if state.refused.len() == REMEMBERED {
                    state.refused.pop_front();
                }
                state.refused.push_back(Refused { from, error });
            }
        }
        self.went.notify_one();
    }

    fn leave(&self, number: u64) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.proving.retain(|one| one.number != number);
        state
    }
}

//! The sending side of a connection: whoever has an answer writes it, and what does not fit at once goes when there is room.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use mp_sys::Poller;
use mp_sys::socket::Socket;
use parking_lot::Mutex;

/// Beyond so many bytes that the peer does not take nothing more is read from it.
const BACKLOG: usize = 1 << 20;

/// A connection, as those see it who answer.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Socket,
    poller: Arc<Poller>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What could not be written yet.
    unsent: Vec<u8>,
    /// How much of it was.
    sent: usize,
    /// The loop wants to hear of what comes.
    reading: bool,
    closed: bool,
}

impl Link {
    pub(crate) fn new(socket: Socket, poller: Arc<Poller>) -> Link {
        Link { socket, poller, state: Mutex::default() }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Writes these bytes, or keeps them for later. A connection that broke takes them and forgets them: its end is the loop's to see.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let written = if state.unsent.is_empty() { self.write(&mut state, bytes) } else { 0 };
        if written < bytes.len() && !state.closed {
            state.unsent.extend_from_slice(&bytes[written..]);
            self.ask(&state);
        }
    }

    fn write(&self, state: &mut State, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.write([&bytes[written..], &[]], &[], Some(past())) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(_) => {
                    self.close_now(state);
                    break;
                }
            }
        }
        written
    }

    /// The peer may have room again.
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock();
        if state.unsent.is_empty() || state.closed {
            return;
        }
        let unsent = std::mem::take(&mut state.unsent);
        let before = state.sent;
        let sent = before + self.write(&mut state, &unsent[before..]);
        if sent < unsent.len() {
            state.unsent = unsent;
            state.sent = sent;
        } else {
            state.sent = 0;
        }
    }

    /// Asks to be told of what comes, unless the peer takes nothing; and of room, if something is to be sent.
    pub(crate) fn go_on_reading(&self) {
        let mut state = self.state.lock();
        state.reading = true;
        self.ask(&state);
    }

    /// Whether the peer takes so little that nothing more should be done for it.
    pub(crate) fn is_clogged(&self) -> bool {
        let state = self.state.lock();
        state.unsent.len() - state.sent > BACKLOG
    }

    fn ask(&self, state: &State) {
        if state.closed {
            return;
        }
        let backlog = state.unsent.len() - state.sent;
        if let Some(source) = self.socket.source()
            && self.poller.ask(source, state.reading && backlog <= BACKLOG, backlog > 0).is_err()
        {
            // It is no longer watched, so it is gone.
            self.socket.shutdown();
        }
    }

    /// Ends the connection for both sides.
    pub(crate) fn close(&self) {
        self.close_now(&mut self.state.lock());
    }

    fn close_now(&self, state: &mut State) {
        if !state.closed {
            state.closed = true;
            state.unsent = Vec::new();
            state.sent = 0;
            self.socket.shutdown();
            // The loop sees the end when it reads.
            if let Some(source) = self.socket.source() {
                let _gone_already = self.poller.ask(source, true, false);
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

/// A deadline at which nothing is waited for.
pub(crate) fn past() -> Instant {
    thread_local! {
        static PAST: Instant = Instant::now();
    }
    PAST.with(|past| *past)
}

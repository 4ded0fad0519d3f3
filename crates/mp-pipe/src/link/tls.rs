//! TLS over the socket of a link, by rustls.
//!
//! Whoever reads takes decrypted bytes first, and feeds what the socket has to the decryption when there are none. One that writes encrypts and sends under
//! one lock, so that records leave in the order in which they were numbered. Nobody waits for the socket with the state locked: a thread that waits to
//! read is in nobody's way.
//!
//! An end without TLS's own farewell may be anybody's doing, so it counts as a message that was cut off; dropping or closing a link says farewell.

use std::io::{self, Read, Write};
use std::time::Instant;

use mp_sys::Socket;
use parking_lot::Mutex;
use rustls::Connection;

/// How much is read from the socket, or encrypted, at a time: about a record.
const RECORD: usize = 16 << 10;

struct State {
    tls: Connection,
    /// What the socket had, as far as it is not decrypted yet.
    cipher: Vec<u8>,
}

pub(crate) struct Tls {
    state: Mutex<State>,
    sending: Mutex<()>,
}

/// A socket with a deadline, for the handshake.
struct Timed<'a>(&'a Socket, Option<Instant>);

impl Read for Timed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf, self.1)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write([buf, &[]], &[], self.1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Decrypts what is there until some of it can be read. `false`: more is needed.
    fn has_plain(&mut self) -> io::Result<bool> {
        loop {
            let known = self.tls.process_new_packets().map_err(io::Error::other)?;
            if known.plaintext_bytes_to_read() > 0 || known.peer_has_closed() {
                return Ok(true);
            }
            if self.cipher.is_empty() {
                return Ok(false);
            }
            let taken = self.tls.read_tls(&mut self.cipher.as_slice())?;
            self.cipher.drain(..taken);
        }
    }

    /// What is to be sent to the other side.
    fn records(&mut self) -> io::Result<Vec<u8>> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records)?;
        }
        Ok(records)
    }
}

impl Tls {
    pub(crate) fn new(tls: impl Into<Connection>) -> Tls {
        Tls { state: Mutex::new(State { tls: tls.into(), cipher: Vec::new() }), sending: Mutex::new(()) }
    }

    /// Agrees on keys; nothing else happens on the link before that.
    pub(crate) fn shake_hands(&self, socket: &Socket, deadline: Option<Instant>) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut timed = Timed(socket, deadline);
        while state.tls.is_handshaking() {
            state.tls.complete_io(&mut timed)?;
        }
        while state.tls.wants_write() {
            state.tls.write_tls(&mut timed)?;
        }
        Ok(())
    }

    /// Whether something can be read without the socket.
    pub(crate) fn has_plain(&self) -> bool {
        self.state.lock().has_plain().unwrap_or(true)
    }

    /// Waits until something can be read. `false`: the deadline came first.
    pub(crate) fn readable(&self, socket: &Socket, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            {
                let mut state = self.state.lock();
                if state.has_plain()? {
                    return Ok(true);
                }
            }
            if !socket.readable(deadline)? {
                return Ok(false);
            }
            self.fetch(socket)?;
        }
    }

    /// Takes what the socket has.
    fn fetch(&self, socket: &Socket) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut record = [0; RECORD];
        match socket.read(&mut record, Some(Instant::now())) {
            // Tells the end to whoever reads.
            Ok(0) => state.tls.read_tls(&mut io::empty()).map(drop),
            Ok(count) => {
                state.cipher.extend_from_slice(&record[..count]);
                Ok(())
            }
            // Another thread was faster.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read(
        &self,
        socket: &Socket,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        loop {
            {
                let mut state = self.state.lock();
                state.has_plain()?;
                match state.tls.reader().read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                }
            }
            if !socket.readable(deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.fetch(socket)?;
        }
    }

    /// Sends some of the parts.
    pub(crate) fn write(
        &self,
        socket: &Socket,
        parts: [&[u8]; 2],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let _order = self.sending.lock();
        let (records, count) = {
            let mut state = self.state.lock();
            let mut count = 0;
            for part in parts {
                let taken = state.tls.writer().write(&part[..part.len().min(RECORD)])?;
                count += taken;
                if taken < part.len() {
                    break;
                }
            }
            (state.records()?, count)
        };
        send(socket, &records, deadline)?;
        Ok(count)
    }

    /// Says farewell, as far as there is room for that.
    pub(crate) fn finish(&self, socket: &Socket) {
        // Whoever sends just now is cut off anyway.
        let Some(_order) = self.sending.try_lock() else { return };
        let mut state = self.state.lock();
        state.tls.send_close_notify();
        if let Ok(records) = state.records() {
            let _ = socket.write([&records, &[]], &[], Some(Instant::now()));
        }
    }
}

/// Sends all of it. A deadline in the middle is an error of its own kind: what was encrypted is lost then, and the connection with it.
fn send(socket: &Socket, mut records: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !records.is_empty() {
        match socket.write([records, &[]], &[], deadline) {
            Ok(count) => records = &records[count..],
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                socket.shutdown();
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

//! Readiness as a descriptor, for the event loops of others.

use std::fmt;
use std::future::Future;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use mp_wire::{Error, Result};

use crate::primitive::{AtomicU32, Ordering::*};
use crate::readiness::{Readiness, ready_in};
use crate::session::Session;
use crate::waitable::Waitable;

/// A descriptor that is readable when a thing is ready: for event loops that take descriptors and nothing else.
///
/// Poll [`reader`](ReadinessSignal::reader). When it is readable, use the thing, and then [`rearm`](ReadinessSignal::rearm): the descriptor stays
/// readable as long as that finds the thing ready, and is quiet afterwards until the thing becomes ready again. What is never rearmed stays
/// readable; nothing is lost by rearming late.
///
/// Where a [`WaitSet`](crate::WaitSet) or [`ready`](crate::ready) will do, they need no descriptor.
///
/// # Platform
/// A pipe: two descriptors.
///
/// # Examples
/// ```
/// use std::sync::atomic::Ordering::SeqCst;
/// use std::time::Duration;
/// use mp_session::{Blueprint, Io, Kind, Object, ReadinessSignal, Role, Session, Shape, Sources, Waitable, wait};
///
/// struct Flag(Object);
/// impl Waitable for Flag {
///     fn sources<'a>(&'a self, to: &mut Sources<'a>) { to.word(self.0.words().waiters(Role::First)) }
///     fn is_ready(&self) -> bool { self.0.words().word(0).load(SeqCst) != 0 }
/// }
/// let session = Session::current()?;
/// let plan = Blueprint { kind: Kind(1000), fingerprint: 0, shape: Shape::Plain, size: 0 };
/// let flag = Flag(Object::create(&session, plan, |_, _| {})?);
///
/// let mut signal = ReadinessSignal::new(&flag)?;
/// # #[cfg(unix)] {
/// assert!(wait(&[&Io::readable(signal.reader())], Duration::ZERO)?.is_empty());
/// flag.0.words().word(0).store(1, SeqCst);
/// session.wake_all(flag.0.words().waiters(Role::First));
/// assert_eq!(wait(&[&Io::readable(signal.reader())], Duration::from_secs(5))?, [0]);
/// # }
/// flag.0.words().word(0).store(0, SeqCst);
/// assert!(!signal.rearm()?);
/// # Ok::<(), mp_session::Error>(())
/// ```
pub struct ReadinessSignal<'a, W: Waitable + ?Sized> {
    session: Session,
    thing: &'a W,
    /// Registered with the reactor, unless the signal is up.
    readiness: Option<Readiness<'a, W>>,
    bell: Arc<Bell>,
    reader: PipeReader,
}

/// At most one byte is in the pipe, and it is there when `up` is 1 (or about to be).
struct Bell {
    up: AtomicU32,
    writer: PipeWriter,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if self.up.swap(1, SeqCst) == 0 {
            // An empty pipe has room for a byte, and its other end lives as long as whoever would be told.
            let _ = (&self.writer).write(&[1]);
        }
    }
}

impl<'a, W: Waitable + ?Sized> ReadinessSignal<'a, W> {
    /// A descriptor for this thing.
    ///
    /// # Errors
    /// As [`ready`](crate::ready), and [`Error::Os`] when the process has no descriptors left.
    pub fn new(thing: &'a W) -> Result<ReadinessSignal<'a, W>> {
        let session = Session::current()?;
        let (reader, writer) = std::io::pipe().map_err(|e| Error::os("pipe for a readiness signal", e))?;
        let bell = Arc::new(Bell { up: AtomicU32::new(0), writer });
        let mut signal = ReadinessSignal { session, thing, readiness: None, bell, reader };
        signal.look()?;
        Ok(signal)
    }

    /// What to poll for reading. Do not read from it.
    pub fn reader(&self) -> &PipeReader {
        &self.reader
    }

    /// Takes the signal down, unless the thing is ready: `true` then, and the descriptor stays readable.
    ///
    /// # Errors
    /// As [`ready`](crate::ready), and what the system says.
    pub fn rearm(&mut self) -> Result<bool> {
        if self.bell.up.load(SeqCst) == 1 {
            // The byte is there, or its writer is just about to write it: then this waits for that instant.
            self.reader.read_exact(&mut [0]).map_err(|e| Error::os("take a readiness signal down", e))?;
            self.bell.up.store(0, SeqCst);
        }
        self.look()
    }

    fn look(&mut self) -> Result<bool> {
        let waker = Waker::from(self.bell.clone());
        let readiness = self.readiness.get_or_insert_with(|| ready_in(&self.session, self.thing));
        match Pin::new(readiness).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => Ok(false),
            Poll::Ready(looked) => {
                self.readiness = None;
                looked?;
                waker.wake();
                Ok(true)
            }
        }
    }
}

impl<W: Waitable + ?Sized> fmt::Debug for ReadinessSignal<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadinessSignal").field("up", &self.bell.up.load(Relaxed)).finish_non_exhaustive()
    }
}

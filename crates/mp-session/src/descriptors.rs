//! Sockets and their kind among the things that are waited for.
//!
//! A thread sleeps on its bell or in `poll`, not on both. So one thread per process, started when it is first needed, waits for the
//! descriptors of all (the *poller*), and tells whoever observes one, as a waker tells the observers of a wait word: it marks the watch, sets
//! the group's bit and rings the sleeper.
//!
//! | watch | meaning | moved by |
//! |---|---|---|
//! | asked for | the poller reports it | its user, after it found the source not ready |
//! | told | the source may be ready | the poller's thread; back by its user, before it looks (step 5) |
//! | neither | the user knows that the source is ready, or does not care | |
//!
//! A report is for once, and asked for anew when the source was found *not* ready: one that stays ready costs nothing. As a source that is ready
//! when a report is asked for is reported at once, nothing is lost between the look and the question. Several watches of one source
//! share what the poller knows of it; a report tells all of them, and those that it does not concern ask again.
//!
//! Nothing of this is in shared memory. The thread lives as long as the process, and sleeps.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use mp_sys::{AsSource, BorrowedSource, Interest, Poller, source_of};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::observers::Observer;
use crate::primitive::{AtomicU32, Ordering::*};
use crate::session::Inner;
use crate::waitable::{Sources, Waitable};

/// A socket, a pipe, or whatever else has a descriptor, to be waited for together with other things. The descriptor is held by value or by
/// reference.
///
/// # Platform
/// Everything that `epoll` (Linux) or `kqueue` (macOS) takes, plain files excepted. Windows: sockets.
///
/// # Examples
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
/// use mp_session::{Io, wait};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let caller = TcpStream::connect(listener.local_addr()?)?;
/// assert_eq!(wait(&[&Io::readable(&caller), &Io::readable(&listener)], Duration::from_secs(5))?, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Io<S> {
    source: S,
    interest: Interest,
}

impl<S: AsSource> Io<S> {
    /// Ready when a read, or an accept, would not block.
    pub fn readable(source: S) -> Io<S> {
        Io { source, interest: Interest::Readable }
    }

    /// Ready when a write would not block.
    pub fn writable(source: S) -> Io<S> {
        Io { source, interest: Interest::Writable }
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, back.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: AsSource> Waitable for Io<S> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.descriptor(source_of(&self.source), self.interest);
    }

    fn is_ready(&self) -> bool {
        let now = Some(std::time::Instant::now());
        // Whatever is wrong with it the operation will say.
        mp_sys::poll(&[(source_of(&self.source), self.interest)], now).map_or(true, |ready| ready[0])
    }
}

/// The poller and who watches what.
#[derive(Debug)]
struct Descriptors {
    poller: Poller,
    /// By number.
    watched: Mutex<HashMap<usize, Vec<Arc<State>>>>,
}

/// What is known of one watch.
#[derive(Debug)]
struct State {
    interest: Interest,
    /// 0 or 1, both.
    asked: AtomicU32,
    told: AtomicU32,
    inner: Arc<Inner>,
    observer: u32,
    group: u32,
}

/// One descriptor that an observer watches.
#[derive(Debug)]
pub(crate) struct DescriptorWatch {
    number: usize,
    state: Arc<State>,
}

fn descriptors() -> Result<&'static Descriptors> {
    static ALL: OnceLock<Descriptors> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let _one = STARTING.lock();
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let poller = Poller::new().map_err(|e| Error::os("poller of descriptors", e))?;
    let (hand, handed) = std::sync::mpsc::channel::<&'static Descriptors>();
    std::thread::Builder::new()
        .name("mp-poller".into())
        .stack_size(128 * 1024)
        .spawn(move || {
            if let Ok(all) = handed.recv() {
                // It fails when the poller is unusable; who waits then still looks once a second.
                while all.poller.wait(|number| all.report(number)).is_ok() {}
            }
        })
        .map_err(|e| Error::os("start the thread that waits for descriptors", e))?;
    let all = ALL.get_or_init(|| Descriptors { poller, watched: Mutex::default() });
    let _ = hand.send(all);
    Ok(all)
}

impl Descriptors {
    fn report(&self, number: usize) {
        let watches: Vec<Arc<State>> = self.watched.lock().get(&number).cloned().unwrap_or_default();
        for state in watches {
            if state.asked.swap(0, SeqCst) != 0 {
                state.told.store(1, SeqCst);
                state.inner.alert(state.inner.ground.observer(state.observer), state.group);
            }
        }
    }
}

impl DescriptorWatch {
    /// Watches the descriptor for the observer, as one of that group. Nothing is asked for yet.
    pub(crate) fn new(
        inner: &Arc<Inner>,
        observer: Observer,
        group: u32,
        source: BorrowedSource<'_>,
        interest: Interest,
    ) -> Result<DescriptorWatch> {
        let all = descriptors()?;
        let number = Poller::number(source);
        let state = Arc::new(State {
            interest,
            asked: AtomicU32::new(0),
            told: AtomicU32::new(0),
            inner: inner.clone(),
            observer: observer.index,
            group,
        });
        let mut watched = all.watched.lock();
        let watches = watched.entry(number).or_default();
        if watches.is_empty()
            && let Err(error) = all.poller.add(source)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            watched.remove(&number);
            return Err(Error::os("wait for a descriptor", error));
        }
        watches.push(state.clone());
        Ok(DescriptorWatch { number, state })
    }

    /// Asks for a report, for a source that was found not ready.
    pub(crate) fn ask(&self, source: BorrowedSource<'_>) -> Result<()> {
        let all = descriptors()?;
        let watched = all.watched.lock();
        self.state.asked.store(1, SeqCst);
        let of = |interest| {
            let watches = watched.get(&self.number).into_iter().flatten();
            watches.filter(|w| w.asked.load(SeqCst) != 0).any(|w| w.interest == interest)
        };
        let (readable, writable) = (of(Interest::Readable), of(Interest::Writable));
        let asked = match all.poller.ask(source, readable, writable) {
            // Somebody closed it without taking it out of a set first, and another thing has its number now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                all.poller.add(source).and_then(|()| all.poller.ask(source, readable, writable))
            }
            asked => asked,
        };
        asked.map_err(|e| Error::os("wait for a descriptor", e))
    }

    /// Whether it was told of since the last time.
    pub(crate) fn take_told(&self) -> bool {
        self.state.told.load(SeqCst) != 0 && self.state.told.swap(0, SeqCst) != 0
    }

    /// Watches no longer.
    pub(crate) fn end(&self, source: BorrowedSource<'_>) {
        let Ok(all) = descriptors() else { return };
        let mut watched = all.watched.lock();
        let Some(watches) = watched.get_mut(&self.number) else { return };
        watches.retain(|state| !Arc::ptr_eq(state, &self.state));
        if watches.is_empty() {
            watched.remove(&self.number);
            // One that the system has forgotten already need not be removed.
            let _ = all.poller.remove(source);
        }
    }
}

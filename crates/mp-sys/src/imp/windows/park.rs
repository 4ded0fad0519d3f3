//! Parking is waiting for an event that bears the bell's name, and for the ends of processes.
//!
//! Windows has no wait on an address across processes. The event is auto-reset: set by a ring, cleared by the wake-up. A ring
//! that found nobody asleep leaves it set; the next sleeper wakes once, sees its word unchanged, and goes back to sleep.
//!
//! Whoever needs the event first makes it, with the same call: a ring before the sleeper's first sleep is not lost. Handles
//! are kept for the life of the process, one for each (session, thread) that it has met.

use super::{
    handle::{self, millis_until},
    process,
};
use crate::park::{Bell, Watch, Woken};
use std::{
    collections::HashMap,
    io,
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr,
    sync::{Arc, LazyLock, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};
use windows_sys::Win32::{
    Foundation::{HANDLE, WAIT_OBJECT_0},
    System::Threading::{CreateEventW, SetEvent, WaitForMultipleObjects},
};

/// How many handles the system waits on at once.
const WAIT_MAX: usize = 64;

/// How long a sleeper goes without a look at words that no process stands for.
const SLICE: Duration = Duration::from_millis(20);

/// How long at most without a look at anything: a ring that could not open the event is not lost for ever.
const BACKSTOP: Duration = Duration::from_millis(500);

pub(crate) fn park(bell: Bell<'_>, expected: u32, watches: &[Watch<'_>], deadline: Option<Instant>) -> Woken {
    let event = event(bell);
    let mut handles: Vec<HANDLE> = event.iter().map(|event| event.as_raw_handle()).collect();
    let mut watched_by = vec![None; handles.len()];
    let mut unseen = event.is_none(); // some word has no handle that stands for it
    for (index, watch) in watches.iter().enumerate() {
        match watch.process.map(|process| process.inner().0.as_raw_handle()) {
            Some(handle) if handles.contains(&handle) => {}
            Some(handle) if handles.len() < WAIT_MAX => {
                handles.push(handle);
                watched_by.push(Some(index));
            }
            _ => unseen = true,
        }
    }
    let slice = if unseen { SLICE } else { BACKSTOP };
    loop {
        if bell.word.load(Ordering::Acquire) != expected {
            return Woken::Rung;
        }
        if let Some(index) = watches.iter().position(|w| w.word.load(Ordering::Acquire) != w.value) {
            return Woken::Watched(index);
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Woken::TimedOut;
        }
        let until = deadline.map_or(now + slice, |deadline| deadline.min(now + slice));
        if handles.is_empty() {
            // The system has no event left for us. Its look-alike: slices.
            std::thread::sleep(until.saturating_duration_since(now));
            continue;
        }
        // SAFETY: as many live handles as said: the event's is ours, those of processes are borrowed by the watches.
        let result = unsafe {
            WaitForMultipleObjects(handles.len() as u32, handles.as_ptr(), 0, millis_until(Some(until)))
        };
        let woken_by = result.wrapping_sub(WAIT_OBJECT_0) as usize;
        if let Some(&Some(index)) = watched_by.get(woken_by) {
            return Woken::Watched(index);
        }
    }
}

pub(crate) fn ring(bell: Bell<'_>) {
    // Without an event (none left in the system) the sleeper looks by itself after `BACKSTOP`.
    if let Some(event) = event(bell) {
        // SAFETY: a live event. It cannot fail.
        unsafe { SetEvent(event.as_raw_handle()) };
    }
}

/// The bell's event, made by whoever comes first.
fn event(bell: Bell<'_>) -> Option<Arc<OwnedHandle>> {
    type Events = HashMap<(u128, u32), Arc<OwnedHandle>>;
    static EVENTS: LazyLock<Mutex<Events>> = LazyLock::new(Mutex::default);
    let mut events = EVENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (bell.session, bell.thread);
    if let Some(event) = events.get(&key) {
        return Some(event.clone());
    }
    let name = handle::wide(format!("Local\\mp-{:032x}-{}", bell.session, bell.thread)).ok()?;
    // SAFETY: a string that ends in NUL; the handle is ours, and not inheritable. An existing event of that name is opened.
    let event = unsafe { handle::own(CreateEventW(ptr::null(), 0, 0, name.as_ptr())) }.ok()?;
    Some(events.entry(key).or_insert(Arc::new(event)).clone())
}

/// A handle that is signalled when the process has ended.
#[derive(Debug)]
pub(crate) struct ProcessWatch(OwnedHandle);

impl ProcessWatch {
    pub(crate) fn open(pid: u32, start_time: u64) -> io::Result<Self> {
        let handle = process::open(pid)?;
        if start_time != 0 && process::creation_time(&handle)? != start_time {
            return Err(io::Error::new(io::ErrorKind::NotFound, "that process has ended"));
        }
        Ok(Self(handle))
    }
}

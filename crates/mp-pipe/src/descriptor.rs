//! The end of a pipe as a descriptor, for event loops that take descriptors and nothing else.
//!
//! A pipe needs none; so it is made when it is first asked for, and from then on each receive that leaves nothing takes it down. What may be received
//! raises it by the reactor thread of the process ([`ReadinessSignal`]).

use std::fmt;
use std::sync::Arc;

use mp_session::{Object, ReadinessSignal, Sources, Waitable};
use mp_sys::{AsOsHandle, BorrowedOsHandle, OsHandle};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::end::End;
use crate::stream::Stream;

/// What makes an end readable, apart from the end itself.
struct Watched {
    object: Object,
    incoming: Stream,
}

impl Waitable for Watched {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.object.words().waiters(self.object.role()));
    }

    fn is_ready(&self) -> bool {
        self.object.holders(End::other(self.object.role())) == 0 || self.incoming.has_any()
    }
}

/// A descriptor that is readable while the end is.
pub(crate) struct Descriptor {
    // Dropped before what it refers to.
    signal: Mutex<ReadinessSignal<'static, Watched>>,
    /// The signal's own, again: the one inside of the lock cannot be lent.
    handle: OsHandle,
    _watched: Arc<Watched>,
}

impl Descriptor {
    pub(crate) fn new(end: &End) -> Result<Descriptor> {
        let watched = Arc::new(Watched { object: end.object.clone(), incoming: end.incoming });
        // SAFETY: what an `Arc` holds stays where it is until the last one is dropped, and this one is dropped after the signal, as the
        // fields' order says; nobody gets the reference otherwise.
        let lent: &'static Watched = unsafe { &*Arc::as_ptr(&watched) };
        let signal = ReadinessSignal::new(lent)?;
        let handle = mp_sys::duplicate_handle(signal.reader().as_os_handle())
            .map_err(|e| Error::os("descriptor of a pipe", e))?;
        Ok(Descriptor { signal: Mutex::new(signal), handle, _watched: watched })
    }

    /// After something was taken.
    pub(crate) fn rearm(&self) {
        // A descriptor that could not be taken down stays readable, which is a hint like any other.
        let _ = self.signal.lock().rearm();
    }

    pub(crate) fn handle(&self) -> BorrowedOsHandle<'_> {
        self.handle.as_os_handle()
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").finish_non_exhaustive()
    }
}

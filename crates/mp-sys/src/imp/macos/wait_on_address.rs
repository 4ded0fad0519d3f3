//! Sleeping on a word shared between processes.
//!
//! Since 14.4 there is a public interface; before it, the one that it is built on. Both are looked up by name, so that one
//! program runs on all.

use std::{
    ffi::{CStr, c_int, c_void},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

type WaitOnAddress = unsafe extern "C" fn(*mut c_void, u64, usize, u32) -> c_int;
type WaitOnAddressWithTimeout = unsafe extern "C" fn(*mut c_void, u64, usize, u32, u32, u64) -> c_int;
type WakeByAddress = unsafe extern "C" fn(*mut c_void, usize, u32) -> c_int;
type UlockWait = unsafe extern "C" fn(u32, *mut c_void, u64, u64, u64) -> c_int;
type UlockWake = unsafe extern "C" fn(u32, *mut c_void, u64) -> c_int;

/// `OS_SYNC_WAIT_ON_ADDRESS_SHARED`, and the same for wakes.
const SHARED: u32 = 1;
/// `OS_CLOCK_MACH_ABSOLUTE_TIME`, the clock of `Instant`.
const CLOCK: u32 = 32;
/// `UL_COMPARE_AND_WAIT_SHARED`
const ULOCK_SHARED: u32 = 3;
/// `ULF_WAKE_ALL`
const ULOCK_WAKE_ALL: u32 = 0x100;

/// How long a sleep is on a system that has neither.
const SLICE: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
enum Api {
    Public {
        wait: WaitOnAddress,
        wait_with_timeout: WaitOnAddressWithTimeout,
        wake_any: WakeByAddress,
        wake_all: WakeByAddress,
    },
    Ulock {
        wait: UlockWait,
        wake: UlockWake,
    },
    None,
}

fn api() -> Api {
    static API: OnceLock<Api> = OnceLock::new();
    // SAFETY: each name has the type it is given here, by the system's headers (the ulock calls: by those of its kernel).
    *API.get_or_init(|| unsafe { look_up() })
}

/// # Safety
///
/// The names have these types.
unsafe fn look_up() -> Api {
    // SAFETY: the caller's promise, for all six.
    unsafe {
        if let (Some(wait), Some(wait_with_timeout), Some(wake_any), Some(wake_all)) = (
            function::<WaitOnAddress>(c"os_sync_wait_on_address"),
            function::<WaitOnAddressWithTimeout>(c"os_sync_wait_on_address_with_timeout"),
            function::<WakeByAddress>(c"os_sync_wake_by_address_any"),
            function::<WakeByAddress>(c"os_sync_wake_by_address_all"),
        ) {
            return Api::Public { wait, wait_with_timeout, wake_any, wake_all };
        }
        match (function::<UlockWait>(c"__ulock_wait2"), function::<UlockWake>(c"__ulock_wake")) {
            (Some(wait), Some(wake)) => Api::Ulock { wait, wake },
            _ => Api::None,
        }
    }
}

/// # Safety
///
/// `F` is a function pointer, and the type of what has that name.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: a string that ends in NUL.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if address.is_null() {
        return None;
    }
    // SAFETY: both are one word, and the word is the address of a function of this type by the caller's promise.
    Some(unsafe { (&raw const address).cast::<F>().read() })
}

/// Sleeps while the word has this value, until it is woken, the deadline comes, or for no reason.
pub(crate) fn wait(word: &AtomicU32, value: u32, deadline: Option<Instant>) {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left == Some(Duration::ZERO) {
        return; // which both interfaces would take for something else
    }
    let nanos = left.map(|left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    let (address, value, len) = (word.as_ptr().cast(), u64::from(value), size_of::<u32>());
    // SAFETY: the word is live for the call. Whatever comes of it, the caller looks at the word and at the clock.
    unsafe {
        match (api(), nanos) {
            (Api::Public { wait, .. }, None) => wait(address, value, len, SHARED),
            (Api::Public { wait_with_timeout, .. }, Some(nanos)) => {
                wait_with_timeout(address, value, len, SHARED, CLOCK, nanos)
            }
            (Api::Ulock { wait, .. }, nanos) => wait(ULOCK_SHARED, address, value, nanos.unwrap_or(0), 0),
            (Api::None, _) => {
                if u64::from(word.load(Ordering::Acquire)) == value {
                    std::thread::sleep(left.map_or(SLICE, |left| left.min(SLICE)));
                }
                0
            }
        }
    };
}

pub(crate) fn wake_one(word: &AtomicU32) {
    let address = word.as_ptr().cast();
    // SAFETY: the word is live for the call. It fails when nobody sleeps there.
    unsafe {
        match api() {
            Api::Public { wake_any, .. } => wake_any(address, size_of::<u32>(), SHARED),
            Api::Ulock { wake, .. } => wake(ULOCK_SHARED, address, 0),
            Api::None => 0,
        }
    };
}

pub(crate) fn wake_all(word: &AtomicU32) {
    let address = word.as_ptr().cast();
    // SAFETY: as in `wake_one`.
    unsafe {
        match api() {
            Api::Public { wake_all, .. } => wake_all(address, size_of::<u32>(), SHARED),
            Api::Ulock { wake, .. } => wake(ULOCK_SHARED | ULOCK_WAKE_ALL, address, 0),
            Api::None => 0,
        }
    };
}

//! The performance counter, which is one for the whole machine.

use std::sync::OnceLock;

use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

pub(crate) fn shared_nanos() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    let frequency = *FREQUENCY.get_or_init(|| {
        let mut frequency = 0;
        // SAFETY: the call writes one number, ours. It cannot fail on a Windows that we run on.
        unsafe { QueryPerformanceFrequency(&raw mut frequency) };
        (frequency as u64).max(1)
    });
    let mut now = 0;
    // SAFETY: as above.
    unsafe { QueryPerformanceCounter(&raw mut now) };
    (u128::from(now as u64) * 1_000_000_000 / u128::from(frequency)) as u64
}

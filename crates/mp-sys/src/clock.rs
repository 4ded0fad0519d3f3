//! A clock that all processes of the machine read alike.

use crate::imp;

/// Nanoseconds on the system's monotonic clock: two processes that ask at the same moment get the same number, so one can say since
/// when something goes on in another. Steps of the time of day do not move it; it starts somewhere.
///
/// # Platform
///
/// `CLOCK_MONOTONIC`; the performance counter on Windows.
#[inline]
pub fn shared_nanos() -> u64 {
    imp::clock::shared_nanos()
}

#[cfg(test)]
mod tests {
    use super::shared_nanos;
    use std::time::{Duration, Instant};

    #[test]
    fn it_goes_as_fast_as_time() {
        let (begin, before) = (Instant::now(), shared_nanos());
        while begin.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let passed = shared_nanos() - before;
        assert!(passed >= 19_000_000 && u128::from(passed) <= begin.elapsed().as_nanos() + 1_000_000);
    }
}

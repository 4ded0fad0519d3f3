//! What a process passes on to those that it starts, besides environment, directory and streams.
//!
//! The kernel hands it down: limits, the mask for file modes, ignored signals, user and groups and what they may do, the session of
//! terminals, the score for the OOM killer. A helper that starts processes for another was given all that when *it* was started;
//! [`Standing`] tells whether it has changed since, and the helper is to be replaced.

use crate::imp;

/// What was to be passed on at one moment, as far as the system says: good for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing(imp::standing::Standing);

impl Standing {
    /// What this process passes on now.
    ///
    /// # Platform
    ///
    /// Linux, where it costs some 20 us; what `/proc` says is left out where there is none. Elsewhere all are equal.
    pub fn now() -> Standing {
        Standing(imp::standing::Standing::now())
    }
}

/// How nice the calling thread is, and so what it starts: higher is nicer. 0 where there is no such thing.
pub fn niceness() -> i32 {
    imp::setup::niceness()
}

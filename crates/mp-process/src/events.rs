//! The events that mp itself tells `tracing` of. Without the feature these do nothing.

use mp_wire::{Departure, Ident};

use crate::start::StartMethod;

#[cfg(feature = "tracing")]
pub(crate) use crate::log::{inherit, inherited};

#[cfg(not(feature = "tracing"))]
pub(crate) fn inherited() -> u8 {
    0
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn inherit(_level: u8) -> mp_wire::Result<()> {
    Ok(())
}

/// A child was started.
pub(crate) fn started(child: &Ident, method: StartMethod) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "mp_process", %child, %method, "started");
    let _ = (child, method);
}

/// A child has ended, and somebody here asked.
pub(crate) fn ended(child: &Ident, how: &Departure) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "mp_process", %child, %how, "ended");
    let _ = (child, how);
}

/// Runs a child's function, in a span of its own.
pub(crate) fn working<R>(name: impl FnOnce() -> String, work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "tracing")]
    let _within = {
        let pid = mp_sys::current_pid();
        tracing::info_span!(target: "mp_process", "process", pid, name = name()).entered()
    };
    #[cfg(not(feature = "tracing"))]
    let _ = name;
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "mp_process", "begins");
    let result = work();
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "mp_process", "ends");
    result
}

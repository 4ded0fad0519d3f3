//! What a panic in a child had to say: a hook keeps message, place and backtrace for the result.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::sync::Once;

use mp_wire::PanicReport;

thread_local! {
    static LAST: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
}

/// Keeps a report of each panic, and then does what was done before (printing it).
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let backtrace = Backtrace::capture();
            let mut report = PanicReport::from_payload(info.payload());
            report.location = info.location().map(ToString::to_string);
            report.backtrace =
                (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
            report.thread = std::thread::current().name().map(ToOwned::to_owned);
            // A panic while a report is being taken keeps the older one.
            let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(report)));
            previous(info);
        }));
    });
}

/// The report of the panic that was just caught on this thread.
pub fn report(payload: &(dyn Any + Send)) -> PanicReport {
    let kept = LAST.try_with(|last| last.try_borrow_mut().ok()?.take()).ok().flatten();
    let known = PanicReport::from_payload(payload);
    // The hook saw the payload as well; if it saw another one, ours is the truth.
    kept.filter(|k| k.message == known.message).unwrap_or(known)
}

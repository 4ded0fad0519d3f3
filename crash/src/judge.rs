//! Judging an image: a copy of this process recovers from it, on memory of its own, and dies of what it finds.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};

use crate::control::Control;
use crate::memory::{Memory, View};
use crate::system::{End, alarm, by_default, exit, give_up, in_copy, on_signal, wait_for};

/// How many seconds a recovery may take; it takes a millisecond or two.
pub(crate) static PATIENCE: AtomicU32 = AtomicU32::new(30);

static SAYS: AtomicPtr<Control> = AtomicPtr::new(std::ptr::null_mut());

fn say(text: &str) {
    // SAFETY: null, or a page that is never unmapped.
    if let Some(control) = unsafe { SAYS.load(SeqCst).as_ref() } {
        control.say(text);
    }
}

/// From now on a panic of this process ends it, and is a text for whoever made it.
pub(crate) fn say_what_panics_say(control: &'static Control) {
    SAYS.store(std::ptr::from_ref(control).cast_mut(), SeqCst);
    std::panic::set_hook(Box::new(|panic| {
        say(&panic.to_string());
        exit(101);
    }));
}

extern "C" fn on_alarm(_: i32, _: *mut libc::siginfo_t, _: *mut libc::ucontext_t) {
    by_default(libc::SIGALRM);
    alarm(2);
    say(&format!("hangs, in\n        {}", crate::trace::here()));
    exit(102);
}

/// Runs `recovery` in a copy of this process that sees `memory` at `at`, and whose changes nobody sees.
pub(crate) fn judge(memory: &Memory, at: NonNull<u8>, recovery: impl FnOnce()) -> Result<(), String> {
    let control = Control::new_once();
    let pid = in_copy(|| {
        memory.appear_at(at, View::Private);
        say_what_panics_say(control);
        on_signal(libc::SIGALRM, on_alarm);
        alarm(PATIENCE.load(Relaxed));
        recovery();
    });
    match wait_for(pid) {
        End::Code(0) => Ok(()),
        End::Code(101 | 102) => Err(control.heard()),
        End::Code(_) => give_up(),
        End::Signal(signal) => Err(format!("killed by signal {signal}")),
    }
}

//! Watching an operation instruction by instruction: who is cut off runs in a copy of this process, on memory that both see.
//!
//! Two ways, with the same outcome:
//!
//! | | how | cost |
//! |---|---|---|
//! | `faults` | the memory is write-protected; the fault tells of the instruction, the processor's trap flag stops after it | some 20 us for each store, nothing for the rest |
//! | `steps` | `ptrace`, each instruction | some 25 us for each instruction |
//!
//! `faults` is x86-64's, where a process can set its own trap flag. `steps` works everywhere, and checks the other.

#[cfg(target_arch = "x86_64")]
mod faults;
mod steps;

use std::sync::atomic::{AtomicPtr, Ordering::*};

use crate::control::Control;
use crate::memory::{Memory, Snapshot, View};
use crate::system::{End, in_copy};

/// How the operation is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    #[cfg(target_arch = "x86_64")]
    Faults,
    Steps,
}

impl Way {
    pub(crate) const BEST: Way = {
        #[cfg(target_arch = "x86_64")]
        let best = Way::Faults;
        #[cfg(not(target_arch = "x86_64"))]
        let best = Way::Steps;
        best
    };
}

/// A state of the memory at which the operation is stopped.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// How many changes came before, from 0: the state before the operation.
    pub(crate) number: usize,
    pub(crate) snapshot: &'a Snapshot,
    /// Where it is stopped.
    pub(crate) control: &'static Control,
    pub(crate) can_answer: bool,
}

impl Image<'_> {
    /// The frames of the call that is stopped here, the innermost first.
    pub(crate) fn whereabouts(&self) -> String {
        match (self.number, self.can_answer) {
            (0, _) => "before the operation".into(),
            (_, true) => self.control.ask(),
            (_, false) => crate::trace::offset(self.control.at.load(SeqCst)),
        }
    }
}

/// The control page of the operation that is watched in this process, if there is one.
static WATCHED: AtomicPtr<Control> = AtomicPtr::new(std::ptr::null_mut());

fn watched() -> Option<&'static Control> {
    let control = WATCHED.load(SeqCst).cast_const();
    // SAFETY: null, or a page that is never unmapped.
    unsafe { control.as_ref() }
}

/// Does something that is not the operation's: the states that it goes through are not looked at.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    let Some(control) = watched() else { return work() };
    control.aside.fetch_add(1, SeqCst);
    #[cfg(target_arch = "x86_64")]
    faults::pause();
    let result = work();
    control.aside.fetch_sub(1, SeqCst);
    #[cfg(target_arch = "x86_64")]
    faults::resume();
    result
}

/// Runs `operation` in a copy of this process, on `memory`, which takes the place of the mapping at `at`; calls `look` before it
/// began and after each instruction that changed the memory, until `look` has seen enough. How many images there were, or
/// what went wrong in the operation itself.
pub(crate) fn watch(
    way: Way,
    memory: &Memory,
    at: std::ptr::NonNull<u8>,
    operation: impl FnOnce(&dyn Fn()),
    mut look: impl FnMut(&Image<'_>) -> bool,
) -> Result<usize, String> {
    let control = Control::new();
    let mut snapshot = Snapshot::of(memory);
    let can_answer = way != Way::Steps;
    let mut number = 0;
    if !look(&Image { number, snapshot: &snapshot, control, can_answer }) {
        return Ok(1);
    }
    let pid = in_copy(|| {
        memory.appear_at(at, View::Shared);
        crate::judge::say_what_panics_say(control);
        operation(&|| {
            WATCHED.store(std::ptr::from_ref(control).cast_mut(), SeqCst);
            match way {
                #[cfg(target_arch = "x86_64")]
                Way::Faults => faults::begin(at),
                Way::Steps => steps::begin(),
            }
        });
        match way {
            #[cfg(target_arch = "x86_64")]
            Way::Faults => faults::pause(),
            Way::Steps => {}
        }
        control.finish();
    });
    let mut changed = || {
        if !snapshot.update(memory) || control.aside.load(SeqCst) != 0 {
            return true;
        }
        number += 1;
        look(&Image { number, snapshot: &snapshot, control, can_answer })
    };
    let end = match way {
        #[cfg(target_arch = "x86_64")]
        Way::Faults => faults::follow(pid, control, &mut changed),
        Way::Steps => steps::follow(pid, control, &mut changed),
    };
    match end {
        None | Some(End::Code(0)) => Ok(number + 1),
        Some(end) => Err(format!("the operation itself ended with {end:?}: {}", control.heard())),
    }
}

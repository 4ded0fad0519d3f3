//! Ctrl-C and SIGTERM: the parent decides.
//!
//! A terminal sends Ctrl-C to all processes of its foreground group at once. If each acted on its own, workers would die in the middle of
//! what they do for a parent that had other plans. So a child does nothing but note that it was interrupted, and the parent decides:
//!
//! | the parent | what becomes of its children |
//! |---|---|
//! | has no handler for the signal | it passes the signal on to each of them and then dies of it: all are gone at once |
//! | has a handler, and ends | those that were interrupted, or are daemons, are ended with it; others are waited for |
//! | has a handler, and goes on | they go on |
//! | calls [`Process::interrupt`](crate::Process::interrupt) or its kind | as it says |
//!
//! "Passes on" needs a handler of ours, which [`mp_sys::on_signal`] installs when the first child is started, and only where the program
//! has none. One that the program installs later replaces it.
//!
//! # Words
//!
//! One of the words of a process's slot, [`WORD`]:
//!
//! | bit | meaning | set by |
//! |---|---|---|
//! | [`INTERRUPTED`] | Ctrl-C has come; from now on it ends with its parent, as a daemon does | the child's handler |
//! | [`MEANT`] | a SIGINT that comes now is meant: die of it | the parent, before it sends one |
//! | [`ENDING`] | is dying of a signal, and has passed it on | the parent's handler, in its own slot |
//! | [`LEAVING`] | ends in order, and looks which of its children were interrupted | its exit handler, in its own slot |
//!
//! *not-yet-born*: Ctrl-C comes before a child has installed its handler. It is blocked in the child until then, from its first instruction on.
//! *interrupted-late*: the parent's handler of Ctrl-C exits, and the parent looks for interrupted children before one of them has noted that
//! it is. The parent has set `LEAVING` before it looked, and a child looks at its parent's `LEAVING` after it has set `INTERRUPTED`: one of the two
//! sees the other, and if it is the child, it dies of the signal.
//! *born-too-late*: the parent passes a signal on while a child is being started whose pid it does not know yet. It has set `ENDING` before it
//! looked for pids, and a child looks at its parent's `ENDING` after it has written its pid: one of the two sees the other.

use mp_session::Session;
use mp_sys::Signal;
use mp_wire::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::*};

/// Which of the slot's words for our use.
pub(crate) const WORD: usize = 4;
pub(crate) const INTERRUPTED: u64 = 1;
pub(crate) const MEANT: u64 = 2;
const ENDING: u64 = 4;
const LEAVING: u64 = 8;

/// What a child does when Ctrl-C is pressed, for [`Builder::on_interrupt`](crate::Builder::on_interrupt).
///
/// A handler that the child's own function installs comes before any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OnInterrupt {
    /// It goes on, and the parent decides. If the parent dies of it the child does, too; if the parent ends in order later, the child is
    /// ended as a daemon is. [`Process::interrupt`](crate::Process::interrupt) does end it.
    ///
    /// # Platform
    /// On Windows as [`End`](OnInterrupt::End).
    #[default]
    WithParent,
    /// It takes no notice, not of [`Process::interrupt`](crate::Process::interrupt) either.
    Ignore,
    /// It dies of it, by itself.
    End,
}

/// Whether SIGINT alone does not end this process.
static PARENT_DECIDES: AtomicBool = AtomicBool::new(false);

/// What a child that was started ahead does when it is called for: a Ctrl-C that came before is none of its business.
pub(crate) fn begin_anew() -> Result<()> {
    mp_sys::ignore_interrupt().map_err(|e| Error::os("handle Ctrl-C", e))
}

/// What a child does first of all.
pub(crate) fn become_child(on_interrupt: OnInterrupt) -> Result<()> {
    let what = |e| Error::os("handle Ctrl-C", e);
    match on_interrupt {
        OnInterrupt::WithParent => {
            PARENT_DECIDES.store(true, SeqCst);
            mp_sys::on_signal(Signal::Interrupt, decide, true).map_err(what)?;
        }
        OnInterrupt::Ignore => mp_sys::ignore_interrupt().map_err(what)?,
        OnInterrupt::End => mp_sys::default_interrupt().map_err(what)?,
    }
    // Ctrl-C was held back until now.
    mp_sys::reset_signals().map_err(|e| Error::os("reset signals", e))
}

/// Whether this child came too late to be told of the signal that its parent dies of.
pub(crate) fn parent_is_ending(session: &Session) -> bool {
    session.parent_user_word(WORD).is_some_and(|word| word & ENDING != 0)
}

/// What a process does before it looks which of its children end with it.
pub(crate) fn leave(session: &Session) {
    if let Some(word) = session.user_word(WORD) {
        word.fetch_or(LEAVING, SeqCst);
    }
}

/// What a process does before it has its first child.
pub(crate) fn become_parent() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [Signal::Interrupt, Signal::Terminate] {
            // Where the system refuses, children are as those of any other program: no reason not to have them.
            let _ = mp_sys::on_signal(signal, decide, false);
        }
    });
}

/// Runs in a signal handler: atomics and plain system calls only.
fn decide(signal: Signal) -> bool {
    let Some(session) = Session::existing() else { return true };
    if !session.is_member() {
        return true; // a foreign fork's child: these are not its children
    }
    if let Some(word) = session.user_word(WORD) {
        if signal == Signal::Interrupt && PARENT_DECIDES.load(SeqCst) && word.load(SeqCst) & MEANT == 0 {
            word.fetch_or(INTERRUPTED, SeqCst);
            // *interrupted-late*
            if session.parent_user_word(WORD).is_none_or(|parents| parents & LEAVING == 0) {
                return false;
            }
        }
        word.fetch_or(ENDING, SeqCst);
    }
    pass_on(&session, signal);
    true
}

/// Has the children of this process, which is about to end, end as well.
pub(crate) fn pass_on(session: &Session, signal: Signal) {
    session.signal_children(signal, WORD, MEANT);
}

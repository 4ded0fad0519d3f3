//! What a run of this program does that is not a run of its `main`: a child's life.

use std::sync::atomic::Ordering::Release;

use mp_session::{SESSION_VAR, Session};
use mp_wire::{Error, Result};

use crate::current;
use crate::events;
use crate::fork_server::SERVER_VAR;
use crate::handles::{self, HANDLES_VAR};
use crate::panics;
use crate::process::{EXIT_WORD, exit_word};
use crate::returned;
use crate::serve::serve;
use crate::signals;
use crate::spare;
use crate::spec::Spec;
use crate::target::{self, Produced};

/// Exit code of a child that could not even begin.
const STILLBORN: i32 = 70;

/// The first line of `main`. In a child it does not return: the child does its work and exits. Called again it does
/// nothing.
///
/// `#[mp::main]` calls it, and `enable_in_tests!` does so for test programs.
#[expect(clippy::disallowed_methods, reason = "no other thread is there yet to read the environment")]
pub fn init() {
    if let Some(value) = std::env::var_os(SERVER_VAR) {
        // SAFETY: nothing else runs yet in a process that was started as a server.
        unsafe { std::env::remove_var(SERVER_VAR) };
        let code = match serve(&value.to_string_lossy()) {
            Ok(None) => 0,
            Ok(Some(newborn)) => {
                let is_spare = newborn.is_spare;
                live(newborn.enter(), is_spare)
            }
            Err(error) => report(&error),
        };
        std::process::exit(code);
    }
    if std::env::var_os(SESSION_VAR).is_some() {
        let session = Session::attach();
        // SAFETY: as above; the session has no threads of its own.
        unsafe { std::env::remove_var(SESSION_VAR) };
        let handles = std::env::var(HANDLES_VAR).ok();
        // SAFETY: as above.
        unsafe { std::env::remove_var(HANDLES_VAR) };
        let session = session
            .and_then(|s| s.ok_or_else(|| Error::Other("no session".into())))
            .and_then(|s| close_what_leaked(&s, handles.as_deref()).map(|()| s));
        std::process::exit(live(session, false));
    }
    current::set_initialised();
}

/// A C library in the parent may have opened descriptors that are not close-on-exec; a fork server's children have none of
/// those either.
fn close_what_leaked(session: &Session, handles: Option<&str>) -> Result<()> {
    let handles = handles.map_or_else(|| Ok(Vec::new()), handles::parse)?;
    let mut keep = session.descriptors()?.descriptors();
    keep.extend(&handles);
    mp_sys::close_all_except(&keep).map_err(|e| Error::os("close what the parent let through", e))?;
    // SAFETY: the parent let them through for us, and nobody here has looked at them.
    unsafe { handles::adopt(&handles) }
}

pub(crate) fn report(error: &Error) -> i32 {
    // Nobody else can be told: a child without a session has no place for a result.
    eprintln!("mp: a process could not begin: {error}");
    STILLBORN
}

/// A child's life, from its entrance into the session to its exit code.
pub(crate) fn live(session: Result<Session>, is_spare: bool) -> i32 {
    let session = match session {
        Ok(session) => session,
        // The parent is gone, or has given us up: there is nobody to miss us, and nothing to say.
        Err(Error::Stale { .. }) => return STILLBORN,
        Err(error) => return report(&error),
    };
    current::set_initialised();
    panics::install_hook();
    if is_spare {
        match spare::await_call(&session) {
            // The group may have changed since the fork; why it may fail is told there.
            Ok(true) => {
                let _ = mp_sys::join_parents_group();
                if let Err(error) = signals::begin_anew() {
                    return report(&error);
                }
            }
            // Exit handlers would be those of a child that has lived.
            Ok(false) => mp_sys::exit_now(0),
            Err(error) => return report(&error),
        }
    }
    let produced = work(&session).unwrap_or_else(Produced::failed);
    let code = produced.code;
    match returned::leave(&session, produced) {
        Ok(()) => {
            if let Some(word) = session.user_word(EXIT_WORD) {
                word.store(exit_word(code), Release);
            }
            code
        }
        Err(error) => report(&error),
    }
}

/// Takes the arguments, becomes what the parent wants, and calls.
fn work(session: &Session) -> Result<Produced> {
    let message =
        session.take_arguments()?.ok_or_else(|| Error::Other("the parent left no arguments".into()))?;
    let (codec, payload) = message.payload()?;
    let (spec, args) = Spec::read(payload)?;
    if spec.image != mp_sys::image_id() {
        return Err(Error::ImageMismatch {
            detail: "the child runs another program than its parent: its file was replaced meanwhile".into(),
        });
    }
    current::set_role(&spec);
    // First, while this process has one thread.
    spec.apply_environment();
    signals::become_child(spec.on_interrupt)?;
    if signals::parent_is_ending(session) {
        mp_sys::exit_now(ORPHANED);
    }
    // Before the rest, for the limits that follow may be for threads as well.
    if spec.daemon {
        end_with_parent(session)?;
    }
    spec.apply()?;
    // A name that the system does not take is no reason to fail.
    let _ = mp_sys::set_process_title(&session.name());
    // SAFETY: the image is the same, so the name leads to the shim that the parent named.
    let shim = unsafe { target::shim_of(spec.target) };
    let imports = handles::merge(message.imports()?, &spec.handles)?;
    events::inherit(spec.log)?;
    let produced = events::working(|| session.name(), || shim(codec, args, imports));
    // Not given back here, where it would take pages that this process has not touched yet: whoever sweeps us releases what
    // we hold.
    #[expect(clippy::mem_forget, reason = "released by the sweep")]
    std::mem::forget(message);
    Ok(produced)
}

/// A daemon watches its parent and goes with it, also when that is killed. By a thread, for the kernel's own signal for
/// this is sent when the *thread* that started us ends.
fn end_with_parent(session: &Session) -> Result<()> {
    let session = session.clone();
    std::thread::Builder::new()
        .name("mp-parent".into())
        .stack_size(256 * 1024) // it may have to sweep
        .spawn(move || {
            if let Ok(true) = session.wait_for_parent(None) {
                // Those that are no daemons and so do not see it by themselves.
                signals::pass_on(&session, mp_sys::Signal::Terminate);
                // Foreign programs that it has started, if it was made the leader of a group to that end.
                mp_sys::kill_own_group();
                mp_sys::exit_now(ORPHANED);
            }
        })
        .map(|_| ())
        .map_err(|e| Error::os("thread that watches the parent", e))
}

/// Exit code of a daemon whose parent is gone; nobody is left to read it.
const ORPHANED: i32 = 1;

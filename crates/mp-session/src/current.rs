//! The session of this process.
//!
//! One pointer, null at first, that is set once; set again only in a copy of this process that enters for itself (`fork`): what it points
//! to there is its parent's part, to which the copy's old handles still belong, and which therefore stays.

use mp_wire::{Error, Result};

use crate::primitive::Ordering::*;
use crate::primitive::user::AtomicPtr;
use crate::session::Session;

static CURRENT: AtomicPtr<Session> = AtomicPtr::new(std::ptr::null_mut());

#[inline]
pub(crate) fn get() -> Option<&'static Session> {
    // SAFETY: null, or a leaked box.
    unsafe { CURRENT.load(Acquire).as_ref() }
}

/// Makes `session` this process's.
pub(crate) fn set(session: Session) -> Result<Session> {
    let old = CURRENT.load(Acquire);
    // SAFETY: as in `get`.
    if unsafe { old.as_ref() }.is_some_and(Session::is_member) {
        return Err(Error::Other("this process has a session already".into()));
    }
    let new = Box::into_raw(Box::new(session.clone()));
    match CURRENT.compare_exchange(old, new, AcqRel, Acquire) {
        Ok(_) => Ok(session),
        Err(_) => {
            // SAFETY: ours, and nobody has seen it.
            drop(unsafe { Box::from_raw(new) });
            Err(Error::Other("this process has a session already".into()))
        }
    }
}

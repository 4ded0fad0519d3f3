//! An object's words at hand: by way of the object it takes four loads to find one, which is as much time as a whole
//! operation should take.

use std::ptr::NonNull;

use mp_session::primitive::AtomicU64;
use mp_session::{Blueprint, Object, Role, Session};
use mp_wire::{Result, carrier};
use serde::{Deserialize, Deserializer, de};

/// A handle to an object, and where its words are.
#[derive(Clone)]
pub(crate) struct Anchor {
    object: Object,
    session: Session,
    words: [NonNull<AtomicU64>; 4],
    waiters: [NonNull<AtomicU64>; 2],
}

// SAFETY: the pointers are to atomics in session memory, which any thread may use, and which stays mapped as long as the
// object.
unsafe impl Send for Anchor {}
// SAFETY: as above.
unsafe impl Sync for Anchor {}

impl Anchor {
    pub(crate) fn new(object: Object) -> Anchor {
        let words = object.words();
        Anchor {
            session: object.session().clone(),
            words: [0, 1, 2, 3].map(|i| NonNull::from(words.word(i))),
            waiters: [Role::First, Role::Second].map(|role| NonNull::from(words.waiters(role))),
            object,
        }
    }

    /// Makes the object; `init` sees its words, which are zero, and its bytes, which are not.
    pub(crate) fn create(
        session: &Session,
        plan: Blueprint,
        init: impl FnOnce([&AtomicU64; 4], Option<NonNull<u8>>),
    ) -> Result<Anchor> {
        let object = Object::create(session, plan, |words, bytes| {
            init([0, 1, 2, 3].map(|i| words.word(i)), bytes);
        })?;
        Ok(Anchor::new(object))
    }

    /// A handle out of a message, if it is what it is taken for.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        plan: &Blueprint,
    ) -> Result<Anchor, D::Error> {
        Object::deserialize(deserializer)?
            .expect(plan.kind, plan.fingerprint)
            .map(Anchor::new)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }

    #[inline]
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    #[inline]
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// One of the object's own words.
    #[inline]
    pub(crate) fn word(&self, i: usize) -> &AtomicU64 {
        // SAFETY: taken from a reference to this very word; the object keeps it where it is.
        unsafe { self.words[i].as_ref() }
    }

    /// The wait word of a role.
    #[inline]
    pub(crate) fn waiters(&self, role: Role) -> &AtomicU64 {
        // SAFETY: as in `word`.
        unsafe { self.waiters[role as usize].as_ref() }
    }
}

/// `Clone`, `Serialize` and `Deserialize` of a handle that consists of an [`Anchor`] called `anchor`.
macro_rules! handle {
    ($type:ident, $plan:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.anchor.object().serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                Ok($type { anchor: $crate::anchor::Anchor::deserialize(deserializer, &$plan)? })
            }
        }
    };
}
pub(crate) use handle;

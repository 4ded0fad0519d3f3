//! Objects that own several others, one of which takes another's place: what growing data needs.
//!
//! Such an object has [`Shape::Owner`](crate::Shape::Owner): its block starts as a message's does,
//!
//! ```text
//! count of references(32)                 word 0
//! the type's own                          word 1
//! references                              a word each, owned
//! the type's own
//! ```
//!
//! so whoever destroys it, or sweeps up after who did, finds what it owns. Each change of a reference is a counted one and so
//! has happened or has not after a death ([`crate::refs`]); which of the references *counts* is for the type to say, in one word
//! of its own. Only one thread at a time may change them: the type has a lock for that.

use std::ptr::NonNull;

use mp_wire::{Error, Result};

use crate::object::Object;
use crate::owned::Owned;
use crate::primitive::{AtomicU64, Ordering::*};
use crate::table::MESSAGE_LIST;

impl Object {
    /// How many bytes at the start of a block are for `count` references and the words before them.
    pub const fn owner_header(count: u64) -> u64 {
        MESSAGE_LIST + count * 8
    }

    /// Writes the start of a block that owns nothing yet.
    ///
    /// # Safety
    /// `block` is this object's alone, aligned to 8, and has [`Object::owner_header`] bytes.
    pub unsafe fn write_owner_header(block: NonNull<u8>, count: u32) {
        let words = block.cast::<AtomicU64>();
        for i in 0..=count as usize + 1 {
            // SAFETY: inside the header by the caller's promise; an atomic is as good as any other word.
            unsafe { words.add(i).as_ref() }.store(if i == 0 { u64::from(count) } else { 0 }, Relaxed);
        }
    }

    /// Makes this object an owner of `child`, in its place `slot`. What is there already is released first.
    ///
    /// # Errors
    /// As [`Object::create`]; [`Error::Layout`] when there is no such place.
    pub fn own(&self, slot: u64, child: &Object) -> Result<()> {
        self.disown(slot)?;
        child.lend(self.owner_word(slot)?)
    }

    /// Releases what is in the place `slot`, if anything is.
    ///
    /// # Errors
    /// As [`Object::own`].
    pub fn disown(&self, slot: u64) -> Result<()> {
        let at = self.owner_word(slot)?;
        let session = self.session();
        if let Some(owned) = Owned::unpack(session.0.ground.word(at).load(Acquire)) {
            session.me()?.release(owned, at);
        }
        Ok(())
    }

    /// A handle to what is in the place `slot`, which must stay there meanwhile.
    ///
    /// # Errors
    /// [`Error::Stale`] when nothing is, and as [`Object::own`].
    pub fn owned(&self, slot: u64) -> Result<Object> {
        Object::share(self.session(), self.owner_word(slot)?)
    }

    fn owner_word(&self, slot: u64) -> Result<u64> {
        let wrong = || Error::Layout { detail: format!("{self:?} has no place {slot}") };
        let ground = &self.session().0.ground;
        let entry = ground.entry(self.id().0);
        let block = entry.offset.load(Acquire);
        let fits = block != 0 && Object::owner_header(slot + 1) <= entry.size.load(Relaxed);
        if !fits || slot >= u64::from(ground.word(block).load(Relaxed) as u32) {
            return Err(wrong());
        }
        Ok(block + MESSAGE_LIST + slot * 8)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Blueprint, Kind, Object, Role, Session, Shape};

    #[test]
    fn owned_objects_change_places_and_go_with_their_owner() {
        let heap = Session::on_heap(0).unwrap();
        let a = heap.member("a").unwrap();
        let block = |size| {
            let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size };
            Object::create(&a, plan, |_, _| {}).unwrap()
        };
        let plan = Blueprint {
            kind: Kind::BLOCK,
            fingerprint: 0,
            shape: Shape::Owner,
            size: Object::owner_header(2) + 8,
        };
        let before = a.stats().objects;
        let owner = Object::create(&a, plan, |_, bytes| {
            // SAFETY: ours alone, and large enough by the plan.
            unsafe { Object::write_owner_header(bytes.unwrap(), 2) };
        })
        .unwrap();
        let (x, y) = (block(8), block(8));
        owner.own(0, &x).unwrap();
        owner.own(1, &x).unwrap();
        assert_eq!(x.holders(Role::First), 3);
        owner.own(1, &y).unwrap();
        assert_eq!((x.holders(Role::First), y.holders(Role::First)), (2, 2));
        assert!(owner.owned(1).unwrap() == y);
        owner.disown(0).unwrap();
        assert!(owner.owned(0).is_err() && owner.owned(2).is_err() && owner.own(2, &y).is_err());
        drop((x, y));
        assert_eq!(a.stats().objects, before + 2);
        drop(owner);
        assert_eq!(a.stats().objects, before);
    }
}

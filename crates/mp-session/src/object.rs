//! Objects and the handles to them.

use crate::primitive::Ordering::*;
use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use mp_wire::{Departure, Error, Ident, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::ids::{Kind, Role};
use crate::label;
use crate::owned::Owned;
use crate::session::Session;
use crate::slots::Entry;
use crate::table::{CHILD_WORD, Shape, TypeWord};

mod handover;
mod words;

pub use handover::{Emptying, Filling, Taking};
pub use words::Words;

/// A counted reference to an object of the session: what every handle of mp has inside.
///
/// Cloning is cheap and process-local; the session counts a process once per [`Object`] that it created or received,
/// and gives the count back when the last clone is dropped, or the process dies. It serialises inside a message only
/// (anywhere else is [`Error::NotInCarrier`]), and is the same object where it arrives.
#[derive(Clone)]
pub struct Object(Arc<Held>);

struct Held {
    session: Session,
    index: u32,
    generation: u64,
    role: Role,
    record: u64,
    /// Where the entry is: looked up once, for each look at a word of the object begins here.
    entry: NonNull<Entry>,
    /// Address and length of the object's bytes; they stay where they are as long as the reference exists.
    bytes: Option<(NonNull<u8>, u64)>,
}

// SAFETY: the pointers are to session memory, which any thread may use; exclusive use of the bytes is up to the types
// built on top, as told at `Object::bytes`.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

/// What a new object is.
#[derive(Clone, Copy, Debug)]
pub struct Blueprint {
    /// What it is.
    pub kind: Kind,
    /// Tells types of the same kind apart, in 44 bits; see [`fingerprint`].
    pub fingerprint: u64,
    /// How the session finds the references that it owns.
    pub shape: Shape,
    /// How many bytes it has, besides its words.
    pub size: u64,
}

/// How many bits of an object's type word are its fingerprint.
pub(crate) const FINGERPRINT_BITS: u32 = 44;

/// A number for a type: the same in every process that runs the same program, and very likely another for another type.
pub fn fingerprint<T: ?Sized>() -> u64 {
    let hash = std::any::type_name::<T>()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (size_of_val_hint::<T>() << 1)) & ((1 << FINGERPRINT_BITS) - 1)
}

fn size_of_val_hint<T: ?Sized>() -> u64 {
    size_of::<&T>() as u64
}

impl Object {
    /// Makes an object with one handle to it. `init` sees its words, all zero, and its bytes, which are whatever their
    /// last user left, before anybody else does.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no entry or no memory left, or the budget is used up.
    pub fn create(
        session: &Session,
        plan: Blueprint,
        init: impl FnOnce(Words<'_>, Option<NonNull<u8>>),
    ) -> Result<Object> {
        let [first, _] = Object::create_roles(session, plan, "", &[Role::First], false, init)?;
        first.ok_or_else(no_handle)
    }

    /// As [`Object::create`], with a label for people ([`Object::label`]), of which at most 31 bytes are kept. The object
    /// must be [`Shape::Plain`].
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn create_labelled(
        session: &Session,
        plan: Blueprint,
        label: &str,
        init: impl FnOnce(Words<'_>, Option<NonNull<u8>>),
    ) -> Result<Object> {
        let [first, _] = Object::create_roles(session, plan, label, &[Role::First], false, init)?;
        first.ok_or_else(no_handle)
    }

    /// As [`Object::create_labelled`], and the bytes are zero.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn create_zeroed(
        session: &Session,
        plan: Blueprint,
        label: &str,
        init: impl FnOnce(Words<'_>, Option<NonNull<u8>>),
    ) -> Result<Object> {
        let [first, _] = Object::create_roles(session, plan, label, &[Role::First], true, init)?;
        first.ok_or_else(no_handle)
    }

    /// Makes an object with a handle in each of its two roles.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn create_pair(
        session: &Session,
        plan: Blueprint,
        init: impl FnOnce(Words<'_>, Option<NonNull<u8>>),
    ) -> Result<(Object, Object)> {
        match Object::create_roles(session, plan, "", &[Role::First, Role::Second], false, init)? {
            [Some(a), Some(b)] => Ok((a, b)),
            _ => Err(no_handle()),
        }
    }

    fn create_roles(
        session: &Session,
        plan: Blueprint,
        label: &str,
        roles: &[Role],
        zeroed: bool,
        init: impl FnOnce(Words<'_>, Option<NonNull<u8>>),
    ) -> Result<[Option<Object>; 2]> {
        let me = session.me()?;
        let ground = &session.0.ground;
        let labelled = !label.is_empty() && plan.shape == Shape::Plain;
        let fingerprint = plan.fingerprint & ((1 << FINGERPRINT_BITS) - 1);
        let kind = TypeWord { kind: plan.kind, shape: plan.shape, fingerprint, labelled };
        let size = if labelled { label::with_room(plan.size) } else { plan.size };
        let made = me.create(kind, size, roles, |entry, block| {
            if let Some(block) = block.filter(|_| zeroed) {
                ground.zero(block, size);
            }
            let offset = block.map_or(0, |block| block.offset);
            let bytes = if plan.size == 0 { None } else { ground.region.bytes(offset, plan.size) };
            if labelled {
                label::write(ground, offset + size, label);
            }
            init(Words(entry), bytes);
        })?;
        let mut objects = [None, None];
        for role in roles {
            if let Some(record) = made.records[*role as usize] {
                objects[*role as usize] =
                    Some(Object::hold(session, made.index, made.generation, *role, record));
            }
        }
        Ok(objects)
    }

    /// A handle for a reference whose count and record exist.
    fn hold(session: &Session, index: u32, generation: u64, role: Role, record: u64) -> Object {
        let ground = &session.0.ground;
        let entry = ground.entry(index);
        let (offset, size) = (entry.offset.load(Acquire), label::size_without(entry));
        let bytes = if offset == 0 || size == 0 {
            None
        } else {
            ground.region.bytes(offset, size).map(|p| (p, size))
        };
        let entry = NonNull::from(entry);
        Object(Arc::new(Held { session: session.clone(), index, generation, role, record, entry, bytes }))
    }

    /// Another handle for what the word at `from` owns, which must stay so meanwhile.
    pub(crate) fn share(session: &Session, from: u64) -> Result<Object> {
        let ground = &session.0.ground;
        let Some(owned) = Owned::unpack(ground.word(from).load(Acquire)) else {
            return Err(Error::Stale { what: "a reference that was taken already".into() });
        };
        Object::retain(session, owned)
    }

    fn retain(session: &Session, owned: Owned) -> Result<Object> {
        let me = session.me()?;
        let ground = &session.0.ground;
        let record = session.0.book.take(ground, &session.0.magazines)?;
        if let Err(e) = me.retain(owned, record) {
            session.0.book.give(record);
            return Err(e);
        }
        let state = crate::table::EntryState::unpack(ground.entry(owned.index).state.load(Acquire));
        Ok(Object::hold(session, owned.index, state.generation, owned.role, record))
    }

    /// A handle of its own to the same object, counted by itself.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn try_clone_counted(&self) -> Result<Object> {
        Object::retain(&self.0.session, Owned { index: self.0.index, role: self.0.role })
    }

    /// Adds a count owned by the word at `to` (a list in a message, a child word).
    pub(crate) fn lend(&self, to: u64) -> Result<()> {
        self.0.session.me()?.retain(Owned { index: self.0.index, role: self.0.role }, to)
    }

    #[inline]
    fn entry(&self) -> &Entry {
        // SAFETY: an entry of the session that `Held` keeps mapped; atomics only.
        unsafe { self.0.entry.as_ref() }
    }

    /// The session that it lives in.
    #[inline]
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Slot and generation: equal for handles of the same object only.
    pub fn id(&self) -> (u32, u64) {
        (self.0.index, self.0.generation)
    }

    /// In which role this handle holds it.
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        TypeWord::unpack(self.entry().kind.load(Relaxed)).kind
    }

    /// The label that it was created with.
    pub fn label(&self) -> Option<String> {
        label::read(&self.0.session.0.ground, self.entry())
    }

    /// Checks that the object is what the caller takes it for.
    ///
    /// # Errors
    /// [`Error::WrongKind`] or [`Error::WrongType`].
    pub fn expect(self, kind: Kind, fingerprint: u64) -> Result<Object> {
        let found = TypeWord::unpack(self.entry().kind.load(Relaxed));
        if found.kind != kind {
            return Err(Error::WrongKind { expected: kind.name(), found: found.kind.name() });
        }
        if found.fingerprint != fingerprint & ((1 << FINGERPRINT_BITS) - 1) {
            return Err(Error::WrongType { what: kind.name() });
        }
        Ok(self)
    }

    /// The object's own words.
    #[inline]
    pub fn words(&self) -> Words<'_> {
        Words(self.entry())
    }

    /// Its bytes. They live as long as the handle; who may touch them when is up to the type that made the object
    /// (another process may, so a reference to them needs a lock, a lease, or bytes that never change).
    #[inline]
    pub fn bytes(&self) -> Option<(NonNull<u8>, u64)> {
        self.0.bytes
    }

    /// How many processes' handles, messages and objects hold it in that role.
    #[inline]
    pub fn holders(&self, role: Role) -> u64 {
        crate::refs::count(self.entry().refs[role as usize].load(SeqCst))
    }

    /// Who died last of those who held it in that role, and how.
    pub fn departed(&self, role: Role) -> Option<(Ident, Departure)> {
        self.0.session.0.departed(self.0.index, role)
    }

    /// Makes this object the owner of another: it is released when this one is destroyed. It must own none yet.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn adopt(&self, child: &Object) -> Result<()> {
        let ground = &self.0.session.0.ground;
        child.lend(ground.offset_of(&self.entry().words[CHILD_WORD]))
    }

    /// A handle to the object that this one owns.
    ///
    /// # Errors
    /// [`Error::Stale`] when it owns none.
    pub fn child(&self) -> Result<Object> {
        let ground = &self.0.session.0.ground;
        Object::share(&self.0.session, ground.offset_of(&self.entry().words[CHILD_WORD]))
    }
}

#[cold]
fn no_handle() -> Error {
    Error::Other("an object without a handle".into())
}

impl Drop for Held {
    fn drop(&mut self) {
        // In a foreign fork's child, and in a thread that is past its end, there is nobody to do it: the process's
        // sweeper will.
        if let Ok(me) = self.session.me() {
            me.release(Owned { index: self.index, role: self.role }, self.record);
            self.session.0.book.give(self.record);
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.kind().name(), self.0.index, self.0.generation)?;
        if let Some(label) = self.label() {
            write!(f, " {label:?}")?;
        }
        if self.0.role == Role::Second { f.write_str(" (second role)") } else { Ok(()) }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.id() == other.id() && self.0.session.0.id == other.0.session.0.id
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = mp_wire::carrier::export(Box::new(self.clone()) as Box<dyn Any + Send>)
            .map_err(ser::Error::custom)?;
        serializer.serialize_u32(index)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        let index = u32::deserialize(deserializer)?;
        let object = mp_wire::carrier::import(index).map_err(de::Error::custom)?;
        object.downcast::<Object>().map(|o| *o).map_err(|_| de::Error::custom("not an object of the session"))
    }
}

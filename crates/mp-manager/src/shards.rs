//! A row of shards: what dicts, sets and namespaces are.
//!
//! An object that owns its shards, each of them made when it is first written to. Its block, behind the references:
//!
//! | word | holds |
//! |---|---|
//! | 0, 1 | the seed of the hash |
//! | 2 | how many shards there may be, a power of two |
//! | 3 | the transaction that was decided last |
//!
//! The object's words 0 to 2 are its lock, under which shards are made and transactions go on; word 3 is its clock, from which each new entry
//! has its stamp.
//!
//! # Transactions
//!
//! What changes entries of several shards at once (`update`, `clear`) has the dict's lock and that of each shard that takes part. It prepares
//! each of them: writes beyond what counts, and leaves the state that the shard is to have, with the transaction's number. The commit is one
//! store: the dict's word of the last decided transaction.
//!
//! | dies | the next holder of a shard finds | and |
//! |---|---|---|
//! | before the commit | a prepared state of a transaction that was not decided | gives it up |
//! | after the commit | a prepared state of the transaction that was decided last | makes it count |
//!
//! Numbers are not used twice, and the next transaction begins after its author has locked, and so settled, every shard, if the last
//! author died (*settle-before-deciding*): what was decided last stays that until no shard waits for it any more.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ptr::NonNull;
use std::sync::OnceLock;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Object, Session, Shape};
use mp_sync::__private::{EmbeddedLock, Found, Patience};
use mp_wire::{Error, Result};

use crate::key::{self, KeyOf};
use crate::packed::{Packed, Raw, Scratch};
use crate::shard::{self, Key, RawEntry};
use crate::shelf::{Held, Shelf, damaged};

mod bulk;

/// How many shards a dict has unless it is told otherwise.
pub(crate) const SHARDS: u32 = 16;
const MOST_SHARDS: u32 = 256;
const CLOCK: usize = 3;
/// Words behind the references.
const WORDS: u64 = 4;

/// This process's view of the row.
pub(crate) struct Shards {
    lock: EmbeddedLock,
    seed: (u64, u64),
    pub(crate) shards: Box<[OnceLock<Shelf>]>,
    decided: NonNull<AtomicU64>,
}

// SAFETY: the pointer is to an atomic in session memory, which any thread may use, and which stays as long as the lock's object.
unsafe impl Send for Shards {}
// SAFETY: as above.
unsafe impl Sync for Shards {}

/// A key on its way: its shard, and what the shard is asked.
pub(crate) struct Sought {
    scratch: Scratch,
    pub(crate) shard: usize,
    hash: u32,
}

impl Sought {
    pub(crate) fn key(&self) -> Key<'_> {
        Key { hash: self.hash, bytes: self.scratch.bytes() }
    }
}

/// The lock of the whole, until it is dropped.
pub(crate) struct Whole<'a>(&'a EmbeddedLock);

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Shards {
    pub(crate) fn create(kind: Kind, fingerprint: u64, shards: u32, session: &Session) -> Result<Shards> {
        if !shards.is_power_of_two() || shards > MOST_SHARDS {
            let detail = format!("{shards} shards (a power of two up to {MOST_SHARDS} is allowed)");
            return Err(Error::InvalidArgument { detail });
        }
        let header = Object::owner_header(u64::from(shards));
        let plan = Blueprint { kind, fingerprint, shape: Shape::Owner, size: header + WORDS * 8 };
        let chance = || RandomState::new().build_hasher().finish();
        let words = [chance(), chance(), u64::from(shards), 0];
        let object = Object::create_zeroed(session, plan, "", |_, bytes| {
            let Some(bytes) = bytes else { return };
            // SAFETY: the block is ours alone until `create_zeroed` returns, aligned to 64, and has the size of the plan.
            unsafe {
                Object::write_owner_header(bytes, shards);
                bytes.add(header as usize).cast::<[u64; WORDS as usize]>().write(words);
            }
        })?;
        Shards::of(object)
    }

    pub(crate) fn of(object: Object) -> Result<Shards> {
        let Some((bytes, size)) = object.bytes().filter(|(_, size)| *size >= WORDS * 8) else {
            return Err(damaged("a dict without its header"));
        };
        // SAFETY: the last words of the block, aligned to 8.
        let words = unsafe { bytes.add((size - WORDS * 8) as usize).cast::<AtomicU64>() };
        // SAFETY: three of them, written before anybody else saw them and never changed.
        let [a, b, count] = unsafe { words.cast::<[u64; 3]>().read() };
        if count == 0 || count > u64::from(MOST_SHARDS) || Object::owner_header(count) + WORDS * 8 != size {
            return Err(damaged("a dict whose header does not fit"));
        }
        let shards = (0..count).map(|_| OnceLock::new()).collect();
        // SAFETY: the fourth of them.
        let decided = unsafe { words.add(3) };
        Ok(Shards { lock: EmbeddedLock::of(object, true), seed: (a, b), decided, shards })
    }

    pub(crate) fn object(&self) -> &Object {
        self.lock.object()
    }

    /// The next stamp, the first of so many.
    pub(crate) fn tick(&self, count: u64) -> u64 {
        self.object().words().word(CLOCK).fetch_add(count, Relaxed)
    }

    pub(crate) fn decided(&self) -> &AtomicU64 {
        // SAFETY: as told at `Shards`.
        unsafe { self.decided.as_ref() }
    }

    #[inline]
    pub(crate) fn seek<K, Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Result<Sought> {
        let mut scratch = Scratch::new();
        key.encode_key(scratch.buffer())?;
        Ok(self.seek_scratch(scratch))
    }

    pub(crate) fn seek_bytes(&self, key: &[u8]) -> Sought {
        self.seek_scratch(Scratch::copy_of(key))
    }

    #[inline]
    fn seek_scratch(&self, scratch: Scratch) -> Sought {
        let hash = key::hash(self.seed, scratch.bytes());
        let shard = (hash >> 32) as usize & (self.shards.len() - 1);
        Sought { shard, hash: hash as u32, scratch }
    }

    /// A shard, if it was ever written to.
    #[inline]
    fn shard(&self, index: usize) -> Result<Option<&Shelf>> {
        match self.shards[index].get() {
            Some(shelf) => Ok(Some(shelf)),
            None => self.open_shard(index),
        }
    }

    #[cold]
    fn open_shard(&self, index: usize) -> Result<Option<&Shelf>> {
        match self.object().owned(index as u64) {
            Ok(object) => {
                let shelf = Shelf::of(object.expect(Kind::SHELF, 0)?)?;
                Ok(Some(self.shards[index].get_or_init(|| shelf)))
            }
            Err(Error::Stale { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(crate) fn shard_to_write(&self, index: usize) -> Result<&Shelf> {
        match self.shards[index].get() {
            Some(shelf) => Ok(shelf),
            None => self.make_shard(index),
        }
    }

    #[cold]
    fn make_shard(&self, index: usize) -> Result<&Shelf> {
        if let Some(shelf) = self.open_shard(index)? {
            return Ok(shelf);
        }
        let shelf = Shelf::create(self.object().session(), Kind::SHELF, 0)?;
        // Owning it is one step, so a death in here leaves nothing to settle.
        let _whole = self.whole()?;
        if let Some(theirs) = self.open_shard(index)? {
            return Ok(theirs);
        }
        self.object().own(index as u64, shelf.object())?;
        Ok(self.shards[index].get_or_init(|| shelf))
    }

    /// Takes the lock of the dict as a whole: which shards there are does not change as long as it is held, and no transaction but ours
    /// is decided.
    pub(crate) fn whole(&self) -> Result<Whole<'_>> {
        loop {
            let Some(found) = self.lock.lock(Patience::Endless)? else { continue };
            let whole = Whole(&self.lock);
            if let Found::OwnerDied(_) = found {
                // *settle-before-deciding*
                for index in 0..self.shards.len() {
                    self.locked(index)?;
                }
                self.lock.mark_consistent();
            }
            return Ok(whole);
        }
    }

    /// Takes the lock of a shard. If its last holder died, what that left is settled first.
    #[inline]
    fn lock_shard<'a>(&self, shelf: &'a Shelf) -> Result<Held<'a>> {
        shelf.lock(|held| {
            if let Some((transaction, state)) = held.prepared() {
                let decided = self.decided().load(Acquire) == transaction;
                held.conclude(decided.then_some(state));
            }
            shard::repair(held)
        })
    }

    #[inline]
    pub(crate) fn locked(&self, index: usize) -> Result<Option<Held<'_>>> {
        self.shard(index)?.map(|shelf| self.lock_shard(shelf)).transpose()
    }

    #[inline]
    pub(crate) fn get(&self, sought: &Sought) -> Result<Option<Raw>> {
        let Some(mut held) = self.locked(sought.shard)? else { return Ok(None) };
        match shard::find(&held, sought.key()) {
            Some(found) => shard::value(&mut held, found).map(Some),
            None => Ok(None),
        }
    }

    /// Puts a value in. The old one, if `wants_old`.
    #[inline]
    pub(crate) fn put(&self, sought: &Sought, value: &Packed, wants_old: bool) -> Result<Option<Raw>> {
        let mut held = self.lock_shard(self.shard_to_write(sought.shard)?)?;
        match shard::find(&held, sought.key()) {
            Some(found) => {
                let old = if wants_old { Some(shard::value(&mut held, found)?) } else { None };
                shard::change(&mut held, sought.key(), found, value)?;
                Ok(old)
            }
            None => {
                shard::add(&mut held, sought.key(), || self.tick(1), value)?;
                Ok(None)
            }
        }
    }

    pub(crate) fn take(&self, sought: &Sought) -> Result<Option<Raw>> {
        let Some(mut held) = self.locked(sought.shard)? else { return Ok(None) };
        let Some(found) = shard::find(&held, sought.key()) else { return Ok(None) };
        let old = shard::value(&mut held, found)?;
        shard::remove(&mut held, found)?;
        Ok(Some(old))
    }

    /// Puts `new` in the place of `seen`, if that is still there: `None` is no entry.
    pub(crate) fn exchange(&self, sought: &Sought, seen: Option<&Raw>, new: Option<&Packed>) -> Result<bool> {
        let mut held = self.lock_shard(self.shard_to_write(sought.shard)?)?;
        let found = shard::find(&held, sought.key());
        let same = match (found, seen) {
            (None, None) => true,
            (Some(found), Some(seen)) => shard::value(&mut held, found)?.is_same(seen),
            _ => false,
        };
        if same {
            match (found, new) {
                (Some(found), Some(new)) => shard::change(&mut held, sought.key(), found, new)?,
                (None, Some(new)) => {
                    shard::add(&mut held, sought.key(), || self.tick(1), new)?;
                }
                (Some(found), None) => shard::remove(&mut held, found)?,
                (None, None) => {}
            }
        }
        Ok(same)
    }

    /// All shards that there are, locked, in their order: so nobody waits for who waits for him.
    fn all(&self) -> Result<Vec<Held<'_>>> {
        let _whole = self.whole()?;
        (0..self.shards.len()).filter_map(|index| self.locked(index).transpose()).collect()
    }

    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.all()?.iter().map(|held| shard::live(held)).sum())
    }

    pub(crate) fn entries(&self) -> Result<Vec<RawEntry>> {
        let mut entries = Vec::new();
        for held in &mut self.all()? {
            entries.extend(shard::entries(held)?);
        }
        entries.sort_unstable_by_key(|entry| entry.stamp);
        Ok(entries)
    }

    pub(crate) fn keys(&self) -> Result<Vec<Box<[u8]>>> {
        let mut keys = Vec::new();
        for held in &self.all()? {
            keys.extend(shard::keys(held));
        }
        keys.sort_unstable_by_key(|(stamp, _)| *stamp);
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }

    pub(crate) fn take_last(&self) -> Result<Option<(Box<[u8]>, Raw)>> {
        let mut all = self.all()?;
        let lasts =
            all.iter_mut().enumerate().filter_map(|(i, held)| shard::last(held).map(|last| (last, i)));
        let Some(((_, found), at)) = lasts.max_by_key(|((stamp, _), _)| *stamp) else { return Ok(None) };
        let held = &mut all[at];
        let key = shard::key_of(held, found);
        let value = shard::value(held, found)?;
        shard::remove(held, found)?;
        Ok(Some((key, value)))
    }
}

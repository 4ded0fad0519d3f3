//! The board of an array's leases: which range is whose.
//!
//! An object of its own, which the array's adopts with its first lease. Its block is a row of slots, four words each:
//!
//! | word | holds | written by |
//! |---|---|---|
//! | owner | 0: free; otherwise the process (generation, slot + 1) that has the lease | see below |
//! | start, length | the range, in elements | the process that takes the lease, before it writes its name |
//! | pid | the same process, for people | the same |
//!
//! | owner | to | by |
//! |---|---|---|
//! | 0 | p | p, under the array's lock, after it saw that no other slot's range overlaps: the commit |
//! | p | 0 | p, by one compare-and-swap, without the lock: the return |
//! | p, and p is gone | 0 | who has the array's lock or a lease of the whole range and has told or repaired it |
//!
//! Names have generations and are not given twice, so a lease is returned exactly once.
//!
//! # Deaths
//!
//! | p dies | the others see |
//! |---|---|
//! | before it wrote its name | a free slot |
//! | with the lease | a slot of somebody who is gone: its range may be half changed, and is nobody's until somebody takes it over |
//! | after it gave it back, before it woke anybody | a free slot; sleepers are made to look after each death |

use std::ptr::NonNull;
use std::time::Instant;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, MemberId, Object, Role, Session, Shape, ThreadId};
use mp_sync::__private::Patience;
use mp_wire::{Error, Result};

/// How many leases one array can have out.
pub(crate) const SLOTS: usize = 256;

#[repr(C)]
struct Slot {
    owner: AtomicU64,
    start: AtomicU64,
    len: AtomicU64,
    pid: AtomicU64,
}

/// A range of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

impl Range {
    fn end(self) -> u64 {
        self.start + self.len
    }

    fn overlaps(self, other: Range) -> bool {
        self.len != 0 && other.len != 0 && self.start < other.end() && other.start < self.end()
    }

    fn contains(self, other: Range) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }
}

/// What is in the way of a lease.
#[derive(Debug)]
pub(crate) enum Room {
    /// Nothing: this slot is free. The slots of the dead that the range covers come with it.
    Free { slot: usize, inherited: Vec<usize> },
    /// Somebody who lives.
    Taken,
    /// Somebody who died with a range that is not all in this one.
    Torn(u32),
    /// All slots.
    Full,
}

#[derive(Debug)]
pub(crate) struct Board {
    object: Object,
    slots: NonNull<Slot>,
}

// SAFETY: the pointer is to atomics in session memory, which any thread may use, and which stay as long as the object.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

const PLAN: Blueprint = Blueprint {
    kind: Kind::LEASES,
    fingerprint: 0,
    shape: Shape::Plain,
    size: (SLOTS * size_of::<Slot>()) as u64,
};

/// A process, in one word that is never 0.
fn name(member: MemberId) -> u64 {
    member.to_bits() + 1
}

fn member(name: u64) -> MemberId {
    MemberId::from_bits(name - 1)
}

impl Board {
    pub(crate) fn make(session: &Session) -> Result<Board> {
        Board::open(Object::create_zeroed(session, PLAN, "", |_, _| {})?)
    }

    pub(crate) fn open(object: Object) -> Result<Board> {
        let object = object.expect(PLAN.kind, PLAN.fingerprint)?;
        match object.bytes() {
            Some((bytes, size)) if size >= PLAN.size => Ok(Board { slots: bytes.cast(), object }),
            _ => Err(Error::Layout { detail: "leases without room".into() }),
        }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    fn slot(&self, i: usize) -> &Slot {
        debug_assert!(i < SLOTS);
        // SAFETY: the block has so many slots (checked by `open`), of atomics only, and lives as long as the object.
        unsafe { self.slots.add(i).as_ref() }
    }

    /// Slots that are taken: index, owner, range.
    fn taken(&self) -> impl Iterator<Item = (usize, u64, Range)> {
        (0..SLOTS).filter_map(|i| {
            let slot = self.slot(i);
            let owner = slot.owner.load(Acquire);
            let range = Range { start: slot.start.load(Relaxed), len: slot.len.load(Relaxed) };
            (owner != 0).then_some((i, owner, range))
        })
    }

    fn is_gone(&self, owner: u64) -> bool {
        self.object.session().is_swept(member(owner))
    }

    /// What is in the way of a lease of that range. Under the array's lock.
    pub(crate) fn room_for(&self, range: Range) -> Room {
        let mut inherited = Vec::new();
        for (i, owner, taken) in self.taken() {
            if !taken.overlaps(range) {
                continue;
            }
            if !self.is_gone(owner) {
                return Room::Taken;
            }
            if !range.contains(taken) {
                return Room::Torn(self.pid(i));
            }
            inherited.push(i);
        }
        match (0..SLOTS).find(|i| self.slot(*i).owner.load(Acquire) == 0) {
            Some(slot) => Room::Free { slot, inherited },
            None => Room::Full,
        }
    }

    /// Takes a free slot. Under the array's lock.
    pub(crate) fn take(&self, i: usize, range: Range) {
        let slot = self.slot(i);
        slot.start.store(range.start, Relaxed);
        slot.len.store(range.len, Relaxed);
        slot.pid.store(u64::from(mp_sys::current_pid()), Relaxed);
        slot.owner.store(name(self.object.session().member()), SeqCst);
    }

    /// Returns a lease of this process's, once.
    pub(crate) fn give_back(&self, i: usize) {
        let session = self.object.session();
        if !session.is_member() {
            return; // the copy of a lease that a foreign fork made
        }
        let mine = name(session.member());
        if self.slot(i).owner.compare_exchange(mine, 0, SeqCst, Relaxed).is_ok() {
            self.announce();
        }
    }

    /// Frees the slot of somebody who is gone.
    pub(crate) fn forget(&self, i: usize) {
        let slot = self.slot(i);
        let owner = slot.owner.load(Acquire);
        if owner != 0 && self.is_gone(owner) {
            let _ = slot.owner.compare_exchange(owner, 0, SeqCst, Relaxed); // lost: forgotten by somebody else
            self.announce();
        }
    }

    fn announce(&self) {
        self.object.session().wake_all(self.object.words().waiters(Role::First));
    }

    pub(crate) fn pid(&self, i: usize) -> u32 {
        self.slot(i).pid.load(Relaxed) as u32
    }

    /// The slots of those who died with their lease, and their pids.
    pub(crate) fn left_behind(&self) -> Vec<(usize, u32)> {
        self.taken().filter(|(_, owner, _)| self.is_gone(*owner)).map(|(i, ..)| (i, self.pid(i))).collect()
    }

    /// Waits until nobody who lives has a lease. `false`: the patience did not last.
    pub(crate) fn wait_for_all(&self, patience: Patience) -> Result<bool> {
        self.wait_until(patience, || self.taken().all(|(_, owner, _)| self.is_gone(owner)))
    }

    /// Waits until nobody who lives has a part of that range.
    pub(crate) fn wait_for(&self, range: Range, patience: Patience) -> Result<bool> {
        self.wait_until(patience, || {
            self.taken().all(|(_, owner, taken)| !taken.overlaps(range) || self.is_gone(owner))
        })
    }

    fn wait_until(&self, patience: Patience, free: impl Fn() -> bool) -> Result<bool> {
        let session = self.object.session();
        let deadline: Option<Instant> = match patience {
            Patience::None => return Ok(free() || session.notice_deaths()? && free()),
            Patience::Until(deadline) => Some(deadline),
            Patience::Endless => None,
        };
        // Those who are gone may not have been noticed yet.
        if !free() {
            session.notice_deaths()?;
        }
        let word = self.object.words().waiters(Role::First);
        let came = session.wait(word, deadline, &|| ThreadId::NONE, || Ok(free().then_some(())))?;
        Ok(came.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_or_do_not() {
        let range = |start, len| Range { start, len };
        assert!(range(0, 5).overlaps(range(4, 1)) && !range(0, 5).overlaps(range(5, 1)));
        assert!(!range(3, 0).overlaps(range(0, 10)), "nothing overlaps nothing");
        assert!(range(2, 4).contains(range(3, 3)) && !range(2, 4).contains(range(3, 4)));
    }

    #[test]
    fn a_name_is_never_nobody() {
        let first = MemberId::from_bits(0);
        assert_ne!(name(first), 0);
        assert_eq!(member(name(first)), first);
    }
}

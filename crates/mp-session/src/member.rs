//! Members: the processes of a session.
//!
//! ```text
//! state   generation(32) | sweeper: member + 1 (16) | status(16)
//! ```
//!
//! | status | meaning | moved by |
//! |---|---|---|
//! | `FREE(g)` | nobody's | any member, to `RESERVED` for a child; the founder, to `LIVE` |
//! | `RESERVED(g)` | a child is being started | the child, to `LIVE`; a sweeper, if it never came |
//! | `LIVE(g)` | takes part | a sweeper, once its death is certain |
//! | `SWEEPING(s, g)` | s clears up after it | s, to `GONE` or `FREE`; after the death of s, another sweeper |
//! | `GONE(g)` | holds nothing but its result and its end, for its parent | the parent, or the parent's sweeper, to `FREE(g + 1)` |
//!
//! # When is a process dead?
//!
//! Two pieces of evidence are asked for, of different kinds, so that no single accident (a closed descriptor, a recycled
//! pid, a thread that left in an odd way) makes survivors take away what a living process holds:
//!
//! 1. the kernel let go of something that it holds for a living process only: it marked the beacon of the thread that
//!    speaks for the process, or it dropped the lock on the member's byte of the liveness file;
//! 2. the process table says so: no such pid, another start time, or a process that is exiting.
//!
//! Only the first: it is watched, again and again, and nothing is taken. Where the process table cannot be read (a
//! process that has no descriptor left), the beacon and the lock together will do.
//!
//! In a region on the heap, where tests play several members in one process, a flag stands for both.

use crate::primitive::Ordering::*;

use mp_sys::ProcessState;
use mp_wire::{Departure, Error, Ident, Result};

use crate::cell::{CellState, Status};
use crate::ground::Ground;
use crate::ids::MemberId;
use crate::session::Inner;
use crate::slots::{MemberSlot, NO_PARENT, SlotState};
use crate::thread;

pub(crate) const FREE: u16 = 0;
pub(crate) const RESERVED: u16 = 1;
pub(crate) const LIVE: u16 = 2;
pub(crate) const SWEEPING: u16 = 3;
pub(crate) const GONE: u16 = 4;

/// The bits of [`MemberSlot::end`]: `code(32) | unused | how(8) | flags(8)`.
pub(crate) mod end {
    use crate::primitive::{AtomicU64, Ordering::*};

    use super::Departure;

    /// The process has left its result.
    pub(crate) const FINISHED: u64 = 1;
    /// A test says that this member died.
    pub(crate) const ABANDONED: u64 = 2;
    /// The process was started: the pid in the slot is this occupant's. Lowered before the slot is freed.
    pub(crate) const STARTED: u64 = 4;
    /// The parent will not ask any more.
    pub(crate) const DETACHED: u64 = 8;

    pub(crate) fn departure(word: u64) -> Departure {
        let code = (word >> 32) as u32 as i32;
        match word >> 8 & 0xFF {
            1 => Departure::Exited(code),
            2 => Departure::Signalled(code),
            3 => Departure::Returned,
            4 => Departure::Lost,
            _ => Departure::Unknown,
        }
    }

    /// Writes how it ended, and leaves the flags, which others may be raising meanwhile.
    pub(crate) fn note(word: &AtomicU64, how: &Departure) {
        let _ = word.fetch_update(AcqRel, Acquire, |flags| Some(with(flags, how)));
    }

    pub(crate) fn with(flags: u64, how: &Departure) -> u64 {
        let (kind, code) = match how {
            Departure::Exited(code) => (1, *code),
            Departure::Signalled(signal) => (2, *signal),
            Departure::Returned => (3, 0),
            Departure::Lost => (4, 0),
            _ => (0, 0),
        };
        u64::from(code as u32) << 32 | kind << 8 | flags & 0xFF
    }
}

impl MemberSlot {
    pub(crate) fn set_name(&self, name: &str) {
        let mut bytes = [0_u8; 64];
        let cut = (0..=name.len().min(64)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        bytes[..cut].copy_from_slice(&name.as_bytes()[..cut]);
        for (word, eight) in self.name.iter().zip(bytes.chunks_exact(8)) {
            word.store(u64::from_le_bytes(eight.try_into().unwrap_or_default()), Relaxed);
        }
    }

    pub(crate) fn name(&self) -> String {
        let bytes: Vec<u8> = self.name.iter().flat_map(|w| w.load(Relaxed).to_le_bytes()).collect();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    pub(crate) fn ident(&self) -> Ident {
        Ident { pid: self.pid.load(Relaxed), name: self.name() }
    }
}

/// Takes a free slot for a process with that parent.
///
/// A slot is free as soon as its last process is certain to run no more, which is before the kernel has closed that process's
/// files: it may hold its lock still (*lock-of-the-dying*), and the next occupant could not take it. `vacated` tells.
pub(crate) fn claim(
    ground: &Ground,
    status: u16,
    parent: Option<MemberId>,
    name: &str,
    vacated: impl Fn(u32) -> bool,
) -> Result<MemberId> {
    let count = ground.layout.member_count;
    for index in 0..count {
        let slot = ground.member(index);
        let seen = SlotState::load(&slot.state);
        if seen.status != FREE || !vacated(index) {
            continue;
        }
        // A parent that dies right after this leaves a reserved slot whose fields are its last occupant's. So the state
        // itself names the parent, whose sweeper writes the field for it.
        let taken = SlotState { partner: 0, status: RESERVED, ..seen };
        // Before the slot is taken, or a claimant that dies in between leaves one that no scan comes to.
        ground.header().members_used.fetch_max(index + 1, AcqRel);
        if !seen.swap(&slot.state, SlotState { partner: parent.map_or(0, |p| p.index as u16 + 1), ..taken }) {
            continue;
        }
        slot.pid.store(0, Relaxed);
        slot.start_time.store(0, Relaxed);
        slot.beacon.store(0, Relaxed);
        slot.end.store(0, Relaxed);
        slot.parent.store(parent.map_or(NO_PARENT, MemberId::to_bits), Relaxed);
        slot.set_name(name);
        for cell in [&slot.arguments, &slot.result] {
            let left = cell.state();
            let free = CellState { lap: left.lap + 1, thread: 0, status: Status::Free };
            cell.state.store(free.pack(), Relaxed);
        }
        for word in &slot.user {
            word.store(0, Relaxed);
        }
        let now = SlotState { status, partner: 0, ..seen };
        if status != RESERVED {
            slot.state.store(now.pack(), Release);
        }
        return Ok(MemberId { index, generation: seen.generation });
    }
    Err(ground.full("processes of the session", format!("{count} take part already")))
}

impl Inner {
    pub(crate) fn slot_of(&self, id: MemberId) -> Option<&MemberSlot> {
        if id.index >= self.ground.layout.member_count {
            return None;
        }
        let slot = self.ground.member(id.index);
        (SlotState::load(&slot.state).generation == id.generation).then_some(slot)
    }

    /// Takes the place that the parent reserved. The system is asked for the start time where it is not known.
    pub(crate) fn take_place(ground: &Ground, id: MemberId, start_time: Option<u64>) -> Result<()> {
        let gone =
            || Error::Stale { what: format!("place {id:?} in the session (the parent has given it up)") };
        if id.index >= ground.layout.member_count {
            return Err(Error::Forged { what: format!("place {id:?} in the session") });
        }
        let slot = ground.member(id.index);
        let seen = SlotState::load(&slot.state);
        if seen.generation != id.generation || seen.status != RESERVED {
            return Err(gone());
        }
        let pid = mp_sys::current_pid();
        let start_time = start_time.unwrap_or_else(|| mp_sys::start_time(pid).unwrap_or(0));
        slot.start_time.store(start_time, Relaxed);
        slot.pid.store(pid, Release);
        if !seen.swap(&slot.state, SlotState { status: LIVE, partner: 0, ..seen }) {
            return Err(gone());
        }
        Ok(())
    }

    /// Makes the occupant-to-be of a reserved place nobody's child. Should it die before it has taken the place, the place still says
    /// who reserved it, and names its process.
    pub(crate) fn have_no_parent(ground: &Ground, id: MemberId) -> Result<()> {
        if id.index >= ground.layout.member_count {
            return Err(Error::Forged { what: format!("place {id:?} in the session") });
        }
        let slot = ground.member(id.index);
        let seen = SlotState::load(&slot.state);
        if seen.generation != id.generation || seen.status != RESERVED {
            return Err(Error::Stale { what: format!("place {id:?} in the session (it was given up)") });
        }
        slot.parent.store(NO_PARENT, Release);
        Ok(())
    }

    /// Whether the member takes part now, as far as anybody knows.
    pub(crate) fn is_live(&self, index: u32) -> bool {
        matches!(SlotState::load(&self.ground.member(index).state).status, LIVE | SWEEPING)
    }

    /// The same, those included that were started and have not arrived: they hold their arguments. A place that was only
    /// just claimed may still show the pid of its last occupant, whose death must not be held against it.
    pub(crate) fn may_die(&self, index: u32) -> bool {
        let slot = self.ground.member(index);
        match SlotState::load(&slot.state).status {
            LIVE | SWEEPING => true,
            RESERVED => slot.end.load(Acquire) & end::STARTED != 0,
            _ => false,
        }
    }

    pub(crate) fn is_abandoned(&self, index: u32) -> bool {
        self.ground.member(index).end.load(Acquire) & end::ABANDONED != 0 && self.is_live(index)
    }

    /// The two pieces of evidence.
    pub(crate) fn is_dead(&self, index: u32) -> bool {
        let slot = self.ground.member(index);
        if slot.end.load(Acquire) & end::ABANDONED != 0 {
            return true;
        }
        if index == self.member.index || !self.ground.region.is_shared() {
            return false;
        }
        let pid = slot.pid.load(Acquire);
        if pid == 0 {
            return false;
        }
        let speaker = self.speaker(index);
        let beacon_dark = speaker.is_some_and(mp_sys::Beacon::is_dead);
        let lock = || self.liveness.as_ref().map(|l| l.held_by_other(index));
        let dark = beacon_dark
            || match lock() {
                Some(Ok(Some(held))) => !held,
                // No such evidence here: the process table has to do, which knows start times.
                _ => speaker.is_none(),
            };
        dark && match mp_sys::process_state(pid, slot.start_time.load(Relaxed)) {
            Ok(ProcessState::Running) => false,
            Ok(ProcessState::Exiting | ProcessState::Gone) => true,
            // The process table cannot be read, for want of a descriptor say. Beacon and lock are of different kinds,
            // too, and asking for them takes none: both have to say so.
            Err(_) => beacon_dark && matches!(lock(), Some(Ok(Some(false)))),
        }
    }

    /// Whether the first piece of evidence is there, cheaply: worth a closer look.
    pub(crate) fn is_suspect(&self, index: u32) -> bool {
        let slot = self.ground.member(index);
        if index == self.member.index {
            return false;
        }
        if slot.end.load(Acquire) & end::ABANDONED != 0 {
            return true;
        }
        match self.speaker(index) {
            None => self.ground.region.is_shared() && slot.pid.load(Relaxed) != 0,
            Some(word) => mp_sys::Beacon::is_dead(word),
        }
    }

    /// The beacon that speaks for the member. `None` when none does: the thread that did has left, or its slot was freed
    /// by a sweeper that then died; the slot may be another process's by now, whose life says nothing about this one.
    pub(crate) fn speaker(&self, index: u32) -> Option<u32> {
        let thread = self.ground.member(index).beacon.load(Acquire).checked_sub(1)?;
        let word = self.ground.thread(thread).beacon.word.load(Acquire);
        (thread::member_of(&self.ground, thread) == Some(index) && word != 0).then_some(word)
    }
}

//! Sweeping: clearing up after a process that died.
//!
//! Whoever notices a death sweeps. There is one sweeper at a time for a member, named in its state word; if the sweeper
//! dies, whoever takes over first sweeps *it*, which settles what it was in the middle of, and then does the victim's
//! steps again. Each step can be done any number of times:
//!
//! 1. every thread of the victim: its intent is settled, its stack of destructions worked off, a wake-up that it took
//!    with it handed on; its observers are freed; then whatever it was sweeping itself is taken over;
//! 2. the arguments that it did not take are released;
//! 3. its ledger: every permit is given back, every reference is released, its chunks freed;
//! 4. its spans and chunks become anybody's;
//! 5. its children: those that never came and those that nobody will ask about any more are cleared away;
//! 6. its threads' slots are freed, and its own: `GONE`, with the result kept, and at once `FREE` if no parent lives that
//!    will ask for it;
//! 7. everybody who sleeps is made to look around.

//!
//! # A sweeper that is stopped
//!
//! A sweeper that lives is never replaced, and one that is stopped (`SIGSTOP`, a debugger) lives. It delays the news of that one
//! death, and of those that it was about to take over: what the victim held is released when the sweeper goes on, or is killed, and who
//! waits for something of the *victim's* waits on, to his deadline. Nothing else waits for it: creating, releasing, sending and waiting take
//! no part in a sweep, and other deaths are swept by others.
//!
//! It cannot be replaced soundly. The steps can be done any number of times one sweeper *after* another, because each reads what
//! is left; not by two at once. A stopped sweeper may have read a record and be about to take that count away; a second one would
//! take it away, too, and when the first goes on the count falls twice and somebody's object is destroyed. Only a sweeper that is certain
//! never to run again has no such step before it. To exclude the other kind, every step would have to be one compare-and-swap that
//! also names the sweeper, in words that have no room for it: reference counts, tags, records. Death is what the kernel can vouch for;
//! "stopped for good" it cannot. Whoever has a stopped process in the way may kill it, which is safe at any instruction.

use crate::primitive::{AtomicU64, Bug, Ordering::*, bug, fence};

use mp_wire::Departure;

use crate::cell::{Cell, CellState, Claim, Status};
use crate::ids::{MemberId, Role};
use crate::ledger;
use crate::member::{FREE, GONE, LIVE, RESERVED, SWEEPING, end};
use crate::owned::Owned;
use crate::session::Inner;
use crate::slots::{MemberSlot, NO_PARENT, SlotState};
use crate::thread::{self, Me};
use crate::wait;

impl Inner {
    /// Looks for deaths and sweeps them. `true` if something was swept.
    pub(crate) fn notice_deaths(&self, me: &Me<'_>) -> bool {
        let mut swept = false;
        for index in 0..self.ground.members_used() {
            if self.may_die(index) && self.is_suspect(index) {
                swept |= self.sweep_if_dead(me, index);
            }
        }
        swept
    }

    /// Sweeps the member if its death is certain.
    pub(crate) fn sweep_if_dead(&self, me: &Me<'_>, index: u32) -> bool {
        // Read before the evidence is: what was found out about this occupant must not be held against the next.
        let generation = SlotState::load(&self.ground.member(index).state).generation;
        if index == self.member.index || !self.is_dead(index) {
            return false;
        }
        let departure = self.departure_of(index);
        // One sweep at a time in this process: the state word names processes, not threads.
        let _guard = self.sweeping.lock();
        self.sweep(me, index, generation, &departure)
    }

    /// Sweeps a child that this process has reaped: the process table itself said how it ended.
    pub(crate) fn sweep_reaped(&self, me: &Me<'_>, id: MemberId, departure: &Departure) {
        let _guard = self.sweeping.lock();
        self.sweep(me, id.index, id.generation, departure);
    }

    /// Sweeps the occupant of that generation; if there is another by now there is nothing to do.
    fn sweep(&self, me: &Me<'_>, index: u32, generation: u32, departure: &Departure) -> bool {
        let slot = self.ground.member(index);
        let sweeper = self.member.index as u16 + 1;
        // *swept-on-the-way*: its sweeper was dead as well, and the sweep of that one did this one's.
        let mut on_the_way = false;
        loop {
            let seen = SlotState::load(&slot.state);
            if seen.generation != generation {
                return on_the_way;
            }
            match seen.status {
                LIVE | RESERVED => {
                    if seen.swap(&slot.state, SlotState { partner: sweeper, status: SWEEPING, ..seen }) {
                        break;
                    }
                }
                SWEEPING if seen.partner == sweeper => break,
                SWEEPING => {
                    let Some(other) = u32::from(seen.partner).checked_sub(1) else { return false };
                    let others = SlotState::load(&self.ground.member(other).state);
                    if others.status == LIVE && !self.is_dead(other) {
                        return on_the_way; // being done; we are rung when it is
                    }
                    if matches!(others.status, LIVE | SWEEPING) {
                        // What the sweeper was in the middle of has to be settled before its work is taken over; the
                        // sweep of the sweeper does both. If it changed nothing, somebody else is at it.
                        on_the_way |= self.sweep(me, other, others.generation, &Departure::Unknown);
                        if SlotState::load(&slot.state) == seen {
                            return on_the_way;
                        }
                    } else {
                        seen.swap(&slot.state, SlotState { partner: sweeper, ..seen });
                    }
                }
                _ => return on_the_way,
            }
        }
        if slot.end.load(Acquire) >> 8 == 0 {
            end::note(&slot.end, departure);
        }
        self.clear(me, index, departure);
        slot.beacon.store(0, Release);
        self.ground.header().deaths.fetch_add(1, AcqRel);
        let gone = SlotState { generation, partner: 0, status: GONE };
        slot.state.store(gone.pack(), SeqCst);
        // *asked-no-more*: a parent that gives the child up says so and then looks for `GONE`, one that dies is found dead
        // before its sweeper looks for `GONE`. We say `GONE` and then look for either: one of us sees the other.
        fence(SeqCst);
        if slot.end.load(SeqCst) & end::DETACHED != 0 || !self.parent_lives(slot) {
            self.release_gone(me, index, gone);
        }
        self.ring_everybody();
        true
    }

    /// Takes over what a dead sweeper was sweeping, which must have been settled itself by now. Before its slot is freed:
    /// *sweeper's-namesake*: the next occupant of the slot lives, and nobody would ever again take its victims over.
    ///
    /// And what it had swept, but for the last step: a place that is `GONE` and will not be asked about.
    fn take_over_from(&self, me: &Me<'_>, sweeper: u32) {
        for index in (0..self.ground.members_used()).filter(|i| *i != sweeper) {
            let slot = self.ground.member(index);
            let seen = SlotState::load(&slot.state);
            let mine = SlotState { partner: self.member.index as u16 + 1, ..seen };
            if seen.status == SWEEPING
                && u32::from(seen.partner) == sweeper + 1
                && seen.swap(&slot.state, mine)
            {
                self.sweep(me, index, seen.generation, &self.departure_of(index));
            } else if seen.status == GONE
                && (slot.end.load(SeqCst) & end::DETACHED != 0 || !self.parent_lives(slot))
            {
                self.release_gone(me, index, seen);
            }
        }
    }

    /// Steps 1 to 5, and the threads' slots.
    fn clear(&self, me: &Me<'_>, index: u32, departure: &Departure) {
        let ground = &self.ground;
        let slot = ground.member(index);
        let threads: Vec<u32> =
            (0..ground.threads_used()).filter(|t| thread::member_of(ground, *t) == Some(index)).collect();
        for t in &threads {
            me.settle(*t);
        }
        for t in &threads {
            wait::settle(self, *t);
            ground.thread(*t).looking.store(0, SeqCst);
        }
        self.free_observers_of(index);
        if !bug(Bug::NamesakeForgotten) {
            self.take_over_from(me, index);
        }
        self.empty(me, &slot.arguments);
        // Before the references: they keep the objects whose permits these are.
        me.give_permits_back(index);
        for (record, owned) in ledger::records(ground, index) {
            self.note_departure(owned, slot, departure);
            me.release(owned, record);
        }
        ledger::close(ground, index);
        ground.settle_span_note(index);
        ground.orphan_spans(index);
        crate::entries::orphan_chunks(ground, index);
        self.sweep_children(me, index);
        for t in threads {
            let state = SlotState::load(&ground.thread(t).state);
            ground.thread(t).beacon.word.store(0, Release);
            thread::free(ground, t, state.generation);
        }
        crate::directory::tidy(me);
    }

    fn departed_word(&self, index: u32, role: Role) -> &AtomicU64 {
        let entry = self.ground.entry(index);
        match role {
            Role::First => &entry.departed,
            Role::Second => &entry.words[crate::table::DEPARTED_WORD],
        }
    }

    /// Remembers on the object who it was that went.
    fn note_departure(&self, owned: Owned, slot: &MemberSlot, departure: &Departure) {
        let code = end::with(0, departure);
        let how = (code >> 32 & 0xFF_FFFF) << 8 | code >> 8 & 0xFF;
        let pid = u64::from(slot.pid.load(Relaxed));
        self.departed_word(owned.index, owned.role).store(pid << 32 | how, Relaxed);
    }

    fn sweep_children(&self, me: &Me<'_>, parent: u32) {
        for index in 0..self.ground.members_used() {
            let slot = self.ground.member(index);
            let seen = SlotState::load(&slot.state);
            let child_of = MemberId::from_bits(slot.parent.load(Relaxed));
            let reserved_by = seen.status == RESERVED && u32::from(seen.partner) == parent + 1;
            if !reserved_by && (slot.parent.load(Relaxed) == NO_PARENT || child_of.index != parent) {
                continue;
            }
            if reserved_by {
                // It may have died before it wrote this.
                let parent = MemberId {
                    index: parent,
                    generation: SlotState::load(&self.ground.member(parent).state).generation,
                };
                slot.parent.store(parent.to_bits(), Relaxed);
            }
            match seen.status {
                // Not there yet, or never: if it comes all the same it finds its place taken and goes.
                RESERVED => {
                    self.sweep(me, index, seen.generation, &Departure::Unknown);
                }
                GONE if child_of.generation
                    == SlotState::load(&self.ground.member(parent).state).generation =>
                {
                    self.release_gone(me, index, seen);
                }
                _ => {}
            }
        }
    }

    /// Frees the slot of a member that nobody will ask about. Passes through `SWEEPING`, so that one process alone empties
    /// the result, and its death in between is found. Under the lock of sweeps.
    pub(crate) fn release_gone(&self, me: &Me<'_>, index: u32, seen: SlotState) {
        let slot = self.ground.member(index);
        let mine = SlotState { partner: self.member.index as u16 + 1, status: SWEEPING, ..seen };
        if seen.status != GONE || !seen.swap(&slot.state, mine) {
            return;
        }
        let next = if self.empty(me, &slot.result) {
            slot.end.fetch_and(!end::STARTED, AcqRel);
            SlotState { generation: seen.generation.wrapping_add(1), partner: 0, status: FREE }
        } else {
            seen
        };
        slot.state.store(next.pack(), SeqCst);
    }

    /// Whether a thread that is gone, and not settled yet, was at work on the cell.
    fn is_unsettled(&self, cell: &Cell, state: CellState) -> bool {
        let Some(thread) = state.thread.checked_sub(1).filter(|t| *t < self.ground.layout.thread_count)
        else {
            return false;
        };
        let intent = self.ground.thread(thread).intent.read();
        intent.is_some_and(|i| i.a == self.ground.offset_of(&cell.state))
    }

    fn parent_lives(&self, slot: &MemberSlot) -> bool {
        let bits = slot.parent.load(Relaxed);
        if bits == NO_PARENT {
            return false;
        }
        let parent = MemberId::from_bits(bits);
        self.slot_of(parent).is_some_and(|p| matches!(SlotState::load(&p.state).status, LIVE | SWEEPING))
            && !self.is_dead(parent.index)
    }

    /// Releases what a cell of a member slot holds, and makes it free. `false`: somebody is at work on it, or died over it and
    /// is not settled yet; to take it from under him would have what he took counted twice.
    pub(crate) fn empty(&self, me: &Me<'_>, cell: &Cell) -> bool {
        let ground = &self.ground;
        loop {
            let seen = cell.state();
            match seen.status {
                Status::Full => {
                    if let Ok(record) = self.book.take(ground, &self.magazines) {
                        let owned = Claim::take(ground, me.index, cell, seen, record)
                            .and_then(|c| c.empty_into(record));
                        if let Some(owned) = owned {
                            me.release(owned, record);
                        }
                        self.book.give(record);
                    } else if let Some(claim) = Claim::take(ground, me.index, cell, seen, 0) {
                        // Memory is out, and so it is done in place.
                        if let Some(owned) = Owned::unpack(claim.value()) {
                            // The release has an intent of its own; until it is through, the cell stays taken by us,
                            // and a sweeper of ours puts it back to full with or without its reference.
                            me.release(owned, ground.offset_of(&cell.value));
                        }
                        claim.empty();
                        return true;
                    }
                }
                Status::Dead => {
                    cell.bury(seen);
                }
                // By a thread that was settled without an intent for it: the cell was filled or emptied by hand.
                Status::Claimed | Status::Taken
                    if self.claimer_is_gone(seen) && !self.is_unsettled(cell, seen) =>
                {
                    let full = seen.status == Status::Taken;
                    let to = CellState {
                        thread: 0,
                        status: if full { Status::Full } else { Status::Dead },
                        ..seen
                    };
                    let _ = cell.state.compare_exchange(seen.pack(), to.pack(), AcqRel, Relaxed);
                }
                Status::Free => return true,
                _ => return false,
            }
        }
    }

    fn claimer_is_gone(&self, state: CellState) -> bool {
        crate::cell::claimer(&self.ground, state).is_none_or(|id| thread::is_gone(&self.ground, id))
    }

    /// How the member ended, if this process can know; Unknown otherwise.
    fn departure_of(&self, index: u32) -> Departure {
        let known = end::departure(self.ground.member(index).end.load(Acquire));
        if !matches!(known, Departure::Unknown) {
            return known;
        }
        let unknown = if self.ground.member(index).parent.load(Relaxed) == NO_PARENT {
            // A stranger, or the founder: no process of the session can ask the system.
            Departure::Lost
        } else {
            Departure::Unknown
        };
        self.children.departure(index).unwrap_or(unknown)
    }

    /// Who held the role of the object last and died with it.
    pub(crate) fn departed(&self, index: u32, role: Role) -> Option<(mp_wire::Ident, Departure)> {
        let word = self.departed_word(index, role).load(Relaxed);
        if word == 0 {
            return None;
        }
        let pid = (word >> 32) as u32;
        let code = (word >> 8 & 0xFF_FFFF) as i32;
        let how = end::departure(u64::from(code as u32) << 32 | (word & 0xFF) << 8);
        // Who died is preferred to somebody who lives and has the same number by now.
        let name = (0..self.ground.members_used())
            .map(|m| self.ground.member(m))
            .filter(|m| m.pid.load(Relaxed) == pid)
            .min_by_key(|m| SlotState::load(&m.state).status == LIVE)
            .map_or_else(String::new, MemberSlot::name);
        Some((mp_wire::Ident { pid, name }, how))
    }
}

/// Frees a place whose process could not be started. `false`: a process has taken it after all.
pub(crate) fn give_up_place(inner: &Inner, me: &Me<'_>, id: MemberId) -> bool {
    let Some(slot) = inner.slot_of(id) else { return true };
    let _guard = inner.sweeping.lock();
    let seen = SlotState::load(&slot.state);
    if seen.generation != id.generation {
        return true;
    }
    let sweeping = SlotState { partner: inner.member.index as u16 + 1, status: SWEEPING, ..seen };
    // Only a place that nobody took: a process that comes later finds it gone, and goes.
    if seen.status != RESERVED || !seen.swap(&slot.state, sweeping) {
        return !matches!(SlotState::load(&slot.state).status, LIVE);
    }
    inner.sweep(me, id.index, id.generation, &Departure::Unknown);
    inner.release_gone(me, id.index, SlotState::load(&slot.state));
    true
}

#[cfg(test)]
#[expect(clippy::mem_forget, reason = "no destructor runs in a killed process")]
mod tests;

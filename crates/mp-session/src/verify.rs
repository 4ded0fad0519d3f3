//! Whether a session at rest keeps its rules: the checker behind the crash images and the torture.
//!
//! It knows the layout and no protocol. It enumerates the words that tell the truth (tags, states, counts, records, cells) and
//! computes from each side what the other ought to say. *At rest* means that nobody is in the middle of anything: no operation is
//! under way, and whoever died was swept. Threads may be asleep.
//!
//! | file | what is compared |
//! |---|---|
//! | `verify` | members, threads, wait words and wait records |
//! | `verify/observers` | who waits for many things, and the words that must know |
//! | `verify/table` | counts of references and the words that own them |
//! | `verify/heap` | tags of blocks and those who claim to have them; spans, frontiers, hints |
//!
//! Hints that are wrong in a way that heals are left alone; a hint that would keep something from being found for ever is not.

mod heap;
mod observers;
mod table;

use crate::cell::{Cell, Status};
use crate::ground::Ground;
use crate::ids::MemberId;
use crate::layout::CHUNK;
use crate::member::{self, end};
use crate::owned::Owned;
use crate::primitive::Ordering::*;
use crate::slots::{FIRST_LEDGER, MemberSlot, NO_PARENT, SlotState};
use crate::table::{EntryState, LIVE as LIVE_ENTRY, WAIT_WORDS};
use crate::{thread, wait};

/// What was found, a line each.
type Findings = Vec<String>;

/// Everything that contradicts the rules.
pub(crate) fn verify(ground: &Ground) -> Findings {
    let mut found = Findings::new();
    members(ground, &mut found);
    threads(ground, &mut found);
    waits(ground, &mut found);
    observers::check(ground, &mut found);
    table::check(ground, &mut found);
    heap::check(ground, &mut found);
    for i in 0..ground.header().observers_used.load(Acquire).min(ground.layout.observer_count) {
        let state = SlotState::load(&ground.observer(i).state);
        let member = u32::from(state.partner).wrapping_sub(1);
        if state.status != crate::observers::FREE && !is_live(ground, member) {
            found.push(format!("observer {i}: belongs to member {member}, which takes no part"));
        }
    }
    found
}

fn state_of(ground: &Ground, member: u32) -> SlotState {
    SlotState::load(&ground.member(member).state)
}

fn is_live(ground: &Ground, member: u32) -> bool {
    member < ground.layout.member_count && state_of(ground, member).status == member::LIVE
}

fn live_members(ground: &Ground) -> impl Iterator<Item = u32> {
    (0..ground.layout.member_count).filter(|m| is_live(ground, *m))
}

/// Every word of a member's ledger that is not empty: where it is, and what it says.
fn ledger_words(ground: &Ground, member: u32) -> Vec<(u64, u64)> {
    let slot = ground.member(member);
    let first = (0..FIRST_LEDGER).map(|i| ground.offset_of(&slot.ledger_first[i]));
    let later = slot.ledger_chunks.iter().enumerate().flat_map(|(chunk, note)| {
        let note = note.load(Acquire);
        let count = if note & crate::ledger::READY != 0 { 128_u64 << chunk } else { 0 };
        (0..count).map(move |i| (note & !crate::ledger::READY) + i * 8)
    });
    let words = first.chain(later).map(|at| (at, ground.word(at).load(Acquire)));
    words.filter(|(_, word)| *word != 0).collect()
}

fn members(ground: &Ground, found: &mut Findings) {
    let used = ground.members_used();
    for m in 0..ground.layout.member_count {
        let (slot, state) = (ground.member(m), state_of(ground, m));
        let flags = slot.end.load(Acquire);
        if m >= used && state.status != member::FREE {
            found.push(format!("member {m}: in use, and beyond the {used} that scans look at"));
        }
        match state.status {
            member::FREE => {
                for (name, cell) in [("arguments", &slot.arguments), ("result", &slot.result)] {
                    if cell.state().status != Status::Free {
                        found.push(format!("member {m}: free, and its {name} are {:?}", cell.state()));
                    }
                }
            }
            member::RESERVED if !parent_lives(ground, slot) => {
                found.push(format!("member {m}: reserved by nobody who lives"));
            }
            member::LIVE if flags & end::ABANDONED != 0 => found.push(format!("member {m}: dead, not swept")),
            member::GONE if !parent_lives(ground, slot) => {
                found.push(format!("member {m}: gone, and nobody will ask for it"));
            }
            member::GONE if flags & end::DETACHED != 0 => {
                found.push(format!("member {m}: gone, and its parent has given it up"));
            }
            member::RESERVED | member::LIVE | member::GONE => {}
            status => found.push(format!("member {m}: in state {status} ({state:?})")),
        }
        if state.status != member::LIVE {
            let words = ledger_words(ground, m);
            if !words.is_empty() || slot.ledger_chunks.iter().any(|note| note.load(Acquire) != 0) {
                found.push(format!("member {m}: takes no part, and its ledger holds {words:?}"));
            }
            if slot.beacon.load(Acquire) != 0 {
                found.push(format!("member {m}: takes no part, and a beacon speaks for it"));
            }
        }
        if slot.span_note.load(Acquire) != 0 {
            found.push(format!("member {m}: in the middle of cutting a span"));
        }
        for cell in [&slot.arguments, &slot.result] {
            at_rest(ground, cell, &format!("member {m}"), found);
        }
    }
}

fn parent_lives(ground: &Ground, slot: &MemberSlot) -> bool {
    let bits = slot.parent.load(Acquire);
    let parent = MemberId::from_bits(bits);
    bits != NO_PARENT
        && is_live(ground, parent.index)
        && state_of(ground, parent.index).generation == parent.generation
}

/// Nobody is at work on the cell. The reference in it, if it holds one.
fn at_rest(ground: &Ground, cell: &Cell, whose: &str, found: &mut Findings) -> Option<(u64, Owned)> {
    let state = cell.state();
    match state.status {
        Status::Claimed | Status::Taken => {
            found.push(format!("{whose}: a cell is {state:?}"));
            None
        }
        Status::Full => {
            let at = ground.offset_of(&cell.value);
            Owned::unpack(cell.value.load(Acquire)).map(|owned| (at, owned))
        }
        Status::Free | Status::Dead | Status::Moved | Status::Bytes => None,
    }
}

fn threads(ground: &Ground, found: &mut Findings) {
    let used = ground.threads_used();
    for t in 0..ground.layout.thread_count {
        let (slot, state) = (ground.thread(t), SlotState::load(&ground.thread(t).state));
        let beacon = slot.beacon.word.load(Acquire);
        let status = slot.wait.load(Acquire) & 0xFF;
        if t >= used && state.status != thread::FREE {
            found.push(format!("thread {t}: in use, and beyond the {used} that scans look at"));
        }
        if state.status == thread::USED {
            let member = u32::from(state.partner).wrapping_sub(1);
            if !is_live(ground, member) {
                found.push(format!("thread {t}: belongs to member {member}, which takes no part"));
            }
            if mp_sys::Beacon::is_dead(beacon) {
                found.push(format!("thread {t}: dead, and its slot is in use"));
            }
        } else if state.partner != 0 || beacon != 0 || status != wait::IDLE {
            found.push(format!("thread {t}: free, and shows {state:?}, beacon {beacon:x}, waiting {status}"));
        }
        if let Some(intent) = slot.intent.read() {
            found.push(format!("thread {t}: in the middle of {intent:?}"));
        }
        if slot.destroying.load(Acquire) != 0 {
            found.push(format!("thread {t}: has destructions to work off"));
        }
    }
}

fn lanes(word: u64) -> impl Iterator<Item = u32> {
    (0..3).map(move |i| (word >> (16 * i)) as u32 & 0xFFFF).filter(|lane| *lane != 0).map(|lane| lane - 1)
}

/// Who waits can be found, and who is found waits.
fn waits(ground: &Ground, found: &mut Findings) {
    let waits_at = |t: u32, key: u64| {
        let slot = ground.thread(t);
        slot.wait.load(Acquire) & 0xFF == wait::WAITING && slot.wait_key.load(Acquire) == key
    };
    for t in 0..ground.threads_used() {
        let slot = ground.thread(t);
        if slot.wait.load(Acquire) & 0xFF != wait::WAITING {
            continue;
        }
        let key = slot.wait_key.load(Acquire);
        if (ground.layout.observers..ground.layout.buckets).contains(&key) {
            continue; // It waits for many things.
        }
        if !ground.is_wait_word(key) {
            found.push(format!("thread {t}: waits at {key:#x}, which is nowhere"));
            continue;
        }
        if observers::waits_for_many(ground, t, key, found) {
            continue;
        }
        let word = ground.word(key).load(Acquire);
        // A sleeper that was rung is about to look around.
        let looks = slot.bell.load(Acquire) == wait::RUNG;
        if word & wait::MORE == 0 && !lanes(word).any(|lane| lane == t) && !looks {
            found.push(format!("thread {t}: waits at {key:#x}, whose word {word:#x} does not know"));
        }
    }
    let mut words: Vec<(String, u64)> = Vec::new();
    for m in 0..ground.members_used() {
        words.push((format!("member {m}"), ground.offset_of(&ground.member(m).waiters)));
    }
    for i in 0..entries(ground) {
        let entry = ground.entry(i);
        if EntryState::unpack(entry.state.load(Acquire)).status == LIVE_ENTRY {
            words.extend(WAIT_WORDS.map(|at| (format!("object {i}"), ground.offset_of(&entry.words[at]))));
        }
    }
    for (whose, key) in words {
        let word = ground.word(key).load(Acquire);
        let all: Vec<u32> = lanes(word).collect();
        for (i, t) in all.iter().enumerate() {
            if *t >= ground.layout.thread_count || !waits_at(*t, key) {
                found.push(format!(
                    "{whose}: its wait word {word:#x} names thread {t}, which does not wait there"
                ));
            }
            if all[..i].contains(t) {
                found.push(format!("{whose}: its wait word {word:#x} names thread {t} twice"));
            }
        }
    }
}

/// How many entries were ever within reach.
fn entries(ground: &Ground) -> u32 {
    let chunks = ground.header().chunk_frontier.load(Acquire);
    chunks.saturating_mul(CHUNK).min(ground.layout.entry_count)
}

#[cfg(test)]
#[expect(clippy::mem_forget, reason = "no destructor runs in a killed process")]
mod tests;

//! References: every word that owns one counts, and every count is owned.

use std::collections::HashMap;

use super::{Findings, at_rest, entries, ledger_words, live_members};
use crate::cell::Cell;
use crate::ground::Ground;
use crate::ids::Role;
use crate::layout::CHUNK;
use crate::owned::Owned;
use crate::primitive::Ordering::*;
use crate::refs;
use crate::slots::Entry;
use crate::table::{
    CHILD_WORD, EntryState, FREE, LIVE, MESSAGE_LIST, RING_CELLS, RING_NEXT, Shape, TypeWord,
};

/// Who owns a reference: for the reports.
type Owners = HashMap<(u32, u8), Vec<String>>;

pub(super) fn check(ground: &Ground, found: &mut Findings) {
    let mut owners = Owners::new();
    let mut own = |owned: Owned, who: String| {
        owners.entry((owned.index, owned.role as u8)).or_default().push(who);
    };
    for m in live_members(ground) {
        for (at, word) in ledger_words(ground, m) {
            match Owned::unpack(word) {
                Some(owned) => own(owned, format!("a record of member {m}")),
                None if crate::owned::permit_of(word).is_some() => {}
                None => found
                    .push(format!("member {m}: the record at {at:#x} holds {word:#x}, which does not count")),
            }
        }
    }
    for m in 0..ground.members_used() {
        let slot = ground.member(m);
        for cell in [&slot.arguments, &slot.result] {
            // Cells that are not at rest were told of with the members.
            if let Some((_, owned)) = at_rest(ground, cell, "", &mut Findings::new()) {
                own(owned, format!("a cell of member {m}"));
            }
        }
    }
    for i in 0..ground.layout.name_count {
        if let Some((_, owned)) = at_rest(ground, &ground.name(i).cell, &format!("name {i}"), found) {
            own(owned, format!("name {i}"));
        }
    }
    let end = entries(ground);
    for i in 0..end {
        let entry = ground.entry(i);
        let state = EntryState::unpack(entry.state.load(Acquire));
        match state.status {
            FREE => {}
            LIVE => children(ground, i, entry, found).into_iter().for_each(|(owned, who)| own(owned, who)),
            _ => found.push(format!("object {i}: half made or half destroyed, {state:?}")),
        }
    }
    for i in end..(end + CHUNK).min(ground.layout.entry_count) {
        if ground.entry(i).state.load(Acquire) != 0 {
            found.push(format!("object {i}: beyond the frontier, and in use"));
        }
    }
    counts(ground, end, owners, found);
}

fn counts(ground: &Ground, end: u32, mut owners: Owners, found: &mut Findings) {
    for i in 0..end {
        let entry = ground.entry(i);
        if EntryState::unpack(entry.state.load(Acquire)).status != LIVE {
            continue;
        }
        for role in [Role::First, Role::Second] {
            let count = refs::count(entry.refs[role as usize].load(Acquire));
            let who = owners.remove(&(i, role as u8)).unwrap_or_default();
            if count != who.len() as u64 {
                let kind = TypeWord::unpack(entry.kind.load(Acquire)).kind.name();
                found.push(format!(
                    "object {i} ({kind}): {count} references in role {role:?}, owned by {who:?}"
                ));
            }
        }
        if entry.refs.iter().all(|word| refs::count(word.load(Acquire)) == 0) {
            found.push(format!("object {i}: nobody holds it, and it exists"));
        }
    }
    for ((index, role), who) in owners {
        found.push(format!("object {index}: does not exist, and {who:?} own it in role {role}"));
    }
}

/// The references that an object owns.
fn children(ground: &Ground, index: u32, entry: &Entry, found: &mut Findings) -> Vec<(Owned, String)> {
    let mut owned = Vec::new();
    let mut look = |at: u64, what: &str| {
        let child = Owned::unpack(ground.word(at).load(Acquire));
        owned.extend(child.map(|child| (child, format!("{what} of object {index}"))));
    };
    look(ground.offset_of(&entry.words[CHILD_WORD]), "the child word");
    let (block, size) = (entry.offset.load(Acquire), entry.size.load(Acquire));
    let shape = TypeWord::unpack(entry.kind.load(Acquire)).shape;
    if shape == Shape::Plain || block == 0 {
        return owned;
    }
    if block + size > ground.layout.size {
        found.push(format!("object {index}: {size} bytes at {block:#x} are outside of the session"));
        return owned;
    }
    if matches!(shape, Shape::Message | Shape::Owner) {
        let count = u64::from(ground.word(block).load(Acquire) as u32);
        if MESSAGE_LIST + count * 8 > size {
            found.push(format!("object {index}: {size} bytes for a list of {count} references"));
            return owned;
        }
        (0..count).for_each(|i| look(block + MESSAGE_LIST + i * 8, "the list"));
        return owned;
    }
    look(block + RING_NEXT, "the next ring");
    let word = ground.word(block).load(Acquire);
    let (count, stride) = (u64::from(word as u32), word >> 32);
    if RING_CELLS + count * stride > size {
        found.push(format!("object {index}: a ring of {count} cells in {size} bytes"));
        return owned;
    }
    for i in 0..count {
        let cell = ground.region.at::<Cell>(block + RING_CELLS + i * stride);
        let held = at_rest(ground, cell, &format!("object {index}, cell {i}"), found);
        owned.extend(held.map(|(_, child)| (child, format!("cell {i} of object {index}"))));
    }
    owned
}

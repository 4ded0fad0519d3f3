//! What a shard does in a transaction, and after a death. Why is told in `shard.rs` and `shards.rs`.

use std::collections::HashSet;

use mp_wire::Result;

use super::{
    ENTRY, FILLED, INDEX, KEY_LENGTH, Key, LAST, LIVE, LOCATION, SLOTS, WASTE, each, end_of, find, first_of,
    index, key, live, location, log_start, rebuild, shape, waste, write_entry,
};
use crate::packed::Packed;
use crate::shelf::{Held, STATE, words_for};

/// An entry on its way in with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entering<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) value: &'a Packed,
    /// Which of them it is.
    pub(crate) order: u64,
}

/// Writes entries beyond the end, for the keys that are there, too. The state with them.
pub(crate) fn prepare(held: &mut Held<'_>, entries: &[Entering<'_>], first_stamp: u64) -> Result<u64> {
    let words: u64 =
        entries.iter().map(|e| u64::from(ENTRY) + words_for(e.key.bytes.len()) + e.value.words()).sum();
    let count = entries.len() as u64;
    if held.count() == 0
        || u64::from(end_of(held.get(STATE))) + words > u64::from(held.count())
        || held.get(FILLED) + count > held.get(SLOTS) / 8 * 7
    {
        rebuild(held, words, count)?;
    }
    let state = held.get(STATE);
    let mut at = end_of(state);
    for entry in entries {
        match write_entry(held, at, entry.key, first_stamp + entry.order, entry.value) {
            Ok(words) => at += words,
            Err(error) => {
                // The messages that were kept already are not named by anything.
                repair(held)?;
                return Err(error);
            }
        }
    }
    Ok(state + words)
}

/// The state without entries. `None`: there are none.
pub(crate) fn prepare_to_clear(held: &Held<'_>) -> Option<u64> {
    let end = u64::from(end_of(held.get(STATE)));
    (live(held) != 0).then_some(end << 32 | end)
}

/// After a prepared state was made to count: gives each key one entry again, and lets go of what was cleared.
pub(crate) fn settle(held: &mut Held<'_>, before: u64) -> Result<()> {
    let state = held.get(STATE);
    if first_of(state) == end_of(state) {
        repair(held)?;
        // It is empty already: without memory for a smaller store it keeps the one it has.
        return rebuild(held, 0, 0).or(Ok(()));
    }
    let mut at = end_of(before);
    while at < end_of(state) {
        let (words, _) = shape(held, at);
        enter(held, at)?;
        at += words;
    }
    Ok(())
}

/// Enters a record into the index. If its key is there already, the older entry takes its value over: an entry keeps its
/// place in the order.
fn enter(held: &mut Held<'_>, record: u32) -> Result<()> {
    let hash = held.get(record) as u32;
    let found = find(held, Key { hash, bytes: key(held, record) });
    match found {
        Some(older) if older.record != record => {
            let (old, new) = (location(held, older.record), location(held, record));
            held.set(older.record + LOCATION, new.0);
            held.set(record + LOCATION, 0);
            waste(held, old.words() + u64::from(shape(held, record).0) - new.words());
            if old != new {
                old.release(held)?;
            }
        }
        Some(_) => {}
        None => {
            index(held, hash, record);
            held.set(LIVE, held.get(LIVE) + 1);
            let last = held.get(LAST);
            link(held, record, last);
            held.set(LAST, u64::from(record));
        }
    }
    Ok(())
}

/// Tells an entry which one is before it.
fn link(held: &mut Held<'_>, record: u32, before: u64) {
    let length = held.get(record + KEY_LENGTH) & 0xFFFF_FFFF;
    held.set(record + KEY_LENGTH, before << 32 | length);
}

/// Makes all hints anew from the truth. Any number of times.
pub(crate) fn repair(held: &mut Held<'_>) -> Result<()> {
    let mut records = Vec::new();
    each(held, |record| records.push(record));
    if held.count() != 0 {
        for slot in 0..held.get(SLOTS) as u32 {
            held.set(INDEX + slot, 0);
        }
        held.set(FILLED, 0);
    }
    let (mut last, mut live, mut useful) = (0, 0, 0);
    for record in records {
        let hash = held.get(record) as u32;
        if let Some(older) = find(held, Key { hash, bytes: key(held, record) }) {
            // *two-of-a-key*: a transaction counts, and its author died before it had given each key one entry.
            held.set(older.record + LOCATION, held.get(record + LOCATION));
            held.set(record + LOCATION, 0);
            continue;
        }
        index(held, hash, record);
        link(held, record, u64::from(last));
        last = record;
        live += 1;
    }
    let mut places = HashSet::new();
    each(held, |record| {
        places.extend(location(held, record).place());
        useful += u64::from(shape(held, record).0);
    });
    held.repair_places(|place| places.contains(&place))?;
    if held.count() != 0 {
        held.set(LIVE, live);
        held.set(LAST, u64::from(last));
        let used = u64::from(end_of(held.get(STATE)) - log_start(held));
        held.set(WASTE, used.saturating_sub(useful));
    }
    Ok(())
}

//! A shard of a dict: a log of entries, and an index of it, on a shelf.
//!
//! # The store
//!
//! | word | holds | |
//! |---|---|---|
//! | 0 | the state: `first(32) \| end(32)`, the words of the log that count | truth |
//! | 1 | how many entries there are | hint |
//! | 2 | how many slots the index has, a power of two | never changes |
//! | 3 | how many of them are not empty | hint |
//! | 4 | how many words of the log are of no use any more | hint |
//! | 5 | the last entry of the log, removed or not | hint |
//! | 8 ... | the index: `hash(32) \| record(32)`; 0 is empty, 1 was an entry | hint |
//! | then | the log | truth |
//!
//! The log is a row of records. An *entry* is
//!
//! ```text
//! words(32) | hash(32)            words: all that it takes
//! stamp                           when its key was put in, in the dict's own time
//! location                        where its value is (`packed.rs`); 0: it was removed
//! entry before it(32) | length of the key(32)
//! key
//! value, as it was at first
//! ```
//!
//! and a *blob*, a later value of some entry, is `words(32) with BLOB | 0`, and the value.
//!
//! # Operations
//!
//! | operation | what is written | the commit |
//! |---|---|---|
//! | a new key | an entry beyond `end`, the index | `end` |
//! | another value | a blob beyond `end`, `end` | the entry's location |
//! | another value of eight bytes or fewer, and as long as the old one | | the value itself, one word |
//! | removal | | the entry's location becomes 0 |
//! | the log is full, or mostly of no use | a new store without what is of no use | that of the shelf |
//! | many keys, or none any more, as a part of a transaction of the dict | entries beyond `end` | the state, once the dict has decided |
//!
//! After the commit come the hints: index, counts, the place of a message that is not named any more. A death before the commit leaves
//! the old state, one after it the new one; in both cases the next holder makes the hints anew ([`repair`]).
//!
//! A transaction writes entries for keys that are there, too. Of two entries with one key the later one has the value and the earlier one the
//! place in the order; whoever settles the transaction, or repairs, gives the value to the earlier one and removes the later (*two-of-a-key*).
//!
//! Entries are in the order of their stamps, so a dict's order is that of insertion, as Python's.

use mp_wire::Result;

use crate::packed::{Location, Packed, Raw};
use crate::shelf::{Fresh, Held, STATE, words_for};

mod settle;

pub(crate) use settle::{Entering, prepare, prepare_to_clear, repair, settle};

const LIVE: u32 = 1;
const SLOTS: u32 = 2;
const FILLED: u32 = 3;
const WASTE: u32 = 4;
const LAST: u32 = 5;
const INDEX: u32 = 8;

const REMOVED: u64 = 1;
const BLOB: u32 = 1 << 31;
const STAMP: u32 = 1;
const LOCATION: u32 = 2;
const KEY_LENGTH: u32 = 3;
const ENTRY: u32 = 4;

const FEWEST_SLOTS: u32 = 8;
/// The log is rid of what is of no use when that is three quarters of at least so many words.
const WORTH_SHRINKING: u64 = 512;

/// A key, as a shard is asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) hash: u32,
    pub(crate) bytes: &'a [u8],
}

/// An entry that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    slot: u32,
    record: u32,
}

/// An entry as bytes.
#[derive(Debug)]
pub(crate) struct RawEntry {
    pub(crate) stamp: u64,
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Raw,
}

fn first_of(state: u64) -> u32 {
    (state >> 32) as u32
}

fn end_of(state: u64) -> u32 {
    state as u32
}

/// How many words the record at `at` takes, and whether it is an entry.
fn shape(held: &Held<'_>, at: u32) -> (u32, bool) {
    let words = (held.get(at) >> 32) as u32;
    // A record has a word at least: a walk goes on whatever it finds.
    ((words & !BLOB).max(1), words & BLOB == 0)
}

/// Calls `f` with each entry that counts, in order.
fn each(held: &Held<'_>, mut f: impl FnMut(u32)) {
    if held.count() == 0 {
        return;
    }
    let state = held.get(STATE);
    let mut at = first_of(state);
    while at < end_of(state) {
        let (words, is_entry) = shape(held, at);
        if is_entry && !location(held, at).is_nowhere() {
            f(at);
        }
        at += words;
    }
}

#[inline]
fn location(held: &Held<'_>, record: u32) -> Location {
    Location(held.get(record + LOCATION))
}

#[inline]
fn key<'h>(held: &'h Held<'_>, record: u32) -> &'h [u8] {
    held.bytes(record + ENTRY, held.get(record + KEY_LENGTH) as u32 as usize)
}

#[inline]
pub(crate) fn live(held: &Held<'_>) -> u64 {
    if held.count() == 0 { 0 } else { held.get(LIVE) }
}

/// Looks a key up.
#[inline]
pub(crate) fn find(held: &Held<'_>, sought: Key<'_>) -> Option<Found> {
    if held.count() == 0 {
        return None;
    }
    let mask = (held.get(SLOTS) as u32).wrapping_sub(1);
    let mut slot = sought.hash & mask;
    loop {
        let word = held.get(INDEX + slot);
        if word == 0 {
            return None;
        }
        if (word >> 32) as u32 == sought.hash && word != REMOVED {
            let record = word as u32;
            if key(held, record) == sought.bytes {
                return Some(Found { slot, record });
            }
        }
        slot = (slot + 1) & mask;
    }
}

/// A copy of the value of an entry.
#[inline]
pub(crate) fn value(held: &mut Held<'_>, found: Found) -> Result<Raw> {
    location(held, found.record).take_copy(held)
}

/// Gives an entry another value.
#[inline]
pub(crate) fn change(held: &mut Held<'_>, sought: Key<'_>, found: Found, value: &Packed) -> Result<()> {
    let old = location(held, found.record);
    if let Packed::Inline(_, scratch) = value {
        let bytes = scratch.bytes();
        if (1..=8).contains(&bytes.len()) && old.place().is_none() && old.bytes(held).len() == bytes.len() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            held.set(old.at(), u64::from_ne_bytes(word));
            return Ok(());
        }
    }
    let words = value.words();
    let mut found = found;
    if words != 0 && u64::from(end_of(held.get(STATE))) + 1 + words > u64::from(held.count()) {
        rebuild(held, 1 + words, 0)?;
        // It is there, for we have found it before.
        let Some(again) = find(held, sought) else {
            return Err(crate::shelf::damaged("an entry that is lost"));
        };
        found = again;
    }
    let old = location(held, found.record);
    let state = held.get(STATE);
    let end = end_of(state);
    let new = value.lay(held, end + 1)?;
    if words != 0 {
        held.set(end, (u64::from(BLOB) | (1 + words)) << 32);
        held.set(STATE, state + 1 + words);
    }
    held.set(found.record + LOCATION, new.0);
    waste(held, old.words());
    old.release(held)
}

/// Puts a new entry in.
#[inline]
pub(crate) fn add(
    held: &mut Held<'_>,
    key: Key<'_>,
    stamp: impl FnOnce() -> u64,
    value: &Packed,
) -> Result<()> {
    let key_words = words_for(key.bytes.len());
    let words = u64::from(ENTRY) + key_words + value.words();
    let full = held.count() == 0
        || u64::from(end_of(held.get(STATE))) + words > u64::from(held.count())
        || held.get(FILLED) + 1 > held.get(SLOTS) / 8 * 7;
    if full {
        rebuild(held, words, 1)?;
    }
    let state = held.get(STATE);
    let record = end_of(state);
    write_entry(held, record, key, stamp(), value)?;
    held.set(STATE, state + words);
    index(held, key.hash, record);
    held.set(LIVE, held.get(LIVE) + 1);
    held.set(LAST, u64::from(record));
    Ok(())
}

/// Writes an entry where none counts yet; the words that it takes.
#[inline]
fn write_entry(held: &mut Held<'_>, record: u32, key: Key<'_>, stamp: u64, value: &Packed) -> Result<u32> {
    let before_value = ENTRY + words_for(key.bytes.len()) as u32;
    let location = value.lay(held, record + before_value)?;
    let words = before_value + value.words() as u32;
    held.set(record, u64::from(words) << 32 | u64::from(key.hash));
    held.set(record + STAMP, stamp);
    held.set(record + LOCATION, location.0);
    held.set(record + KEY_LENGTH, held.get(LAST) << 32 | key.bytes.len() as u64);
    held.write(record + ENTRY, key.bytes);
    Ok(words)
}

/// Names a record in the index, which has room and does not name its key.
#[inline]
fn index(held: &mut Held<'_>, hash: u32, record: u32) {
    let mask = (held.get(SLOTS) as u32).wrapping_sub(1);
    let mut slot = hash & mask;
    while held.get(INDEX + slot) != 0 {
        slot = (slot + 1) & mask;
    }
    held.set(INDEX + slot, u64::from(hash) << 32 | u64::from(record));
    held.set(FILLED, held.get(FILLED) + 1);
}

/// Takes an entry out.
pub(crate) fn remove(held: &mut Held<'_>, found: Found) -> Result<()> {
    let old = location(held, found.record);
    held.set(found.record + LOCATION, 0);
    held.set(INDEX + found.slot, REMOVED);
    held.set(LIVE, held.get(LIVE).saturating_sub(1));
    let (words, _) = shape(held, found.record);
    // The first value is part of the record.
    let apart = if old.at() > found.record + words { old.words() + 1 } else { 0 };
    waste(held, u64::from(words) + apart);
    old.release(held)?;
    let used = u64::from(end_of(held.get(STATE)) - log_start(held));
    if used > WORTH_SHRINKING && held.get(WASTE) * 4 > used * 3 {
        rebuild(held, 0, 0)?;
    }
    Ok(())
}

#[inline]
fn waste(held: &mut Held<'_>, words: u64) {
    held.set(WASTE, held.get(WASTE) + words);
}

fn log_start(held: &Held<'_>) -> u32 {
    INDEX + held.get(SLOTS) as u32
}

/// The stamp of the entry that was put in last, and the entry.
pub(crate) fn last(held: &mut Held<'_>) -> Option<(u64, Found)> {
    if live(held) == 0 {
        return None;
    }
    let mut record = held.get(LAST) as u32;
    while location(held, record).is_nowhere() {
        record = (held.get(record + KEY_LENGTH) >> 32) as u32;
    }
    // Nobody need walk over the removed ones again.
    held.set(LAST, u64::from(record));
    let sought = Key { hash: held.get(record) as u32, bytes: key(held, record) };
    Some((held.get(record + STAMP), find(held, sought)?))
}

/// The key of an entry.
pub(crate) fn key_of(held: &Held<'_>, found: Found) -> Box<[u8]> {
    key(held, found.record).into()
}

/// Copies of all entries.
pub(crate) fn entries(held: &mut Held<'_>) -> Result<Vec<RawEntry>> {
    let mut records = Vec::with_capacity(live(held) as usize);
    each(held, |record| records.push(record));
    records
        .into_iter()
        .map(|record| {
            let value = location(held, record).take_copy(held)?;
            Ok(RawEntry { stamp: held.get(record + STAMP), key: key(held, record).into(), value })
        })
        .collect()
}

/// Copies of all keys, with their stamps.
pub(crate) fn keys(held: &Held<'_>) -> Vec<(u64, Box<[u8]>)> {
    let mut keys = Vec::with_capacity(live(held) as usize);
    each(held, |record| keys.push((held.get(record + STAMP), key(held, record).into())));
    keys
}

/// Puts a new store in the place of the old one, with what counts and room for so many words and entries more, and then some.
#[cold]
fn rebuild(held: &mut Held<'_>, more: u64, entries: u64) -> Result<()> {
    let (mut records, mut words) = (Vec::new(), 0);
    each(held, |record| {
        records.push(record);
        let key_words = words_for(held.get(record + KEY_LENGTH) as u32 as usize);
        words += u64::from(ENTRY) + key_words + location(held, record).words();
    });
    let slots = ((records.len() as u64 + entries) * 2).next_power_of_two().max(u64::from(FEWEST_SLOTS));
    let room = (words + more) * 2;
    held.replace(u64::from(INDEX) + slots + room, |old, fresh| {
        let start = INDEX + slots as u32;
        fresh.set(SLOTS, slots);
        fresh.set(LIVE, records.len() as u64);
        fresh.set(FILLED, records.len() as u64);
        let (mut at, mut last) = (start, 0);
        for record in &records {
            index_fresh(fresh, old.get(*record) as u32, at);
            let words = copy_record(old, fresh, *record, at, last);
            last = at;
            at += words;
        }
        fresh.set(LAST, u64::from(last));
        fresh.set(STATE, u64::from(start) << 32 | u64::from(at));
    })
}

fn index_fresh(fresh: &mut Fresh, hash: u32, record: u32) {
    let mask = (fresh.get(SLOTS) as u32).wrapping_sub(1);
    let mut slot = hash & mask;
    while fresh.get(INDEX + slot) != 0 {
        slot = (slot + 1) & mask;
    }
    fresh.set(INDEX + slot, u64::from(hash) << 32 | u64::from(record));
}

/// Writes an entry with its present value; how many words that took.
fn copy_record(old: &Held<'_>, fresh: &mut Fresh, record: u32, at: u32, last: u32) -> u32 {
    let key = key(old, record);
    let key_words = words_for(key.len()) as u32;
    let from = location(old, record);
    let words = ENTRY + key_words + from.words() as u32;
    fresh.set(at, u64::from(words) << 32 | old.get(record) & 0xFFFF_FFFF);
    fresh.set(at + STAMP, old.get(record + STAMP));
    fresh.set(at + KEY_LENGTH, u64::from(last) << 32 | key.len() as u64);
    fresh.write(at + ENTRY, key);
    let to = if from.place().is_some() { from } else { from.copy_to(old, fresh, at + ENTRY + key_words) };
    fresh.set(at + LOCATION, to.0);
    words
}

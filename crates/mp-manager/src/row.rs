//! A row of values: what a list is, on a shelf.
//!
//! # The store
//!
//! | word | holds | |
//! |---|---|---|
//! | 0 | the state: `side(1) \| first(31) \| length(32)`: which slots count | truth |
//! | 1 | the end of the bytes that are used; never before bytes that count | truth |
//! | 2 | how many slots each side has | never changes |
//! | 3 | how many words of bytes are of no use any more | hint |
//! | 4 | a number that is another after each change | hint |
//! | 8 ... | side 0: a location (`packed.rs`) a slot | truth, where the state says so |
//! | then | side 1 | the same |
//! | then | bytes of values | truth, where a location says so |
//!
//! # Operations
//!
//! | operation | what is written | the commit |
//! |---|---|---|
//! | at the end, at the front: one or many | slots that do not count | the state |
//! | an element is set | bytes that do not count | its slot |
//! | in the middle; another order | all slots, on the other side | the state, with the other side |
//! | no room | a new store | that of the shelf |
//!
//! What is not named any more is released after the commit, and found by [`repair`] after a death.

use std::collections::HashSet;
use std::ops::Range;

use mp_wire::Result;

use crate::packed::{Location, Packed, Raw};
use crate::shelf::{Held, STATE};

const END: u32 = 1;
const SLOTS: u32 = 2;
const WASTE: u32 = 3;
const VERSION: u32 = 4;
const FIRST_SLOT: u32 = 8;
const FEWEST_SLOTS: u64 = 4;
/// The store is rid of what is of no use when that is three quarters of at least so many words.
const WORTH_SHRINKING: u64 = 512;

/// Which slots count.
#[derive(Clone, Copy)]
struct State {
    side: u32,
    first: u32,
    length: u32,
}

impl State {
    fn unpack(word: u64) -> State {
        State { side: (word >> 63) as u32, first: (word >> 32) as u32 & 0x7FFF_FFFF, length: word as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.side) << 63 | u64::from(self.first) << 32 | u64::from(self.length)
    }
}

fn state(held: &Held<'_>) -> State {
    if held.count() == 0 {
        return State { side: 0, first: 0, length: 0 };
    }
    State::unpack(held.get(STATE))
}

fn slots(held: &Held<'_>) -> u32 {
    if held.count() == 0 { 0 } else { held.get(SLOTS) as u32 }
}

/// The word of the slot `index` of a side, which may be beyond those that count.
fn slot(held: &Held<'_>, side: u32, index: u32) -> u32 {
    FIRST_SLOT + side * slots(held) + index
}

/// How many elements there are.
#[inline]
pub(crate) fn length(held: &Held<'_>) -> usize {
    state(held).length as usize
}

/// A number that is another after each change.
pub(crate) fn version(held: &Held<'_>) -> u64 {
    if held.count() == 0 { 0 } else { held.get(VERSION) }
}

fn location(held: &Held<'_>, index: usize) -> Location {
    let state = state(held);
    Location(held.get(slot(held, state.side, state.first + index as u32)))
}

/// Commits a state.
fn commit(held: &mut Held<'_>, state: State) {
    held.set(STATE, state.pack());
    held.set(VERSION, held.get(VERSION) + 1);
}

/// Copies of the elements in a range, which is inside.
pub(crate) fn copies(held: &mut Held<'_>, range: Range<usize>) -> Result<Vec<Raw>> {
    range.map(|index| location(held, index).take_copy(held)).collect()
}

/// A copy of one element, which is inside.
#[inline]
pub(crate) fn copy(held: &mut Held<'_>, index: usize) -> Result<Raw> {
    location(held, index).take_copy(held)
}

/// Writes a value's bytes where none count yet. There is room.
fn lay(held: &mut Held<'_>, value: &Packed) -> Result<Location> {
    let end = held.get(END);
    let location = value.lay(held, end as u32)?;
    held.set(END, end + value.words());
    Ok(location)
}

fn lay_all(held: &mut Held<'_>, values: &[Packed]) -> Result<Vec<Location>> {
    let mut laid = Vec::with_capacity(values.len());
    for value in values {
        match lay(held, value) {
            Ok(location) => laid.push(location),
            Err(error) => {
                forget(held, laid)?;
                return Err(error);
            }
        }
    }
    Ok(laid)
}

/// Releases what nothing names any more, or not yet.
fn forget(held: &mut Held<'_>, locations: impl IntoIterator<Item = Location>) -> Result<()> {
    for location in locations {
        held.set(WASTE, held.get(WASTE) + location.words());
        location.release(held)?;
    }
    Ok(())
}

/// Sees to it that there are so many slots behind the last one that counts, and so many words.
#[inline]
fn make_room(held: &mut Held<'_>, more_slots: u64, more_words: u64) -> Result<()> {
    let state = state(held);
    let has_slots = u64::from(state.first) + u64::from(state.length) + more_slots <= u64::from(slots(held));
    let has_words = held.count() != 0 && held.get(END) + more_words <= u64::from(held.count());
    if has_slots && has_words { Ok(()) } else { rebuild(held, more_slots, more_words) }
}

/// Puts a new store in the place of the old one, with what counts and room for so much more, and then some.
#[cold]
fn rebuild(held: &mut Held<'_>, more_slots: u64, more_words: u64) -> Result<()> {
    let length = state(held).length;
    let locations: Vec<Location> = (0..length as usize).map(|index| location(held, index)).collect();
    let words: u64 = locations.iter().map(|location| location.words()).sum();
    let slots = ((u64::from(length) + more_slots) * 2).max(FEWEST_SLOTS);
    let start = u64::from(FIRST_SLOT) + slots * 2;
    let next = version(held) + 1;
    held.replace(start + (words + more_words) * 2, |old, fresh| {
        fresh.set(STATE, State { side: 0, first: 0, length }.pack());
        fresh.set(SLOTS, slots);
        fresh.set(VERSION, next);
        let mut at = start as u32;
        for (index, from) in (0..).zip(&locations) {
            let to = from.copy_to(old, fresh, at);
            fresh.set(FIRST_SLOT + index, to.0);
            at += from.words() as u32;
        }
        fresh.set(END, u64::from(at));
    })
}

/// Lets go of a store that is mostly of no use.
fn shrink(held: &mut Held<'_>) -> Result<()> {
    let used = held.get(END).saturating_sub(u64::from(FIRST_SLOT + slots(held) * 2));
    let sparse = u64::from(slots(held)) > WORTH_SHRINKING && length(held) as u64 * 8 < u64::from(slots(held));
    if sparse || (used > WORTH_SHRINKING && held.get(WASTE) * 4 > used * 3) {
        rebuild(held, 0, 0)?;
    }
    Ok(())
}

/// Puts values behind the last one.
pub(crate) fn extend(held: &mut Held<'_>, values: &[Packed]) -> Result<()> {
    extend_again(held, values, 1)
}

/// Lets locations count behind the last one.
fn append(held: &mut Held<'_>, now: State, laid: &[Location]) {
    for (index, location) in (now.first + now.length..).zip(laid) {
        let at = slot(held, now.side, index);
        held.set(at, location.0);
    }
    commit(held, State { length: now.length + laid.len() as u32, ..now });
}

/// Gives an element, which is inside, another value.
pub(crate) fn set(held: &mut Held<'_>, index: usize, value: &Packed) -> Result<()> {
    make_room(held, 0, value.words())?;
    let new = lay(held, value)?;
    let now = state(held);
    let at = slot(held, now.side, now.first + index as u32);
    let old = Location(held.get(at));
    held.set(at, new.0);
    held.set(VERSION, held.get(VERSION) + 1);
    forget(held, [old])?;
    shrink(held)
}

/// Puts values in the place of those in a range, which is inside.
pub(crate) fn splice(held: &mut Held<'_>, range: Range<usize>, values: &[Packed]) -> Result<()> {
    let length = length(held);
    if values.is_empty() && range.is_empty() {
        return Ok(());
    }
    if range.is_empty() && range.start == length {
        return extend(held, values);
    }
    let kept = length - range.len();
    make_room(held, values.len() as u64, values.iter().map(Packed::words).sum())?;
    let now = state(held);
    let old: Vec<Location> = range.clone().map(|index| location(held, index)).collect();
    let laid = lay_all(held, values)?;
    if range.end == length && values.is_empty() {
        commit(held, State { length: kept as u32, ..now });
    } else if range.start == 0 && values.len() <= range.len() + now.first as usize {
        // At the front: slots before the first one may be written, those that count may not.
        let first = now.first + range.len() as u32 - laid.len() as u32;
        let overlaps = first + laid.len() as u32 > now.first && !laid.is_empty();
        if overlaps {
            arrange(held, range, &laid);
        } else {
            for (index, location) in (first..).zip(&laid) {
                let at = slot(held, now.side, index);
                held.set(at, location.0);
            }
            commit(held, State { first, length: (kept + laid.len()) as u32, ..now });
        }
    } else {
        arrange(held, range, &laid);
    }
    forget(held, old)?;
    shrink(held)
}

/// Writes the elements outside of the range, and others in its place, to the other side.
fn arrange(held: &mut Held<'_>, range: Range<usize>, between: &[Location]) {
    let length = length(held);
    let all: Vec<Location> = (0..range.start)
        .map(|index| location(held, index))
        .chain(between.iter().copied())
        .chain((range.end..length).map(|index| location(held, index)))
        .collect();
    write_other_side(held, &all);
}

fn write_other_side(held: &mut Held<'_>, all: &[Location]) {
    let side = 1 - state(held).side;
    for (index, location) in (0..).zip(all) {
        let at = slot(held, side, index);
        held.set(at, location.0);
    }
    commit(held, State { side, first: 0, length: all.len() as u32 });
}

/// Puts the elements into another order: `order` names each of them once.
pub(crate) fn reorder(held: &mut Held<'_>, order: impl Iterator<Item = usize>) {
    let all: Vec<Location> = order.map(|index| location(held, index)).collect();
    if !all.is_empty() {
        write_other_side(held, &all);
    }
}

/// Puts values behind the last one, so many times over.
pub(crate) fn extend_again(held: &mut Held<'_>, values: &[Packed], times: usize) -> Result<()> {
    let count = values.len().saturating_mul(times);
    if count == 0 {
        return Ok(());
    }
    let words = values.iter().map(Packed::words).sum::<u64>().saturating_mul(times as u64);
    make_room(held, count as u64, words)?;
    let now = state(held);
    let mut laid = Vec::with_capacity(count);
    for _ in 0..times {
        match lay_all(held, values) {
            Ok(once) => laid.extend(once),
            Err(error) => {
                forget(held, laid)?;
                return Err(error);
            }
        }
    }
    append(held, now, &laid);
    Ok(())
}

/// Makes all hints anew from the truth. Any number of times.
pub(crate) fn repair(held: &mut Held<'_>) -> Result<()> {
    let locations: Vec<Location> = (0..length(held)).map(|index| location(held, index)).collect();
    let places: HashSet<u32> = locations.iter().filter_map(|location| location.place()).collect();
    held.repair_places(|place| places.contains(&place))?;
    if held.count() == 0 {
        return Ok(());
    }
    let used = held.get(END).saturating_sub(u64::from(FIRST_SLOT + slots(held) * 2));
    let useful: u64 = locations.iter().map(|location| location.words()).sum();
    held.set(WASTE, used.saturating_sub(useful));
    held.set(VERSION, held.get(VERSION) + 1);
    Ok(())
}

//! Places for values that lie in messages of their own. Their table of deaths is in `shelf.rs`.
//!
//! A segment is an object that owns so many messages; behind its references there is a word for each, which tells the next
//! free place when this one is free.

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Message, Object, Shape};
use mp_wire::{Error, Result};

use super::{FIRST_SEGMENT, FREE_PLACES, Held, SEGMENTS, damaged};

/// Messages in the first segment.
const FIRST_PLACES: u32 = 8;

impl Held<'_> {
    /// Keeps a message at a place of its own. It counts as soon as something names the place.
    pub(crate) fn keep(&mut self, message: &Message) -> Result<u32> {
        let free = self.shelf.word(FREE_PLACES);
        let place = match (free.load(Relaxed) as u32).checked_sub(1) {
            Some(place) => place,
            None => self.add_segment()?,
        };
        let (segment, slot) = segment_of(place);
        let next = self.next_free(segment, slot)?.load(Relaxed);
        self.segment(segment)?.own(u64::from(slot), message.as_object())?;
        free.store(next, Release);
        Ok(place)
    }

    /// The message at a place, which something must name.
    pub(crate) fn message(&mut self, place: u32) -> Result<Message> {
        let (segment, slot) = segment_of(place);
        Message::from_object(self.segment(segment)?.owned(u64::from(slot))?)
    }

    /// Releases the message at a place, which nothing names any more.
    pub(crate) fn discard(&mut self, place: u32) -> Result<()> {
        let (segment, slot) = segment_of(place);
        self.segment(segment)?.disown(u64::from(slot))?;
        let free = self.shelf.word(FREE_PLACES);
        self.next_free(segment, slot)?.store(free.load(Relaxed), Release);
        free.store(u64::from(place) + 1, Release);
        Ok(())
    }

    /// Makes the list of free places anew: all but those that `named` names. Releases what lies at free ones.
    pub(crate) fn repair_places(&mut self, named: impl Fn(u32) -> bool) -> Result<()> {
        let mut next = 0;
        let mut index = 0;
        while index < SEGMENTS && self.has_segment(index) {
            for slot in 0..FIRST_PLACES << index {
                let place = place_of(index, slot);
                if !named(place) {
                    self.segment(index)?.disown(u64::from(slot))?;
                    self.next_free(index, slot)?.store(next, Release);
                    next = u64::from(place) + 1;
                }
            }
            index += 1;
        }
        self.shelf.word(FREE_PLACES).store(next, Release);
        Ok(())
    }

    fn has_segment(&self, index: usize) -> bool {
        self.shelf.word(2 + FIRST_SEGMENT as usize + index).load(Acquire) != 0
    }

    fn segment(&mut self, index: usize) -> Result<Object> {
        while self.view().segments.len() <= index {
            let next = self.view().segments.len();
            let object = self.shelf.object().owned(FIRST_SEGMENT + next as u64)?;
            self.view().segments.push(object);
        }
        Ok(self.view().segments[index].clone())
    }

    /// The word behind a segment's references that belongs to one of them.
    fn next_free(&mut self, index: usize, slot: u32) -> Result<&AtomicU64> {
        let count = u64::from(FIRST_PLACES) << index;
        let (bytes, size) = match self.segment(index)?.bytes() {
            Some((bytes, size)) => (bytes, size),
            None => return Err(damaged("a segment without places")),
        };
        let at = Object::owner_header(count) + u64::from(slot) * 8;
        if at + 8 > size {
            return Err(damaged("a segment that is too small"));
        }
        // SAFETY: inside the segment's block, aligned to 8; the view keeps the segment, and it never changes its block.
        Ok(unsafe { bytes.add(at as usize).cast::<AtomicU64>().as_ref() })
    }

    /// Makes the next segment. Its first place is the first free one then.
    #[cold]
    fn add_segment(&mut self) -> Result<u32> {
        let index =
            (0..SEGMENTS).find(|index| !self.has_segment(*index)).ok_or_else(|| Error::LimitReached {
                limit: "values with handles, or large ones, in one part of a container".into(),
                detail: format!("{} are there", place_of(SEGMENTS, 0)),
            })?;
        let count = FIRST_PLACES << index;
        let plan = Blueprint {
            kind: Kind::BLOCK,
            fingerprint: 0,
            shape: Shape::Owner,
            size: Object::owner_header(u64::from(count)) + u64::from(count) * 8,
        };
        let segment = Object::create_zeroed(self.session(), plan, "", |_, bytes| {
            let Some(bytes) = bytes else { return };
            // SAFETY: the block is ours alone until `create_zeroed` returns, aligned to 64, and has the size of the plan.
            unsafe {
                Object::write_owner_header(bytes, count);
                let next = bytes.add(Object::owner_header(u64::from(count)) as usize).cast::<u64>();
                for slot in 0..count - 1 {
                    next.add(slot as usize).write(u64::from(place_of(index, slot + 1)) + 1);
                }
            }
        })?;
        self.shelf.object().own(FIRST_SEGMENT + index as u64, &segment)?;
        let first = place_of(index, 0);
        self.shelf.word(FREE_PLACES).store(u64::from(first) + 1, Release);
        Ok(first)
    }
}

/// Segments double: places 0 to 7 are in the first, 8 to 23 in the second, and so on.
fn segment_of(place: u32) -> (usize, u32) {
    let scaled = place / FIRST_PLACES + 1;
    let index = scaled.ilog2();
    (index as usize, place + FIRST_PLACES - (FIRST_PLACES << index))
}

fn place_of(segment: usize, slot: u32) -> u32 {
    (FIRST_PLACES << segment) - FIRST_PLACES + slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_through() {
        let mut place = 0;
        for segment in 0..6 {
            for slot in 0..FIRST_PLACES << segment {
                assert_eq!(place_of(segment, slot), place);
                assert_eq!(segment_of(place), (segment, slot));
                place += 1;
            }
        }
    }
}

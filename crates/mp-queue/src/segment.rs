//! A piece of a sorted queue's memory: places for messages, the order in which they come, and the places that are free.
//!
//! ```text
//! 0                    count of places (32) | stride (32)
//! 64 + i * STRIDE      place i: a cell, and behind it
//!                          rank (two words), number, bytes
//! then                 count entries of the heap: rank (two words), number, place
//! then                 count words: places that are free
//! ```
//!
//! Segment `k` has `FIRST << k` places, and as many entries. Places, entries of the heap and the stack of free places are each numbered
//! throughout, the first segment's first. What is in a place says its cell; all else can be made anew from that.

use mp_session::primitive::AtomicU64;
use std::ptr::NonNull;

use mp_session::{Blueprint, Cell, Kind, Object, Session, Shape};
use mp_wire::{Error, Result};

const KIND: Kind = Kind(36);
const STRIDE: u64 = 128;
const FIRST_PLACE: u64 = 64;
const ENTRY: u64 = 32;
/// Words of a place behind its cell, before the bytes.
const HEAD_WORDS: u64 = 3;
const CELL: u64 = size_of::<Cell>() as u64;
/// How many words of bytes a place has.
pub(crate) const PAYLOAD_WORDS: usize = ((STRIDE - CELL) / 8 - HEAD_WORDS) as usize;
/// Places in the first segment.
pub(crate) const FIRST: u64 = if cfg!(mp_model) { 2 } else { 16 };
/// Segments of a queue: the last would have 2^27 places.
pub(crate) const MOST: u64 = 24;

/// Where a message comes: by rank, among equals by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(C)]
pub(crate) struct Key {
    pub(crate) rank: [u64; 2],
    pub(crate) number: u64,
}

/// An entry of the heap.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) place: u64,
}

const _: () = assert!(size_of::<Entry>() as u64 == ENTRY);

/// This process's view of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    object: Object,
    base: NonNull<u8>,
    count: u64,
}

// SAFETY: `base` points to the bytes of `object`, which stay mapped as long as it is held. Cells are atomics; the rest is touched by the
// holder of the queue's lock alone.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

/// Which segment a number falls into, and where in it.
#[inline]
pub(crate) fn locate(number: u64) -> (usize, u64) {
    let k = (number / FIRST + 1).ilog2();
    (k as usize, number - FIRST * ((1 << k) - 1))
}

/// How many places the first `k` segments have.
pub(crate) fn places_in(k: u64) -> u64 {
    FIRST * ((1 << k) - 1)
}

impl Segment {
    pub(crate) fn make(session: &Session, k: u64) -> Result<Segment> {
        let count = FIRST << k;
        let size = FIRST_PLACE + count * (STRIDE + ENTRY + 8);
        let plan = Blueprint { kind: KIND, fingerprint: 0, shape: Shape::Ring, size };
        let object = Object::create(session, plan, |_, bytes| {
            let Some(bytes) = bytes else { return };
            let word = |at: u64, value: u64| {
                // SAFETY: `at` is below the block's size and a multiple of 8; the block is aligned to 64 and is ours
                // alone until `create` returns.
                unsafe { bytes.as_ptr().add(at as usize).cast::<u64>().write(value) }
            };
            word(0, count | STRIDE << 32);
            word(8, 0);
            for i in 0..count {
                word(FIRST_PLACE + i * STRIDE, 0);
                word(FIRST_PLACE + i * STRIDE + 8, 0);
            }
        })?;
        Segment::open(object, k)
    }

    pub(crate) fn open(object: Object, k: u64) -> Result<Segment> {
        let object = object.expect(KIND, 0)?;
        let count = FIRST << k;
        let size = FIRST_PLACE + count * (STRIDE + ENTRY + 8);
        match object.bytes() {
            Some((base, have)) if have >= size => Ok(Segment { object, base, count }),
            _ => Err(Error::Layout { detail: "a segment of a queue without its places".into() }),
        }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    fn at(&self, offset: u64) -> NonNull<u64> {
        // SAFETY: only called with offsets that the methods below keep inside of the block; a multiple of 8.
        unsafe { self.base.add(offset as usize).cast() }
    }

    fn place(&self, index: u64) -> u64 {
        // An index out of bounds can only come from damage: stay inside.
        FIRST_PLACE + index.min(self.count - 1) * STRIDE
    }

    #[inline]
    pub(crate) fn cell(&self, index: u64) -> &Cell {
        // SAFETY: inside of the block; a cell is two atomics and aligned to 8.
        unsafe { self.at(self.place(index)).cast().as_ref() }
    }

    /// The key of what is in a place: touched under the queue's lock only.
    #[inline]
    pub(crate) fn key(&self, index: u64) -> NonNull<Key> {
        self.at(self.place(index) + CELL).cast()
    }

    /// The bytes of a place: touched under the queue's lock only.
    #[inline]
    pub(crate) fn payload(&self, index: u64) -> NonNull<AtomicU64> {
        self.at(self.place(index) + CELL + HEAD_WORDS * 8).cast()
    }

    /// An entry of the heap: touched under the queue's lock only.
    #[inline]
    pub(crate) fn entry(&self, index: u64) -> NonNull<Entry> {
        self.at(FIRST_PLACE + self.count * STRIDE + index.min(self.count - 1) * ENTRY).cast()
    }

    /// A word of the stack of free places: touched under the queue's lock only.
    #[inline]
    pub(crate) fn free(&self, index: u64) -> NonNull<u64> {
        self.at(FIRST_PLACE + self.count * (STRIDE + ENTRY) + index.min(self.count - 1) * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_into_segments() {
        let mut expected = (0, 0);
        for n in 0..FIRST * 7 {
            assert_eq!(locate(n), expected, "{n}");
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(places_in(3), FIRST * 7);
    }
}

//! The order of a sorted queue's messages, and its free places: what the holder of the lock may change at will.
//!
//! A heap with four branches, in the entries of the segments. None of it is believed after a death: see [`crate::sorted`].

use mp_session::{Object, Session};
use mp_wire::{Error, Result};

use crate::segment::{Entry, Key, MOST, Segment, locate, places_in};

const BRANCHES: u64 = 4;

/// This process's view of the segments.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    known: Vec<Segment>,
    /// The queue's count of how often segments were given up, when we last looked.
    epoch: u64,
}

impl Segments {
    /// Forgets what was given up meanwhile.
    #[inline]
    pub(crate) fn refresh(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.known.truncate(1);
            self.epoch = epoch;
        }
    }

    /// Opens those of the first `count` segments that this process has not seen yet.
    #[inline]
    pub(crate) fn open(&mut self, owner: &Object, count: u64) -> Result<()> {
        while (self.known.len() as u64) < count {
            let k = self.known.len() as u64;
            self.known.push(Segment::open(owner.owned(k)?, k)?);
        }
        Ok(())
    }

    /// Adds a segment after the first `count`.
    #[cold]
    pub(crate) fn grow(&mut self, session: &Session, owner: &Object, count: u64) -> Result<()> {
        if count >= MOST {
            return Err(Error::LimitReached {
                limit: "messages in a queue".into(),
                detail: format!("it has {} places", places_in(count)),
            });
        }
        let segment = Segment::make(session, count)?;
        owner.own(count, segment.object())?;
        self.known.truncate(count as usize);
        self.known.push(segment);
        Ok(())
    }

    /// Gives up all but the first `keep` segments.
    #[cold]
    pub(crate) fn shrink(&mut self, owner: &Object, keep: u64, count: u64) -> Result<()> {
        self.known.truncate(keep as usize);
        // The last first, so that those that are left are always the first ones.
        (keep..count).rev().try_for_each(|k| owner.disown(k))
    }

    /// The segment of a number, and where in it.
    #[inline]
    pub(crate) fn find(&self, number: u64) -> Result<(&Segment, u64)> {
        let (k, index) = locate(number);
        match self.known.get(k) {
            Some(segment) => Ok((segment, index)),
            None => Err(Error::Layout { detail: "a queue that refers to memory that it has not".into() }),
        }
    }

    #[inline]
    pub(crate) fn entry(&self, i: u64) -> Result<Entry> {
        let (segment, index) = self.find(i)?;
        // SAFETY: inside of the segment; any bytes are an `Entry`; we hold the queue's lock.
        Ok(unsafe { segment.entry(index).read() })
    }

    #[inline]
    fn set_entry(&self, i: u64, entry: Entry) -> Result<()> {
        let (segment, index) = self.find(i)?;
        // SAFETY: as in `entry`.
        unsafe { segment.entry(index).write(entry) };
        Ok(())
    }

    #[inline]
    pub(crate) fn free_place(&self, i: u64) -> Result<u64> {
        let (segment, index) = self.find(i)?;
        // SAFETY: as in `entry`.
        Ok(unsafe { segment.free(index).read() })
    }

    #[inline]
    pub(crate) fn set_free_place(&self, i: u64, place: u64) -> Result<()> {
        let (segment, index) = self.find(i)?;
        // SAFETY: as in `entry`.
        unsafe { segment.free(index).write(place) };
        Ok(())
    }

    /// Adds an entry to a heap of `len`.
    pub(crate) fn push(&self, len: u64, entry: Entry) -> Result<()> {
        let mut hole = len;
        while hole > 0 {
            let parent = (hole - 1) / BRANCHES;
            let above = self.entry(parent)?;
            if above.key <= entry.key {
                break;
            }
            self.set_entry(hole, above)?;
            hole = parent;
        }
        self.set_entry(hole, entry)
    }

    /// Takes the first entry out of a heap of `len`, which is at least 1.
    pub(crate) fn pop(&self, len: u64) -> Result<()> {
        let last = self.entry(len - 1)?;
        self.sift(0, len - 1, last)
    }

    /// Puts an entry where the hole at `hole` is, or below it.
    fn sift(&self, mut hole: u64, len: u64, entry: Entry) -> Result<()> {
        loop {
            let first = hole * BRANCHES + 1;
            let mut least: Option<(u64, Entry)> = None;
            for child in first..(first + BRANCHES).min(len) {
                let below = self.entry(child)?;
                if least.is_none_or(|(_, l)| below.key < l.key) {
                    least = Some((child, below));
                }
            }
            match least {
                Some((child, below)) if below.key < entry.key => {
                    self.set_entry(hole, below)?;
                    hole = child;
                }
                _ => return if hole < len { self.set_entry(hole, entry) } else { Ok(()) },
            }
        }
    }

    /// Writes entry `i` of what is to become a heap.
    pub(crate) fn place_entry(&self, i: u64, key: Key, place: u64) -> Result<()> {
        self.set_entry(i, Entry { key, place })
    }

    /// Makes a heap of the first `len` entries.
    pub(crate) fn heapify(&self, len: u64) -> Result<()> {
        for i in (0..len.div_ceil(BRANCHES)).rev() {
            self.sift(i, len, self.entry(i)?)?;
        }
        Ok(())
    }
}

//! Who reads: a place for each reader.
//!
//! ```text
//! how often(15) | 0 | ThreadId(48)
//! ```
//!
//! A thread's *home* is one of 64 places, by its number in the session. If another thread has it (there are more than 64
//! readers, or the numbers fall badly) it has a place of its own in a second table with one for each thread there can be, which
//! is made when it is needed first. So a thread is in one place at most, and knows where to look for itself.
//!
//! Places are put so that neighbours in number are on different cache lines.

use std::sync::{Arc, OnceLock};

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Object, Session, Shape, ThreadId};
use mp_wire::{Error, Result};

use crate::raw::RawLock;

/// Places in the first table.
pub(super) const HOMES: usize = 64;
/// Words before the value: the first table, the wait word of who waits for readers to leave, and whether there is a second table; the rest
/// keeps the value on a line of its own.
pub(super) const WORDS: usize = HOMES + 8;
const LEAVING: usize = HOMES;
const HAS_SECOND: usize = HOMES + 1;
/// As many as there can be threads in a session.
const THREADS: usize = 1 << 14;
const SECOND: Blueprint =
    Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: (THREADS * 8) as u64 };

/// One time more, in a place.
const ONCE: u64 = 1 << (ThreadId::BITS + 1);
const MOST: u64 = (1 << 15) - 1;

/// Where a thread's place is in the second table.
fn number(thread: ThreadId) -> usize {
    (thread.to_bits() as u16 as usize).wrapping_sub(1) % THREADS
}

fn home(thread: ThreadId) -> usize {
    let n = number(thread) % HOMES;
    n % 8 * 8 + n / 8
}

/// The thread in a place.
pub(super) fn reader(place: u64) -> ThreadId {
    ThreadId::from_bits(place)
}

/// The tables of one lock.
#[derive(Clone)]
pub(super) struct Readers {
    raw: RawLock,
    second: Arc<OnceLock<Object>>,
}

/// What came of an attempt to read without the lock.
pub(super) enum Entry<'a> {
    /// Reads, and there.
    In(&'a AtomicU64),
    /// It has to go by way of the lock.
    ByTheLock,
}

impl Readers {
    pub(super) fn of(raw: &RawLock) -> Readers {
        Readers { raw: raw.clone(), second: Arc::default() }
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        self.raw.object().bytes().map_or(&[], |(bytes, size)| {
            let count = (size as usize / 8).min(WORDS);
            // SAFETY: the block is that large, aligned to 64 bytes; these bytes were zeroed when it was made, hold nothing but
            // these words, and stay as long as the handle.
            unsafe { std::slice::from_raw_parts(bytes.cast::<AtomicU64>().as_ptr(), count) }
        })
    }

    /// Where the one waits who wants the readers to leave.
    #[inline]
    pub(super) fn leaving(&self) -> &AtomicU64 {
        &self.words()[LEAVING]
    }

    fn homes(&self) -> &[AtomicU64] {
        &self.words()[..HOMES]
    }

    /// The second table, if there is one.
    fn second(&self) -> Result<&[AtomicU64]> {
        if self.words()[HAS_SECOND].load(SeqCst) == 0 { Ok(&[]) } else { self.existing_second() }
    }

    #[cold]
    fn existing_second(&self) -> Result<&[AtomicU64]> {
        let object = match self.second.get() {
            Some(object) => object,
            None => {
                let object = self.raw.object().child()?;
                self.second.get_or_init(|| object)
            }
        };
        Ok(match object.bytes() {
            // SAFETY: as in `words`; the table's object lives as long as our handle to it.
            Some((bytes, size)) => unsafe {
                std::slice::from_raw_parts(bytes.cast::<AtomicU64>().as_ptr(), size as usize / 8)
            },
            None => &[],
        })
    }

    /// Reads without the lock: at once if the thread does already, or if its home is free and nobody holds the lock.
    #[inline]
    pub(super) fn enter(&self, me: ThreadId) -> Result<Entry<'_>> {
        let words = self.words();
        let place = &words[home(me)];
        let seen = place.load(Relaxed);
        if reader(seen) == me {
            return once_more(place, seen);
        }
        if words[HAS_SECOND].load(SeqCst) != 0
            && let Some(place) = self.existing_second()?.get(number(me))
        {
            let seen = place.load(Relaxed);
            if reader(seen) == me {
                return once_more(place, seen);
            }
        }
        // *reader-or-writer*: we say that we read and then look for a writer; a writer takes the lock and then looks for
        // readers. Both sequentially consistent, so one of the two sees the other.
        if seen != 0 || place.compare_exchange(0, ONCE | me.to_bits(), SeqCst, Relaxed).is_err() {
            return Ok(Entry::ByTheLock);
        }
        if self.raw.word().load(SeqCst) == 0 {
            return Ok(Entry::In(place));
        }
        self.leave(place);
        Ok(Entry::ByTheLock)
    }

    /// Reads. The thread has the lock, so there is no writer.
    pub(super) fn enter_with_lock(&self, me: ThreadId) -> Result<&AtomicU64> {
        let (session, place) = (self.raw.session(), &self.homes()[home(me)]);
        let mine = ONCE | me.to_bits();
        let mut seen = place.load(SeqCst);
        while seen == 0 || is_certainly_gone(session, reader(seen))? {
            match place.compare_exchange(seen, mine, SeqCst, SeqCst) {
                Ok(_) => return Ok(place),
                Err(now) => seen = now,
            }
        }
        self.make_second()?;
        let place = self.second()?.get(number(me)).ok_or_else(no_place)?;
        // Whoever is in it was of our number, and so is gone.
        place.store(mine, SeqCst);
        Ok(place)
    }

    /// Makes the second table if there is none. Only who has the lock may; what a dead one has begun was settled before the
    /// lock could be taken over from it.
    #[cold]
    fn make_second(&self) -> Result<()> {
        let has = &self.words()[HAS_SECOND];
        if has.load(SeqCst) != 0 {
            return Ok(());
        }
        let object = self.raw.object();
        if object.child().is_err() {
            let table = Object::create(self.raw.session(), SECOND, |_, bytes| {
                if let Some(bytes) = bytes {
                    // SAFETY: the block has that many bytes, and is ours alone until `create` returns.
                    unsafe { bytes.write_bytes(0, THREADS * 8) };
                }
            })?;
            object.adopt(&table)?;
        }
        has.store(1, SeqCst);
        Ok(())
    }

    /// One time less.
    #[inline]
    pub(super) fn leave(&self, place: &AtomicU64) {
        let seen = place.load(Relaxed);
        if seen >= 2 * ONCE {
            place.store(seen - ONCE, Relaxed);
        } else {
            place.swap(0, SeqCst);
            self.raw.session().wake_one(self.leaving());
        }
    }

    /// Whether the thread reads.
    pub(super) fn reads(&self, me: ThreadId) -> Result<bool> {
        let second = self.second()?.get(number(me));
        let places = [Some(&self.homes()[home(me)]), second];
        Ok(places.into_iter().flatten().any(|place| reader(place.load(Relaxed)) == me))
    }

    /// A place whose reader lives; those of the dead are cleared on the way.
    pub(super) fn somebody(&self) -> Result<Option<&AtomicU64>> {
        let session = self.raw.session();
        let second = self.second()?;
        let second = &second[..second.len().min(threads_used(session))];
        for place in self.homes().iter().chain(second) {
            let seen = place.load(SeqCst);
            if seen == 0 {
                continue;
            }
            if !is_certainly_gone(session, reader(seen))? {
                return Ok(Some(place));
            }
            let _ = place.compare_exchange(seen, 0, SeqCst, Relaxed);
        }
        Ok(None)
    }

    /// How many threads read.
    pub(super) fn count(&self) -> usize {
        let second = self.second().unwrap_or(&[]);
        self.homes().iter().chain(second).filter(|place| place.load(Relaxed) != 0).count()
    }
}

/// As with the owner of a lock: until the death is certain, another thread of its process may be reading.
fn is_certainly_gone(session: &Session, thread: ThreadId) -> Result<bool> {
    Ok(session.is_gone(thread) && (session.ident_of(thread).is_none() || session.clear_up_after(thread)?))
}

/// How much of the second table there can be anybody in.
fn threads_used(session: &Session) -> usize {
    session.threads_used() as usize
}

#[inline]
fn once_more(place: &AtomicU64, seen: u64) -> Result<Entry<'_>> {
    if seen / ONCE >= MOST {
        return Err(Error::LimitReached {
            limit: "times that a thread reads an RwLock at once".into(),
            detail: MOST.to_string(),
        });
    }
    // Nobody else touches it.
    place.store(seen + ONCE, Relaxed);
    Ok(Entry::In(place))
}

fn no_place() -> Error {
    Error::Layout { detail: "an RwLock without a place for its reader".into() }
}

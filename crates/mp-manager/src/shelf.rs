//! A shelf: what each container keeps its bytes on. A lock, one *store* that is replaced as a whole when it is too small, and
//! places for values that lie in messages of their own.
//!
//! A shelf is an object whose words are its lock. Its block:
//!
//! | word | holds |
//! |---|---|
//! | 0 | how many references follow at 2 |
//! | 1 | `growths`: how often the store was replaced; 0: there is none; otherwise it is reference `growths & 1` |
//! | 2, 3 | references to stores |
//! | 4 to 25 | references to segments: segment `k` owns `8 << k` messages |
//! | 26 | first free place of the segments, plus one; 0: none (a hint) |
//! | 27 | the transaction that this shelf is prepared for, or 0 ([`crate::dict`]) |
//! | 28 | the state that it gives the store |
//!
//! A store is a block of words; what they mean is the container's ([`crate::shard`], [`crate::list`]), save that its state, the
//! word that says what counts, is word 0. So a new store with its state in it counts from the one instant at which
//! `growths` names it.
//!
//! # Truth and hints
//!
//! Truth is what commits: `growths`, the store's state, and words of a record that change by one store each. What makes finding things
//! fast (an index, counts, the list of free places) is a hint: the holder of the lock writes it after the truth, and when a holder has
//! died the next one makes all hints anew from the truth ("repair") before it does anything. Repairing can be done any number of times,
//! and the lock stays marked until it is done, so a repairer may die as well.
//!
//! All of it is written under the lock. Stores of truth and hints are released, so that none is moved before another: at each instruction
//! memory is what the program's order says.
//!
//! # Deaths
//!
//! | step of replacing the store | a death after it leaves |
//! |---|---|
//! | the new store is made and filled | the old one; the new one is swept |
//! | it is owned, at the reference that does not count | the old one; repair, or the next replacement, releases it |
//! | `growths` is one more: the commit | the new one; the old one is released as above |
//!
//! | step of keeping a message | a death after it leaves |
//! |---|---|
//! | the segment owns it | a place that no record names: repair releases the message |
//! | a record names the place: the container's commit | the value |
//! | a record no longer names the place | the same as after the first step |

use std::cell::UnsafeCell;
use std::fmt;
use std::ptr::NonNull;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Object, Session, Shape};
use mp_sync::__private::{EmbeddedLock, Found, Patience};
use mp_wire::{Error, Result};

mod places;

const GROWTHS: usize = 1;
const FIRST_SEGMENT: u64 = 2;
const SEGMENTS: usize = 22;
const REFERENCES: u64 = FIRST_SEGMENT + SEGMENTS as u64;
const FREE_PLACES: usize = 2 + REFERENCES as usize;
const TRANSACTION: usize = FREE_PLACES + 1;
const PREPARED: usize = FREE_PLACES + 2;
const WORDS: u64 = PREPARED as u64 + 1;
/// The smallest store, in words.
const SMALLEST: u32 = 64;
/// Word 0 of each store.
pub(crate) const STATE: u32 = 0;

/// This process's view of a shelf.
pub(crate) struct Shelf {
    lock: EmbeddedLock,
    header: NonNull<AtomicU64>,
    /// Only who has the lock looks at it or changes it.
    view: UnsafeCell<View>,
}

/// The store and the segments as this process knows them.
#[derive(Default)]
struct View {
    growths: u64,
    store: Option<Block>,
    segments: Vec<Object>,
}

/// Words of an object.
struct Block {
    /// Keeps the words where they are.
    _object: Object,
    first: NonNull<AtomicU64>,
    count: u32,
}

// SAFETY: the pointers are to atomics in session memory, which any thread may use, and which stay as long as the objects; the view is
// used by the holder of the lock only, and there is one at a time.
unsafe impl Send for Shelf {}
// SAFETY: as above.
unsafe impl Sync for Shelf {}

impl Shelf {
    /// A new one, with nothing on it.
    pub(crate) fn create(session: &Session, kind: Kind, fingerprint: u64) -> Result<Shelf> {
        let plan = Blueprint { kind, fingerprint, shape: Shape::Owner, size: WORDS * 8 };
        let object = Object::create_zeroed(session, plan, "", |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block is ours alone until `create_zeroed` returns, aligned to 64, and has that header's size.
                unsafe { Object::write_owner_header(bytes, REFERENCES as u32) };
            }
        })?;
        Shelf::of(object)
    }

    /// The shelf that an object is, whose kind and type were checked.
    pub(crate) fn of(object: Object) -> Result<Shelf> {
        match object.bytes() {
            Some((bytes, size)) if size >= WORDS * 8 => Ok(Shelf {
                header: bytes.cast(),
                lock: EmbeddedLock::of(object, true),
                view: UnsafeCell::default(),
            }),
            _ => Err(Error::Layout { detail: "a container without its header".into() }),
        }
    }

    pub(crate) fn object(&self) -> &Object {
        self.lock.object()
    }

    fn word(&self, i: usize) -> &AtomicU64 {
        assert!((i as u64) < WORDS);
        // SAFETY: inside the header, which `of` checked to be there; it stays as long as the object.
        unsafe { self.header.add(i).as_ref() }
    }

    /// Takes the lock. When somebody died over it, `repair` makes the hints anew first.
    #[inline]
    pub(crate) fn lock(&self, repair: impl Fn(&mut Held<'_>) -> Result<()>) -> Result<Held<'_>> {
        if self.lock.lock_if_clean()? {
            let mut held = Held { shelf: self };
            if self.word(GROWTHS).load(Acquire) != held.view().growths {
                held.look()?;
            }
            return Ok(held);
        }
        self.lock_slow(repair)
    }

    #[cold]
    fn lock_slow(&self, repair: impl Fn(&mut Held<'_>) -> Result<()>) -> Result<Held<'_>> {
        loop {
            let Some(found) = self.lock.lock(Patience::Endless)? else { continue };
            let mut held = Held { shelf: self };
            held.look()?;
            if let Found::OwnerDied(_) = found {
                held.release_spare()?;
                repair(&mut held)?;
                self.lock.mark_consistent();
            }
            return Ok(held);
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.lock)
    }
}

/// A new store, which nobody else sees yet.
pub(crate) struct Fresh {
    first: NonNull<u64>,
    count: u32,
}

impl Fresh {
    pub(crate) fn set(&mut self, at: u32, value: u64) {
        assert!(at < self.count);
        // SAFETY: inside the block, which is ours alone.
        unsafe { self.first.add(at as usize).write(value) };
    }

    pub(crate) fn get(&self, at: u32) -> u64 {
        assert!(at < self.count);
        // SAFETY: inside the block, which is ours alone and was zeroed.
        unsafe { self.first.add(at as usize).read() }
    }

    /// Writes bytes from word `at` on.
    pub(crate) fn write(&mut self, at: u32, bytes: &[u8]) {
        assert!(u64::from(at) + words_for(bytes.len()) <= u64::from(self.count));
        // SAFETY: inside the block, which is ours alone.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.first.add(at as usize).as_ptr().cast(),
                bytes.len(),
            );
        }
    }
}

/// How many words so many bytes take.
#[inline]
pub(crate) const fn words_for(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(8)
}

/// A shelf whose lock this thread has, until it is dropped.
pub(crate) struct Held<'a> {
    shelf: &'a Shelf,
}

impl<'a> Held<'a> {
    #[inline]
    fn view(&mut self) -> &mut View {
        // SAFETY: the lock is held, so nobody else looks at the view, and `self` is borrowed exclusively.
        unsafe { &mut *self.shelf.view.get() }
    }

    #[inline]
    fn seen(&self) -> &View {
        // SAFETY: the lock is held, so nobody else changes the view; who changes it borrows `self` exclusively.
        unsafe { &*self.shelf.view.get() }
    }

    /// Finds the store.
    #[cold]
    fn look(&mut self) -> Result<()> {
        let growths = self.shelf.word(GROWTHS).load(Acquire);
        if growths == self.view().growths {
            return Ok(());
        }
        let object = self.shelf.object().owned(growths & 1)?;
        let store = match object.bytes() {
            Some((bytes, size)) => Block {
                first: bytes.cast(),
                count: (size / 8).min(u64::from(u32::MAX)) as u32,
                _object: object,
            },
            None => return Err(damaged("a container without its store")),
        };
        let view = self.view();
        view.store = Some(store);
        view.growths = growths;
        Ok(())
    }

    /// Releases the store that somebody who died did not come to use, or to release.
    fn release_spare(&self) -> Result<()> {
        let growths = self.shelf.word(GROWTHS).load(Acquire);
        let object = self.shelf.object();
        if growths == 0 {
            object.disown(0)?;
        }
        object.disown((growths & 1) ^ 1)
    }

    pub(crate) fn session(&self) -> &'a Session {
        self.shelf.object().session()
    }

    /// Prepares the store for a transaction: if that is decided, this is its state.
    pub(crate) fn prepare(&mut self, transaction: u64, state: u64) {
        self.shelf.word(PREPARED).store(state, Release);
        self.shelf.word(TRANSACTION).store(transaction, Release);
    }

    /// The transaction that the store is prepared for, and the state that it gives it.
    pub(crate) fn prepared(&self) -> Option<(u64, u64)> {
        let transaction = self.shelf.word(TRANSACTION).load(Acquire);
        (transaction != 0).then(|| (transaction, self.shelf.word(PREPARED).load(Acquire)))
    }

    /// Carries out what was prepared, or gives it up.
    pub(crate) fn conclude(&mut self, carry_out: Option<u64>) {
        if let Some(state) = carry_out {
            self.set(STATE, state);
        }
        self.shelf.word(TRANSACTION).store(0, Release);
    }

    /// How many words the store has; none: there is no store.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.seen().store.as_ref().map_or(0, |store| store.count)
    }

    /// A word of the store.
    ///
    /// # Panics
    /// When there is no such word: what a record says was checked when it was written.
    #[inline]
    pub(crate) fn word(&self, at: u32) -> &AtomicU64 {
        match &self.seen().store {
            // SAFETY: inside the block, which stays as long as the view has it, and that changes by an exclusive borrow only.
            Some(store) if at < store.count => unsafe { store.first.add(at as usize).as_ref() },
            _ => out_of_bounds(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> u64 {
        self.word(at).load(Relaxed)
    }

    /// A store of truth or of a hint.
    #[inline]
    pub(crate) fn set(&mut self, at: u32, value: u64) {
        self.word(at).store(value, Release);
    }

    /// So many bytes from word `at` on.
    ///
    /// # Panics
    /// As [`Held::word`].
    #[inline]
    pub(crate) fn bytes(&self, at: u32, len: usize) -> &[u8] {
        match &self.seen().store {
            Some(store) if u64::from(at) + words_for(len) <= u64::from(store.count) => {
                // SAFETY: inside the block; written before by who had the lock, which we have now, and not changed as long as `self`
                // is borrowed.
                unsafe { std::slice::from_raw_parts(store.first.add(at as usize).as_ptr().cast(), len) }
            }
            _ => out_of_bounds(),
        }
    }

    /// Writes bytes from word `at` on, where nothing counts yet.
    ///
    /// # Panics
    /// As [`Held::word`].
    #[inline]
    pub(crate) fn write(&mut self, at: u32, bytes: &[u8]) {
        match &self.seen().store {
            Some(store) if u64::from(at) + words_for(bytes.len()) <= u64::from(store.count) => {
                let to = store.first.as_ptr().cast::<u8>();
                // SAFETY: inside the block, which is ours under the lock; nobody borrows its bytes while `self` is borrowed exclusively.
                unsafe {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.add(at as usize * 8), bytes.len());
                }
            }
            _ => out_of_bounds(),
        }
    }

    /// Puts a store of at least so many words in the place of the one there is. `fill` writes it, and may look at the old one.
    #[cold]
    pub(crate) fn replace(&mut self, words: u64, fill: impl FnOnce(&Held<'_>, &mut Fresh)) -> Result<()> {
        let words = words.max(u64::from(SMALLEST)).next_multiple_of(8);
        let Ok(count) = u32::try_from(words) else {
            return Err(Error::LimitReached {
                limit: "bytes in one part of a container".into(),
                detail: format!("{} bytes", words.saturating_mul(8)),
            });
        };
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: words * 8 };
        let mut first: Option<NonNull<AtomicU64>> = None;
        let object = Object::create_zeroed(self.session(), plan, "", |_, bytes| {
            if let Some(bytes) = bytes {
                first = Some(bytes.cast());
                fill(self, &mut Fresh { first: bytes.cast(), count });
            }
        })?;
        let Some(first) = first else { return Err(damaged("a store without words")) };
        let header = self.shelf.object();
        let growths = self.shelf.word(GROWTHS).load(Relaxed);
        header.own((growths + 1) & 1, &object)?;
        self.shelf.word(GROWTHS).store(growths + 1, Release);
        let view = self.view();
        view.growths = growths + 1;
        view.store = Some(Block { first, count, _object: object });
        if growths != 0 {
            header.disown(growths & 1)?;
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shelf.lock.unlock();
    }
}

#[cold]
pub(crate) fn damaged(what: &str) -> Error {
    Error::Layout { detail: what.into() }
}

#[cold]
#[track_caller]
fn out_of_bounds() -> ! {
    panic!("a container's record that lies outside of its store: the session's memory is damaged")
}

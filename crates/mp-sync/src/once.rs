//! `Once` and `OnceLock`: something that is done once for all processes.
//!
//! # Protocol
//!
//! One word, `state(2) << 48 | runner: ThreadId(48)`:
//!
//! | state | runner | meaning | moved by |
//! |---|---|---|---|
//! | `NEW` | nobody | not done | any t, to `RUNNING(t)` |
//! | `NEW` | u | u died while it ran | any t, to `RUNNING(t)` |
//! | `RUNNING` | t | t is at it | t, to `DONE` or, panicking, to `POISONED`; who sees that t is gone: to `RUNNING(u)` |
//! | `DONE` | nobody | done, for ever | nobody |
//! | `POISONED` | t | t panicked over it | [`Once::call_once_force`], to `RUNNING(u)` |
//!
//! A name is never given twice, so of all who see a runner dead one goes on. A thread that runs is inside of the call, so it
//! is gone only when its process is.
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | a runner | at any time before `DONE` | its name; the next one runs, and is told |
//! | | after `DONE`, before it woke anybody | `DONE`; sleepers are made to look after a death |
//! | a waiter | any time | nothing |

use std::fmt;
use std::ptr::NonNull;

use mp_session::primitive::Ordering::*;
use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, ThreadId, layout_fingerprint};
use mp_wire::{Error, Ident, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Plain;
use crate::anchor::{Anchor, handle};

const NEW: u64 = 0;
const RUNNING: u64 = 1;
const DONE: u64 = 2;
const POISONED: u64 = 3;

fn pack(state: u64, runner: ThreadId) -> u64 {
    state << ThreadId::BITS | runner.to_bits()
}

fn state(word: u64) -> u64 {
    word >> ThreadId::BITS & 3
}

const PLAN: Blueprint = Blueprint { kind: Kind::ONCE, fingerprint: 0, shape: Shape::Plain, size: 0 };

/// Something that one process does, once, and the others wait for.
///
/// Python has no counterpart; it is what [`std::sync::Once`] is for threads. A `Once` is a handle: clones, and copies that were
/// sent to other processes, are the same.
///
/// # If a process dies
/// If it was at it, the next one that calls does it, and [`OnceState::died`] tells.
///
/// # Panics
/// As with [`std::sync::Once`], a panic poisons: a death says nothing about the closure, a panic says that it has a mistake.
/// Calls return [`Error::Broken`] from then on, except [`Once::call_once_force`].
///
/// # Examples
///
/// ```
/// let once = mp_sync::Once::new()?;
/// let mut times = 0;
/// for _ in 0..3 {
///     once.call_once(|_| times += 1)?;
/// }
/// assert_eq!((times, once.is_completed()), (1, true));
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct Once {
    anchor: Anchor,
}

handle!(Once, PLAN);

/// What the closure of a [`Once`] may want to know about those before it.
#[derive(Clone, Debug, Default)]
pub struct OnceState {
    died: Option<Ident>,
    poisoned: bool,
}

impl OnceState {
    /// The process that died while it was at it, if one did: half of it may be done. One whose name is not known any more
    /// has pid 0.
    pub fn died(&self) -> Option<&Ident> {
        self.died.as_ref()
    }

    /// Whether the last one panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Once {
    /// Nothing is done yet. In this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room, and what [`Session::current`] returns.
    pub fn new() -> Result<Once> {
        Once::new_in(&Session::current()?)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`Once::new`].
    pub fn new_in(session: &Session) -> Result<Once> {
        Ok(Once { anchor: Anchor::create(session, PLAN, |_, _| {})? })
    }

    /// Whether it is done.
    #[inline]
    pub fn is_completed(&self) -> bool {
        is_done(&self.anchor)
    }

    /// Calls `f` if nobody has done it, or waits for who is at it.
    ///
    /// # Errors
    /// [`Error::Broken`] when a call has panicked; [`Error::InvalidArgument`] when this thread is at it already;
    /// [`Error::LimitReached`] and [`Error::ForeignFork`] as [`Session::thread_id`].
    ///
    /// # Blocking
    /// As long as somebody else is at it.
    #[inline]
    pub fn call_once(&self, f: impl FnOnce(&OnceState)) -> Result<()> {
        self.call(false, f)
    }

    /// The same also after a panic.
    ///
    /// # Errors
    /// As [`Once::call_once`], save the first.
    ///
    /// # Blocking
    /// As [`Once::call_once`].
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) -> Result<()> {
        self.call(true, f)
    }

    #[inline]
    fn call(&self, force: bool, f: impl FnOnce(&OnceState)) -> Result<()> {
        if self.is_completed() {
            return Ok(());
        }
        run(&self.anchor, force, |state| {
            f(state);
            Ok(())
        })
    }
}

#[inline]
fn is_done(anchor: &Anchor) -> bool {
    state(anchor.word(0).load(Acquire)) == DONE
}

/// Does it or waits for it. If `f` fails it is as if nobody had begun.
#[cold]
fn run(anchor: &Anchor, force: bool, f: impl FnOnce(&OnceState) -> Result<()>) -> Result<()> {
    let (session, word) = (anchor.session(), anchor.word(0));
    let me = session.thread_id()?;
    let runner = || {
        let now = word.load(SeqCst);
        if state(now) == RUNNING { ThreadId::from_bits(now) } else { ThreadId::NONE }
    };
    if runner() == me {
        return Err(Error::InvalidArgument { detail: format!("{}: called by itself", what(anchor)) });
    }
    let begun = session.wait(anchor.waiters(Role::First), None, &runner, || {
        let seen = word.load(SeqCst);
        let who = ThreadId::from_bits(seen);
        let before = match state(seen) {
            DONE => return Ok(Some(None)),
            POISONED if !force => return Err(poisoned(anchor, who)),
            POISONED => OnceState { poisoned: true, died: None },
            RUNNING if !session.is_gone(who) => return Ok(None),
            RUNNING => {
                let name = session.ident_of(who);
                if name.is_some() && !session.clear_up_after(who)? {
                    return Ok(None);
                }
                let name = name.or_else(|| anchor.object().departed(Role::First).map(|(who, _)| who));
                OnceState { died: Some(name.unwrap_or_else(|| Ident::new(0, "unknown"))), poisoned: false }
            }
            _ => OnceState::default(),
        };
        let mine = word.compare_exchange(seen, pack(RUNNING, me), SeqCst, SeqCst).is_ok();
        Ok(mine.then_some(Some(before)))
    })?;
    let Some(Some(before)) = begun else { return Ok(()) };
    let end = End { anchor, to: pack(POISONED, me) };
    let outcome = f(&before);
    end.finish(pack(if outcome.is_ok() { DONE } else { NEW }, ThreadId::NONE));
    outcome
}

fn what(anchor: &Anchor) -> String {
    anchor.object().kind().name()
}

#[cold]
fn poisoned(anchor: &Anchor, who: ThreadId) -> Error {
    Error::Broken {
        what: what(anchor),
        why: "its initialisation panicked".into(),
        who: anchor.session().ident_of(who),
    }
}

/// Leaves `RUNNING` in any case: dropped by a panic, to `POISONED`.
struct End<'a> {
    anchor: &'a Anchor,
    to: u64,
}

impl End<'_> {
    fn finish(mut self, to: u64) {
        self.to = to;
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.anchor.word(0).swap(self.to, SeqCst);
        self.anchor.session().wake_all(self.anchor.waiters(Role::First));
    }
}

fn describe(anchor: &Anchor) -> &'static str {
    match state(anchor.word(0).load(Acquire)) {
        NEW => "new",
        RUNNING => "running",
        DONE => "done",
        _ => "poisoned",
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Once({})", describe(&self.anchor))
    }
}

/// A value in shared memory that is written once, by whichever process comes first, and then only read.
///
/// It is what [`std::sync::OnceLock`] is for threads, for [`Plain`] data. A `OnceLock` is a handle: clones, and copies that were sent
/// to other processes, are the same.
///
/// # If a process dies
/// If it was about to compute the value, the next one that asks does. A value that is there stays as long as anybody has a handle.
///
/// # Examples
///
/// ```
/// let answer = mp_sync::OnceLock::<u64>::new()?;
/// assert_eq!(answer.get(), None);
/// assert_eq!(answer.get_or_init(|| 42)?, &42);
/// assert_eq!(answer.get_or_init(|| 43)?, &42);
/// # Ok::<(), mp_sync::Error>(())
/// ```
pub struct OnceLock<T: Plain> {
    anchor: Anchor,
    value: NonNull<T>,
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the object; the value is plain
// data that only the runner writes, before it says `DONE`, and nobody after.
unsafe impl<T: Plain> Send for OnceLock<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for OnceLock<T> {}

/// The alignment of every block of the session.
const BLOCK_ALIGN: usize = 64;

impl<T: Plain> OnceLock<T> {
    fn plan() -> Blueprint {
        const { assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes") };
        let fingerprint = layout_fingerprint::<T>();
        Blueprint { kind: Kind::ONCE_LOCK, fingerprint, shape: Shape::Plain, size: size_of::<T>() as u64 }
    }

    /// No value yet. In this process's session.
    ///
    /// # Errors
    /// As [`Once::new`].
    pub fn new() -> Result<OnceLock<T>> {
        OnceLock::new_in(&Session::current()?)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`Once::new`].
    pub fn new_in(session: &Session) -> Result<OnceLock<T>> {
        OnceLock::of(Anchor::create(session, Self::plan(), |_, _| {})?)
    }

    fn of(anchor: Anchor) -> Result<OnceLock<T>> {
        let value = match anchor.object().bytes() {
            Some((bytes, size)) if size >= size_of::<T>() as u64 => bytes.cast(),
            _ if size_of::<T>() == 0 => NonNull::dangling(),
            _ => return Err(Error::Layout { detail: "a OnceLock without room for its value".into() }),
        };
        Ok(OnceLock { anchor, value })
    }

    /// The value, if it is there.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !is_done(&self.anchor) {
            return None;
        }
        // SAFETY: the block holds a `T` (checked by `of`) and lives as long as the handle; it was written before `DONE`, which we
        // have acquired, and nobody writes it after that.
        Some(unsafe { self.value.as_ref() })
    }

    /// The value; if there is none yet, what `f` returns, or what the process that is at it will have computed.
    ///
    /// # Errors
    /// As [`Once::call_once`].
    ///
    /// # Blocking
    /// As long as somebody else is at it.
    #[inline]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> Result<&T> {
        self.get_or_try_init(|| Ok(f()))
    }

    /// The same with an `f` that may fail: then there is no value, and the next one that asks tries.
    ///
    /// # Errors
    /// What `f` returns, and as [`Once::call_once`].
    ///
    /// # Blocking
    /// As long as somebody else is at it.
    pub fn get_or_try_init(&self, f: impl FnOnce() -> Result<T>) -> Result<&T> {
        if !is_done(&self.anchor) {
            run(&self.anchor, false, |_| {
                let value = f()?;
                // SAFETY: the block has the size and alignment of a `T`; the word names this thread as the one that runs, so
                // nobody else writes, and nobody reads before `DONE`.
                unsafe { self.value.write(value) };
                Ok(())
            })?;
        }
        self.get().ok_or_else(|| Error::Other("a OnceLock that is done without a value".into()))
    }

    /// Sets the value. `Ok(false)`: there is one already.
    ///
    /// # Errors
    /// As [`Once::call_once`].
    ///
    /// # Blocking
    /// As long as somebody else is at it.
    pub fn set(&self, value: T) -> Result<bool> {
        let mut mine = false;
        self.get_or_init(|| {
            mine = true;
            value
        })?;
        Ok(mine)
    }
}

impl<T: Plain> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        OnceLock { anchor: self.anchor.clone(), value: self.value }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceLock").field(value).finish(),
            None => write!(f, "OnceLock({})", describe(&self.anchor)),
        }
    }
}

impl<T: Plain> Serialize for OnceLock<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Object::serialize(self.anchor.object(), serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for OnceLock<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OnceLock<T>, D::Error> {
        let anchor = Anchor::deserialize(deserializer, &Self::plan())?;
        OnceLock::of(anchor).map_err(|e| de::Error::custom(mp_wire::carrier::refuse(e)))
    }
}

//! Locks and signals for processes that may die at any instruction.
//!
//! | type | Python | somebody dies |
//! |---|---|---|
//! | [`Mutex<T>`] | `Value(..., lock=True)` | the owner: the next one has the lock, and [`LockError::OwnerDied`] |
//! | [`RwLock<T>`] | | a writer: as with a `Mutex`; a reader: it reads no more |
//! | [`Lock`] by guard | `with lock:` | the owner: the next one has the lock, and [`LockGuard::owner_died`] |
//! | [`Lock`] by `acquire` | `acquire`, `release` | it stays taken: anybody may release it |
//! | [`RLock`] | `RLock` | the owner, at any depth: the next one has the lock, and [`RLockGuard::owner_died`] |
//! | [`Semaphore`], [`BoundedSemaphore`] by guard | | a holder: its permits return, each once |
//! | the same by `acquire` | `acquire`, `release` | nothing: anybody may release |
//! | [`Condition`] | `Condition` | a waiter: its wake-up goes to the next |
//! | [`Event`] | `Event` | nothing |
//! | [`Barrier`] | `Barrier` | one that had come, or a registered [`Party`]: the barrier is broken |
//! | [`Once`], [`OnceLock<T>`] | | who was at it: the next one does it |
//!
//! **Guards own, bare `acquire` does not.** What a guard holds belongs to its thread (a permit: to its process), and comes back when that
//! dies. What was taken by `acquire` belongs to nobody, as in Python: anybody may release it, and nobody's death does. (An
//! [`RLock`] must know its owner, so it is owned either way.) Take the bare way for signals, where one side acquires and the other
//! releases; for everything else take guards.
//!
//! No call of `notify`, `set`, `release` or of a guard's end ever waits for anybody. Timeouts are measured by a clock that only goes forward;
//! zero asks once, [`Duration::MAX`](std::time::Duration::MAX) is for ever. Whoever waits in a [`CancelToken`](mp_session::CancelToken)'s scope can be cancelled.
//!
//! All of them are handles: `Clone + Send + Sync`, and serialisable inside a message, the arguments of a process or a shared
//! container; where they arrive, they are the same lock. A lock takes no descriptor and has no name in the file
//! system; it is gone when the last handle is, or the last process.
//!
//! ```
//! use mp_sync::Mutex;
//!
//! let stock = Mutex::new(10_u32)?;
//! let workers: Vec<_> = (0..4)
//!     .map(|_| {
//!         let stock = stock.clone();                  // into a thread here, or into a process's arguments
//!         std::thread::spawn(move || -> mp_sync::Result<()> {
//!             *stock.lock()? -= 1;
//!             Ok(())
//!         })
//!     })
//!     .collect();
//! for worker in workers { worker.join().unwrap()?; }
//! assert_eq!(*stock.lock()?, 6);
//! # Ok::<(), mp_sync::Error>(())
//! ```
//!
//! # The protocol of the locks
//!
//! What follows is about [`Lock`], [`RLock`], [`Mutex`] and the writers of [`RwLock`]; the others tell theirs at the top of their files.
//!
//! A lock is one word (`word.rs`): who holds it, how, and what the next one must be told. Taking a free lock is one
//! compare-and-swap which writes the owner's name together with the claim, so there is no instant at which a lock is held
//! and its holder unknown. Giving it back is one operation that leaves the lasting flags, and one look at the wait word.
//!
//! | from | to | by |
//! |---|---|---|
//! | free | held by t, or anonymous | t, one compare-and-swap; the lasting flags stay |
//! | held by t | free | t's guard, one `and` or compare-and-swap |
//! | held by t, and t is gone | held by u, with `INCONSISTENT` in a mutex | u, compare-and-swap from exactly that word |
//! | anonymous | free | anybody, compare-and-swap |
//! | `INCONSISTENT` | not | the holder that has repaired the value |
//! | `HUNGRY` | see `hunger.rs` | |
//!
//! A name ([`ThreadId`](mp_session::ThreadId)) has a generation and is never given to two threads, so a compare-and-swap
//! from a dead owner's word can succeed once only: of all who see a death, one takes over, and the others wait for
//! it.
//!
//! # Sleeping
//!
//! Who finds the lock held enters the wait word and looks again; who gives it back frees the word and then looks for waiters.
//! Both are sequentially consistent, so one of the two sees the other (*ready-after-enter* in the session's words). The
//! woken one has no right to the lock: somebody else may have it first, and then it sleeps again, though not for
//! ever (`hunger.rs`).
//!
//! # Deaths
//!
//! Everything else follows from "the word names the owner" and "each sleeper is made to look after each death":
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | a holder | before its swap | nothing happened |
//! | | between the swap and the end | its name in the word; one takes over, with the news |
//! | | after giving it back, before it woke anybody | a free lock and sleepers, who are made to look, and one takes it |
//! | who took over | before it marked the value consistent | its own name in the word, and the flag is still there |
//! | | before it wrote the victim's pid | an older name in the next error, or none |
//! | a sleeper | asleep | it is skipped by wakers |
//! | | woken, before it took the lock | its wake-up is handed on by the session |
//! | a hungry one | any time | see `hunger.rs` |
//!
//! An owner is *gone* when its process is, on the session's two pieces of evidence, which takes well under 100 ms. A thread
//! that ends has dropped its guards, unless it leaked them. A leaked [`LockGuard`] is gone with its thread. A leaked
//! [`MutexGuard`] is not, because a `&mut T` may have been leaked with it and may be in use in another thread: the session keeps
//! the thread's name taken until the process ends.
//!
//! In a child of somebody else's `fork`, taking a lock is [`Error::ForeignFork`], and dropping the copy of a guard does
//! nothing.
//!
//! # Platform
//!
//! The same everywhere. Where the kernel does not tell of deaths (Windows), sleepers look for them, some twenty milliseconds
//! apart.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod anchor;
mod barrier;
mod condition;
mod contended;
mod embedded;
mod event;
mod guard;
mod hunger;
mod lock;
mod mutex;
mod once;
mod owner_died;
mod plain;
mod raw;
mod rlock;
mod rwlock;
mod semaphore;
mod suspend;
mod waiting;
mod word;

pub use barrier::{Barrier, Party};
pub use condition::Condition;
pub use event::Event;
pub use guard::MutexGuard;
pub use lock::{Lock, LockGuard};
pub use mp_macros::Shared;
pub use mp_session;
pub use mp_session::Shared;
pub use mp_wire::{Error, Ident, Result};
pub use mutex::Mutex;
pub use once::{Once, OnceLock, OnceState};
pub use owner_died::{LockError, OwnerDied, ValueGuard, ValueGuardMut};
pub use plain::Plain;
pub use rlock::{RLock, RLockGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Semaphore, SemaphoreGuard};
pub use suspend::Lockable;

/// For the macros, and for mp's crates that have locks in objects of their own.
#[doc(hidden)]
pub mod __private {
    pub use crate::embedded::{EmbeddedLock, Found};
    pub use crate::raw::Patience;
    pub use mp_session;
}

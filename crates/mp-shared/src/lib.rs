//! Data in memory that processes share.
//!
//! Python's `multiprocessing.shared_memory`, `Value` and `Array`, without their leaks, and sound: there is never a reference to data
//! that another process may change, unless it is atomic, locked, leased or frozen.
//!
//! | type | Python | access |
//! |---|---|---|
//! | [`Value<T>`] | `Value` | `&mut T` under its lock |
//! | [`Array<T>`], [`Slice<T>`] | `Array` | `&mut [T]` under its lock, or of a range on [lease](Array::lease) |
//! | [`Frozen<T>`] | - | `&[T]` for ever, without a lock |
//! | [`RawValue<T>`], [`RawArray<T>`] | `RawValue`, `RawArray` | atomics, without a lock |
//! | [`SharedVec<T>`] | - | as a `Vec<T>`, under its lock |
//! | [`ShareableList`] | `ShareableList` | values in and out |
//! | [`SharedMemory`] | `SharedMemory` | copies of bytes, atomic words; anonymous, or named and the same as CPython's |
//!
//! All of them are handles: `Clone + Send + Sync`, and serialisable inside a message, the arguments of a process or a shared
//! container; where they arrive, they mean the same data. Except for named memory they have no name in the file system and take no
//! descriptor, ten thousand of them neither; the memory is free when the last handle is, in whatever process, however that ended.
//!
//! ```
//! use mp_shared::{Array, Value};
//!
//! let (count, samples) = (Value::new(0_u32)?, Array::<f64>::new(1000)?);
//! let worker = {
//!     let (count, samples) = (count.clone(), samples.clone()); // or into a process's arguments
//!     std::thread::spawn(move || -> mp_shared::Result<()> {
//!         samples.lease(500..)?.fill(0.5); // the other half is somebody else's
//!         *count.lock()? += 500;
//!         Ok(())
//!     })
//! };
//! samples.lease(..500)?.fill(1.5);
//! worker.join().unwrap()?;
//! assert_eq!(samples.freeze()?.iter().sum::<f64>(), 1000.0);
//! assert_eq!(count.get()?, 500);
//! # Ok::<(), mp_shared::Error>(())
//! ```
//!
//! # What may be shared
//!
//! Types that are [`Shared`]: numbers, atomics, arrays of them, and structures that [derive](macro@Shared) it, whose layout is
//! compared wherever a handle arrives. For `bool` there is [`Flag`], for enums and `char` [`Coded`]: what comes out of shared memory is
//! checked before it is one.
//!
//! # States
//!
//! An array is *open*, partly *on lease*, or *frozen*; its lock gives all of it, and waits for leases; freezing is one step, is
//! refused while somebody uses it, and is for ever (`state.rs`). A lease names its process, is returned exactly once, and is
//! returned by the death of its process (`board.rs`). It is not sent: send the [`Slice`], and lease it where it arrives.
//!
//! # If a process dies
//!
//! Whoever locks or leases next what it held is told by [`LockError::OwnerDied`], repairs, and goes on; `?` makes it
//! [`Error::OwnerDied`]. What grows or changes in several steps ([`SharedVec`], [`ShareableList`]) is old or new, never in between.
//!
//! # Memory
//!
//! All of it is the session's, whose budget is asked when something is made: too much is an error then, never a signal later. Blocks
//! are recycled; public ones are zeroed, which costs nothing where nobody has been before. Named memory is reserved when it is made.
//!
//! | file | idea |
//! |---|---|
//! | `value`, `array`, `slice`, `frozen`, `lease` | the handles |
//! | `state`, `board` | who may touch what |
//! | `guard`, `access` | access, and what a death makes of it |
//! | `raw`, `float` | atomics |
//! | `checked` | `bool`, enums and `char` in shared memory |
//! | `vec`, `vec_guard` | growing |
//! | `item`, `list` | values of mixed types |
//! | `memory`, `words` | bytes |
//!
//! # Features
//!
//! `ndarray`: `view` and `view_mut` of guards, leases and frozen arrays as [`ndarray`](https://docs.rs/ndarray) views.
//!
//! # Platform
//!
//! The same everywhere, save for named memory: see [`SharedMemory`].

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod access;
mod array;
mod board;
mod checked;
mod float;
mod frozen;
mod guard;
mod item;
mod lease;
mod list;
mod memory;
#[cfg(feature = "ndarray")]
mod nd;
mod raw;
mod slice;
mod state;
mod value;
mod vec;
mod vec_guard;
mod words;

pub use access::{Access, LockError, LockResult, OwnerDied, TryLockResult};
pub use array::Array;
pub use checked::{Coded, Flag};
pub use float::{AtomicF32, AtomicF64};
pub use frozen::Frozen;
pub use guard::Guard;
pub use item::Item;
pub use lease::Lease;
pub use list::ShareableList;
pub use memory::SharedMemory;
pub use mp_macros::Shared;
pub use mp_session::Shared;
pub use mp_wire::{Error, Ident, Result};
#[cfg(feature = "ndarray")]
pub use nd::{View, ViewMut};
pub use raw::{Atomic, RawArray, RawValue};
pub use slice::{FrozenSlice, Slice};
pub use value::Value;
pub use vec::SharedVec;
pub use vec_guard::VecGuard;

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use mp_session;
}

//! `Lease<T>`: exclusive access to a part of an array.

use std::fmt;
use std::ops::{Deref, DerefMut, RangeBounds};
use std::ptr::NonNull;
use std::time::Duration;

use mp_session::Shared;
use mp_sync::__private::Patience;
use mp_wire::Error;

use crate::Array;
use crate::access::{Access, LockError, LockResult, OwnerDied, TryLockResult, sealed};
use crate::board::{Board, Range, Room};

/// Exclusive access to some elements of an [`Array`], while others have leases of others: a `&mut [T]`, returned by its drop.
///
/// A lease belongs to a process, so it may move between that process's threads, and does not travel in messages: send the
/// [`Slice`](crate::Slice), and lease it where it arrives. It is returned exactly once: by its drop, or by the death of
/// its process. One that is leaked is held until the process ends.
///
/// ```compile_fail,E0277
/// fn message<T: mp_wire::Message>(_: T) {}
/// message(mp_shared::Array::<u32>::new(3).unwrap().lease(..).unwrap());
/// ```
///
/// There are no two of the same:
///
/// ```compile_fail,E0599
/// let lease = mp_shared::Array::<u32>::new(3).unwrap().lease(..).unwrap();
/// let second = lease.clone();
/// ```
#[must_use = "the elements are given back as soon as the lease is dropped"]
pub struct Lease<T: Shared> {
    array: Array<T>,
    board: NonNull<Board>,
    range: Range,
    slot: usize,
    /// Slots of those who died with a part of this range.
    inherited: Vec<usize>,
}

// SAFETY: the lease is the process's; the elements are `Send`; the board is one that any thread may use.
unsafe impl<T: Shared> Send for Lease<T> {}
// SAFETY: a shared lease lets another thread read the elements, which are `Sync`.
unsafe impl<T: Shared> Sync for Lease<T> {}

impl<T: Shared> Array<T> {
    /// Takes a range of elements until the lease is dropped; others may have other ranges meanwhile.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] when somebody died with a lease of elements in this range: the lease is there all the same, in
    /// the error, and they may be half changed. Otherwise [`LockError::Failed`]: with [`Error::OwnerDied`] when all of the array is
    /// inconsistent, or the victim had more than this range (lock the array, or lease all of the victim's); with
    /// [`Error::Frozen`]; [`Error::InvalidArgument`] for a range that is not inside the array; [`Error::LimitReached`] when 256
    /// leases are out.
    ///
    /// # Blocking
    /// Until the lock is released and the leases that overlap are back, or their owners dead.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = mp_shared::Array::<u32>::new(10)?;
    /// let (mut left, mut right) = (array.lease(..5)?, array.lease(5..)?);
    /// left.fill(1);
    /// right.fill(2);
    /// assert!(array.slice(4..6)?.try_lease()?.is_none());
    /// assert!(array.freeze().is_err());
    /// drop((left, right));
    /// assert_eq!(array.freeze()?[4..6], [1, 2]);
    /// # Ok::<(), mp_shared::Error>(())
    /// ```
    pub fn lease(&self, range: impl RangeBounds<usize>) -> LockResult<Lease<T>> {
        self.slice(range)?.lease()
    }

    /// Takes a range of elements if that needs no waiting.
    ///
    /// # Errors
    /// As [`Array::lease`]; `Ok(None)` when somebody has the array or some of them.
    pub fn try_lease(&self, range: impl RangeBounds<usize>) -> TryLockResult<Lease<T>> {
        self.slice(range)?.try_lease()
    }

    /// Takes a range of elements, waiting no longer than this.
    ///
    /// # Errors
    /// As [`Array::lease`]; `Ok(None)` when the time is up.
    pub fn lease_timeout(
        &self,
        range: impl RangeBounds<usize>,
        timeout: Duration,
    ) -> TryLockResult<Lease<T>> {
        self.slice(range)?.lease_timeout(timeout)
    }
}

impl<T: Shared> Lease<T> {
    /// The protocol is told at the top of `board.rs`.
    pub(crate) fn take(array: &Array<T>, range: Range, patience: Patience) -> TryLockResult<Lease<T>> {
        let state = &array.state;
        loop {
            if !state.lock_for_lease(patience)? {
                return Ok(None);
            }
            let taken = state.board().map(|board| {
                let room = board.room_for(range);
                if let Room::Free { slot, .. } = room {
                    state.mark_leased();
                    board.take(slot, range);
                }
                (board, room)
            });
            state.unlock();
            match taken? {
                (board, Room::Free { slot, inherited }) => {
                    let victim = inherited.first().and_then(|slot| state.named(board.pid(*slot)));
                    let is_clean = inherited.is_empty();
                    let lease =
                        Lease { array: array.clone(), board: NonNull::from(board), range, slot, inherited };
                    return if is_clean {
                        Ok(Some(lease))
                    } else {
                        Err(LockError::OwnerDied(OwnerDied::new(lease, victim)))
                    };
                }
                (board, Room::Taken) => {
                    if !board.wait_for(range, patience)? {
                        return Ok(None);
                    }
                }
                (_, Room::Torn(pid)) => {
                    let who = state.named(pid);
                    return Err(LockError::Failed(Error::OwnerDied { what: state.name(), who }));
                }
                (_, Room::Full) => {
                    let detail = format!("{} are out", crate::board::SLOTS);
                    return Err(LockError::Failed(Error::LimitReached {
                        limit: "leases of an array".into(),
                        detail,
                    }));
                }
            }
        }
    }

    fn board(&self) -> &Board {
        // SAFETY: the board lies in the state that `array` keeps, which never takes it out again.
        unsafe { self.board.as_ref() }
    }

    /// The index in the array of the first element.
    pub fn start(&self) -> usize {
        self.range.start as usize
    }

    /// Says that the elements are whole again after somebody died with a lease of some of them.
    pub fn mark_consistent(&mut self) {
        for slot in std::mem::take(&mut self.inherited) {
            self.board().forget(slot);
        }
    }

    fn elements(&self) -> NonNull<[T]> {
        let first = self.array.data().cast::<T>();
        // SAFETY: the range was found to be inside the array.
        let first = unsafe { first.add(self.range.start as usize) };
        NonNull::slice_from_raw_parts(first, self.range.len as usize)
    }
}

impl<T: Shared> Deref for Lease<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: inside the array, which `array` keeps. The board names this process for this range until the drop, nobody who lives
        // has a lease that overlaps, who has the lock waits for the board to be empty, and nobody freezes meanwhile.
        unsafe { self.elements().as_ref() }
    }
}

impl<T: Shared> DerefMut for Lease<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the lease is borrowed exclusively.
        unsafe { self.elements().as_mut() }
    }
}

impl<T: Shared> Drop for Lease<T> {
    fn drop(&mut self) {
        self.board().give_back(self.slot);
    }
}

impl<T: Shared> sealed::Sealed for Lease<T> {}

impl<T: Shared> Access for Lease<T> {
    type Data = [T];

    fn data(&mut self) -> &mut [T] {
        self
    }

    fn mark_consistent(&mut self) {
        Lease::mark_consistent(self);
    }

    fn what(&self) -> String {
        format!("{}..{} of {}", self.range.start, self.range.start + self.range.len, self.array.state.name())
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

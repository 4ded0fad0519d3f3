//! The short way of bytes through a ring, when nothing is in the way: copied once on each side.
//!
//! Each of these does what the walks of [`Ring`] do if their first look finds what it hopes for, and nothing at all otherwise; then the
//! caller takes the ordinary way, which knows every case.

use mp_session::primitive::Ordering::*;
use mp_session::{CellState, Status};

use super::Ring;
use crate::parcel::{Parcel, copy_in, copy_out};
use crate::position::{Lap, Position};
use crate::size;

impl Ring {
    /// The tail and its cell, if the hint is true and there is room.
    #[inline]
    fn free_tail(&self) -> Option<(Position, Position, CellState)> {
        let at = Position::from_bits(self.tail().load(Acquire));
        let next = at.next(self.count);
        let (seen, spare) = (self.cell(at).state(), self.cell(next).state());
        let is_free = seen.status == Status::Free
            && spare.status == Status::Free
            && at.look(seen.lap) == Lap::Here
            && next.look(spare.lap) == Lap::Here;
        is_free.then_some((at, next, seen))
    }

    /// Puts the bytes of a plain value; `told` as [`mp_session::Filling::finish_bytes`] means it.
    #[inline]
    pub(crate) fn put_bytes(&self, bytes: &[u8], told: bool) -> bool {
        if bytes.len() > self.inline() {
            return false;
        }
        let Some((at, next, seen)) = self.free_tail() else { return false };
        let note = size::note(bytes.len() as u64);
        // Whatever is the matter with this thread, the long way says so.
        let Ok(Some(filling)) = self.object.claim_noted(self.cell(at), seen, note) else { return false };
        // Others need not wait for our bytes to find the next cell.
        Ring::advance(self.tail(), at, next);
        // SAFETY: the claim lets nobody else write to the cell until `finish_bytes`, and it has room for `inline` bytes.
        unsafe { copy_out(bytes, self.payload(at)) };
        filling.finish_bytes(Parcel::plain_note(bytes.len()), told);
        true
    }

    /// Takes the bytes of a plain value from the head.
    #[inline]
    pub(crate) fn take_bytes(&self) -> Option<Vec<u8>> {
        let at = Position::from_bits(self.head().load(Acquire));
        let cell = self.cell(at);
        let seen = cell.state();
        if seen.status != Status::Bytes || at.look(seen.lap) != Lap::Here {
            return None;
        }
        let note = seen.thread as u16;
        let len = Parcel::len_in(note);
        if note != Parcel::plain_note(len) || len > self.inline() {
            return None;
        }
        // SAFETY: as many bytes as fit into a cell, by the check above. They may be overwritten meanwhile, by atomics.
        let bytes = unsafe { copy_in(self.payload(at), len) };
        if !cell.take_bytes(seen) {
            return None;
        }
        Ring::advance(self.head(), at, at.next(self.count));
        Some(bytes)
    }
}

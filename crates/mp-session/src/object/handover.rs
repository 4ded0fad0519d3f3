//! Handing messages over through the cells of a ring.

use mp_wire::Result;

use super::Object;
use crate::cell::{Cell, CellState, Claim, Status};
use crate::owned::Owned;
use crate::primitive::Ordering::*;
use crate::session::Session;
use crate::table::RING_CELLS;

/// Where the note of a message is in the value of its cell: in bits that no reference has.
const NOTE_SHIFT: u32 = 36;
const NOTE: u64 = ((1 << 26) - 1) << NOTE_SHIFT;

impl Cell {
    /// The note that came with the message in the cell, if it holds one.
    #[inline]
    pub fn note(&self) -> u64 {
        (self.value.load(Acquire) & NOTE) >> NOTE_SHIFT
    }
}

impl Object {
    /// The cell at `index` of a ring ([`Shape::Ring`](crate::Shape::Ring)) with cells `stride` bytes apart.
    ///
    /// # Panics
    /// When the ring has no such cell.
    #[inline]
    pub fn ring_cell(&self, index: u64, stride: u64) -> &Cell {
        let ground = &self.0.session.0.ground;
        let block = self.entry().offset.load(Relaxed);
        ground.region.at(block + RING_CELLS + index * stride)
    }

    /// Claims a free cell for filling; [`Object::put_into`] or [`Filling::finish`] fills it.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    #[inline]
    pub fn claim_for_put<'a>(&'a self, cell: &'a Cell, seen: CellState) -> Result<Option<Filling<'a>>> {
        self.claim_noted(cell, seen, 0)
    }

    /// The same with a note that [`Object::claim_note`] tells others as long as the claim stands.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    #[inline]
    pub fn claim_noted<'a>(
        &'a self,
        cell: &'a Cell,
        seen: CellState,
        note: u64,
    ) -> Result<Option<Filling<'a>>> {
        let me = self.0.session.me()?;
        Ok(Claim::put_noted(&me.inner.ground, me.index, cell, seen, (0, note)).map(Filling))
    }

    /// The note of whoever claimed a cell that was seen claimed. `None`: the cell has changed since.
    pub fn claim_note(&self, cell: &Cell, seen: CellState) -> Option<u64> {
        crate::cell::claim_note(&self.0.session.0.ground, cell, seen)
    }

    /// Hands a message over into a free cell. `Ok(false)`: somebody else was faster.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    #[inline]
    pub fn put_into(session: &Session, cell: &Cell, seen: CellState, message: &Object) -> Result<bool> {
        Object::put_noted(session, cell, seen, message, 0)
    }

    /// The same with a note of 26 bits that [`Cell::note`] gives back while the message is in the cell.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn put_noted(
        session: &Session,
        cell: &Cell,
        seen: CellState,
        message: &Object,
        note: u64,
    ) -> Result<bool> {
        let me = session.me()?;
        let ground = &session.0.ground;
        // A count of its own for the cell: the handle that the caller holds stays what it is.
        let record = session.0.book.take(ground, &session.0.magazines)?;
        let owned = Owned { index: message.0.index, role: message.0.role };
        if let Err(e) = me.retain(owned, record) {
            session.0.book.give(record);
            return Err(e);
        }
        let put = match Claim::put_noted(ground, me.index, cell, seen, (record, note)) {
            Some(claim) => {
                claim.fill(owned.pack() | (note << NOTE_SHIFT) & NOTE, record);
                true
            }
            None => {
                me.release(owned, record);
                false
            }
        };
        session.0.book.give(record);
        Ok(put)
    }

    /// Moves what the cell `from`, seen as `seen`, holds into the cell `to`, of which the caller knows that it is free and that nobody
    /// else uses it. `copy` copies bytes behind the states, the value words included. `Ok(false)`: somebody else was faster, or there is
    /// nothing in it.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn move_between(
        session: &Session,
        from: &Cell,
        seen: CellState,
        to: &Cell,
        copy: impl FnOnce(),
    ) -> Result<bool> {
        let me = session.me()?;
        Ok(matches!(seen.status, Status::Full | Status::Bytes)
            && Claim::move_to(&me.inner.ground, me.index, (from, seen), to, copy))
    }

    /// Another handle for the message in a full cell of a ring, which the caller knows to stay there meanwhile.
    ///
    /// # Errors
    /// [`mp_wire::Error::Stale`] when there is none, and as [`Object::create`].
    pub fn share_from(session: &Session, cell: &Cell) -> Result<Object> {
        Object::share(session, session.0.ground.offset_of(&cell.value))
    }

    /// Takes a full cell: what it holds, as bytes to copy out, or as a message.
    ///
    /// # Errors
    /// As [`Object::create`]; the message stays where it is then.
    #[inline]
    pub fn claim_for_take<'a>(
        session: &'a Session,
        cell: &'a Cell,
        seen: CellState,
    ) -> Result<Option<Taking<'a>>> {
        if seen.status != Status::Full {
            return Ok(None); // bytes without a header: `Cell::take_bytes`
        }
        let me = session.me()?;
        let ground = &session.0.ground;
        if cell.value.load(Acquire) & crate::owned::INLINE != 0 {
            return Ok(
                Claim::take(ground, me.index, cell, seen, 0).map(|claim| Taking::Inline(Emptying(claim)))
            );
        }
        let record = session.0.book.take(ground, &session.0.magazines)?;
        let Some(claim) = Claim::take(ground, me.index, cell, seen, record) else {
            session.0.book.give(record);
            return Ok(None);
        };
        if claim.value() & crate::owned::INLINE != 0 {
            // Another lap than the one we looked at, which the claim would not have allowed; give it back.
            claim.give_back();
            session.0.book.give(record);
            return Ok(None);
        }
        match claim.empty_into(record) {
            Some(owned) => {
                let state = crate::table::EntryState::unpack(ground.entry(owned.index).state.load(Acquire));
                let object = Object::hold(session, owned.index, state.generation, owned.role, record);
                Ok(Some(Taking::Message(object)))
            }
            None => {
                session.0.book.give(record);
                Ok(Some(Taking::Nothing))
            }
        }
    }
}

/// A claimed cell on its way to full.
#[derive(Debug)]
pub struct Filling<'a>(Claim<'a>);

impl Filling<'_> {
    /// Publishes `header` (63 bits of the caller's choice, save bit 62) and the bytes behind the cell.
    #[inline]
    pub fn finish(self, header: u64) {
        self.0.fill(header | crate::owned::INLINE, 0);
    }

    /// Publishes the bytes that were written from the cell's second word on, and a note: the cell is [`Status::Bytes`](crate::Status::Bytes)
    /// then, and [`Cell::take_bytes`] takes them. If not `told`, a `fence(SeqCst)` has to come before anybody is woken.
    #[inline]
    pub fn finish_bytes(self, note: u16, told: bool) {
        self.0.fill_bytes(note, told);
    }
}

/// What [`Object::claim_for_take`] found.
#[derive(Debug)]
pub enum Taking<'a> {
    /// Bytes behind the cell: copy them out, then finish.
    Inline(Emptying<'a>),
    /// A message, ours now.
    Message(Object),
    /// The message was lost with a process that died.
    Nothing,
}

/// A taken cell on its way to free.
#[derive(Debug)]
pub struct Emptying<'a>(Claim<'a>);

impl Emptying<'_> {
    /// The header that [`Filling::finish`] was given.
    #[inline]
    pub fn header(&self) -> u64 {
        self.0.value() & !crate::owned::INLINE
    }

    /// Lets the cell go: the caller has copied its bytes.
    #[inline]
    pub fn finish(self) {
        self.0.empty();
    }
}

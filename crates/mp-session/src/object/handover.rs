//! Handing messages over through the cells of a ring.

use mp_wire::Result;

use super::Object;
use crate::cell::{Cell, CellState, Claim};
use crate::owned::Owned;
use crate::primitive::Ordering::*;
use crate::session::Session;
use crate::table::RING_CELLS;

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
        let me = self.0.session.me()?;
        Ok(Claim::put(&me.inner.ground, me.index, cell, seen, 0).map(Filling))
    }

    /// Hands a message over into a free cell. `Ok(false)`: somebody else was faster.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn put_into(session: &Session, cell: &Cell, seen: CellState, message: &Object) -> Result<bool> {
        let me = session.me()?;
        let ground = &session.0.ground;
        // A count of its own for the cell: the handle that the caller holds stays what it is.
        let record = session.0.book.take(ground, &session.0.magazines)?;
        let owned = Owned { index: message.0.index, role: message.0.role };
        if let Err(e) = me.retain(owned, record) {
            session.0.book.give(record);
            return Err(e);
        }
        let put = match Claim::put(ground, me.index, cell, seen, record) {
            Some(claim) => {
                claim.fill(owned.pack(), record);
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

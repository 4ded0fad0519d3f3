//! What a queue holds, asked without taking anything.

use mp_session::Role;
use mp_wire::Result;

use super::Channel;
use crate::board::Board;
use crate::position::Position;
use crate::ring::{Found, Ring, Spot};

impl Channel {
    /// How many bytes are in the queue before a position in ring `end`, or at all.
    pub(super) fn bytes_before(&self, end: Option<(usize, Position)>) -> Result<u64> {
        let mut sum = 0;
        let (mut at, mut ring) = self.rings.head()?;
        loop {
            let last = end.filter(|(last, _)| *last == at);
            sum += ring.bytes(last.map(|(_, position)| position));
            match if last.is_some() { None } else { self.rings.after(at)? } {
                Some(next) => (at, ring) = next,
                None => return Ok(sum),
            }
        }
    }

    /// Whether a take would not wait, now: what it would do, without doing it.
    pub(crate) fn would_take(&self) -> bool {
        if self.back() > 0 {
            return true;
        }
        let is_lent = || self.board().is_some_and(Board::is_lent);
        let senders = self.object.holders(Role::First);
        let Ok((mut at, mut ring)) = self.rings.head() else { return true };
        loop {
            match ring.first() {
                Found::Parcel => return true,
                Found::Empty => return senders == 0 && !is_lent(),
                Found::Busy => return false,
                Found::Moved { .. } => match self.rings.after(at) {
                    Ok(Some(next)) => (at, ring) = next,
                    Ok(None) => return !is_lent(),
                    Err(_) => return true,
                },
            }
        }
    }

    /// Where the queue ends, if nothing is in it nor on its way into it.
    pub(crate) fn end_if_drained(&self) -> Option<(usize, u64)> {
        let end = self.end_of_rings()?;
        // After the rings, for a message goes from there to the board.
        if self.board().is_some_and(Board::is_in_use) { None } else { Some(end) }
    }

    fn end_of_rings(&self) -> Option<(usize, u64)> {
        let (mut at, mut ring) = self.rings.head().ok()?;
        loop {
            match ring.first() {
                Found::Parcel | Found::Busy => return None,
                Found::Empty => return Some((at, ring.end())),
                Found::Moved { .. } => match self.rings.after(at).ok()? {
                    Some(next) => (at, ring) = next,
                    None => return Some((at, ring.end())),
                },
            }
        }
    }

    /// Calls `f` for each ring that may hold messages, until it says stop.
    fn each_ring(&self, mut f: impl FnMut(&Ring) -> bool) -> Result<()> {
        let (mut at, mut ring) = self.rings.head()?;
        while f(ring) && matches!(ring.spot(), Spot::Moved) {
            match self.rings.after(at)? {
                Some(next) => (at, ring) = next,
                None => break,
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        let mut len = self.back();
        // A broken chain has no more messages; who puts or gets is told so.
        let _ = self.each_ring(|ring| {
            len += ring.len();
            true
        });
        len
    }

    pub(crate) fn has_any(&self) -> bool {
        let mut any = self.back() > 0;
        let _ = self.each_ring(|ring| {
            any |= ring.has_any();
            !any
        });
        any
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_full()
    }

    pub(crate) fn is_full(&self) -> bool {
        let is_full = |limit| self.bytes_before(None).is_ok_and(|bytes| bytes >= limit);
        self.bytes.is_some_and(is_full)
            || self.capacity.is_some()
                && self.rings.tail().is_ok_and(|(_, ring)| matches!(ring.spot(), Spot::Full))
    }

    pub(crate) fn is_closed(&self) -> bool {
        loop {
            let Ok((at, ring)) = self.rings.tail() else { return false };
            if !matches!(ring.spot(), Spot::Moved) {
                return false;
            }
            match self.rings.after(at) {
                Ok(Some((next, _))) => self.rings.tail_is_at(next),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

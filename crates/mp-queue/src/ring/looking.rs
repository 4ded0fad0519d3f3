//! Looking into a ring without taking anything.

use mp_session::Status;
use mp_session::primitive::Ordering::*;

use super::{Found, Ring};
use crate::parcel::Parcel;
use crate::position::{Lap, Position};
use crate::size;

impl Ring {
    /// What [`Ring::take`] would find.
    pub(crate) fn first(&self) -> Found {
        let mut at = Position::from_bits(self.head().load(Acquire));
        loop {
            let seen = self.cell(at).state();
            at = match (at.look(seen.lap), seen.status) {
                (Lap::Here, Status::Full | Status::Bytes) => return Found::Parcel,
                (Lap::Past(laps), _) => self.after(at, laps),
                (Lap::Here, Status::Taken | Status::Dead) => at.next(self.count),
                (Lap::Here, Status::Claimed) => return Found::Busy,
                (Lap::Here, Status::Moved) => return Found::Moved { done: false },
                (Lap::Here, Status::Free) | (Lap::Before, _) => return Found::Empty,
            };
        }
    }

    /// How many messages are in it.
    pub(crate) fn len(&self) -> usize {
        let mut at = Position::from_bits(self.head().load(Acquire));
        let mut full = 0;
        loop {
            let seen = self.cell(at).state();
            at = match (at.look(seen.lap), seen.status) {
                (Lap::Past(laps), _) => self.after(at, laps),
                (Lap::Before, _) | (Lap::Here, Status::Free | Status::Moved) => return full,
                (Lap::Here, status) => {
                    full += usize::from(matches!(status, Status::Full | Status::Bytes));
                    at.next(self.count)
                }
            };
        }
    }

    /// How many bytes the messages in it have, those that are being put included, up to the position `end` or all of them.
    pub(crate) fn bytes(&self, end: Option<Position>) -> u64 {
        let mut at = Position::from_bits(self.head().load(Acquire));
        let mut sum = 0;
        while Some(at) != end {
            let cell = self.cell(at);
            let seen = cell.state();
            let size = match (at.look(seen.lap), seen.status) {
                (Lap::Past(laps), _) => {
                    at = self.after(at, laps);
                    continue;
                }
                (Lap::Before, _) | (Lap::Here, Status::Free | Status::Moved) => break,
                (Lap::Here, Status::Dead) => Some(0),
                (Lap::Here, Status::Bytes) => Some(Parcel::len_in(seen.thread as u16) as u64),
                (Lap::Here, Status::Claimed) => self.object.claim_note(cell, seen).map(size::of),
                // If it is put back after a death, it has to have its room still.
                (Lap::Here, Status::Full | Status::Taken) => {
                    let note = cell.note();
                    (cell.state() == seen).then(|| size::of(note))
                }
            };
            // `None`: it has changed while we looked.
            if let Some(size) = size {
                sum += size;
                at = at.next(self.count);
            }
        }
        sum
    }

    /// Whether there is a message that nobody is taking.
    pub(crate) fn has_any(&self) -> bool {
        let mut at = Position::from_bits(self.head().load(Acquire));
        loop {
            let seen = self.cell(at).state();
            at = match (at.look(seen.lap), seen.status) {
                (Lap::Here, Status::Full | Status::Bytes) => return true,
                (Lap::Past(laps), _) => self.after(at, laps),
                (Lap::Before, _) | (Lap::Here, Status::Free | Status::Moved) => return false,
                (Lap::Here, _) => at.next(self.count),
            };
        }
    }

    /// The true tail, as a number that changes with each claim.
    pub(crate) fn end(&self) -> u64 {
        let mut at = Position::from_bits(self.tail().load(Acquire));
        loop {
            let seen = self.cell(at).state();
            at = match (at.look(seen.lap), seen.status) {
                (Lap::Here, Status::Free | Status::Moved) | (Lap::Before, _) => return at.to_bits(),
                (Lap::Here, _) => at.next(self.count),
                (Lap::Past(laps), _) => at.later(laps - 1).next(self.count),
            };
        }
    }
}

//! Positions: where in the endless sequence of messages somebody is.
//!
//! The messages of a ring are numbered; number `p` lives in cell `p % count` while that cell is in its lap `p / count`. A
//! position keeps the two apart, so that going on needs no division whatever the count:
//!
//! ```text
//! lap(36) | index(28)
//! ```
//!
//! Laps go round: they are compared by their distance on a circle of 2^36. A thread would have to sleep while a ring is
//! passed 2^35 times to be misled, and even then by a hint, which nothing relies on.

/// Bits of the index: rings of up to 2^28 cells.
const INDEX_BITS: u32 = 28;
/// How many cells a ring may have.
pub(crate) const MAX_CELLS: u64 = 1 << INDEX_BITS;
const LAP_MASK: u64 = (1 << (64 - INDEX_BITS)) - 1;

/// The number of a message in its ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(u64);

/// How a cell stands to a position that maps to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lap {
    /// The cell has not come so far yet: an earlier message is in the way.
    Before,
    /// The cell is there for exactly this position.
    Here,
    /// The cell went on by so many laps: this position is history.
    Past(u64),
}

impl Position {
    pub(crate) fn from_bits(bits: u64) -> Position {
        Position(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn index(self) -> u64 {
        self.0 & (MAX_CELLS - 1)
    }

    fn lap(self) -> u64 {
        self.0 >> INDEX_BITS
    }

    /// The position after this one, in a ring of `count` cells.
    #[inline]
    pub(crate) fn next(self, count: u64) -> Position {
        if self.index() + 1 < count {
            Position(self.0 + 1)
        } else {
            Position(((self.lap() + 1) & LAP_MASK) << INDEX_BITS)
        }
    }

    /// Whether the bits of a cell's state say that it is free for exactly this position: [`Position::look`] and the status in one.
    #[inline]
    pub(crate) fn is_free_in(self, state: u64) -> bool {
        // A cell's lap has 44 bits, of which a position knows the lower ones; the thread and the status of a free cell are 0.
        (state ^ self.lap() << 20) << (44 - (64 - INDEX_BITS)) == 0
    }

    /// The same cell, so many laps later.
    pub(crate) fn later(self, laps: u64) -> Position {
        Position(((self.lap() + laps) & LAP_MASK) << INDEX_BITS | self.index())
    }

    /// What the lap of its cell means for this position.
    #[inline]
    pub(crate) fn look(self, cell_lap: u64) -> Lap {
        match cell_lap.wrapping_sub(self.lap()) & LAP_MASK {
            0 => Lap::Here,
            ahead if ahead <= LAP_MASK / 2 => Lap::Past(ahead),
            _ => Lap::Before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_session::{CellState, Status};

    #[test]
    fn positions_count_in_the_ring() {
        let mut p = Position::from_bits(0);
        for lap in 0..3 {
            for index in 0..5 {
                assert_eq!((p.lap(), p.index()), (lap, index));
                p = p.next(5);
            }
        }
        assert_eq!(p, Position::from_bits(0).later(3));
    }

    #[test]
    fn laps_are_compared_on_a_circle() {
        let p = Position::from_bits(0).later(7);
        assert_eq!(p.look(7), Lap::Here);
        assert_eq!(p.look(9), Lap::Past(2));
        assert_eq!(p.look(6), Lap::Before);
        let last = Position::from_bits(u64::MAX << INDEX_BITS);
        assert_eq!(last.look(LAP_MASK), Lap::Here);
        assert_eq!(last.look(LAP_MASK + 1), Lap::Past(1), "a cell's lap has more bits");
        assert_eq!(last.look(0), Lap::Past(1));
        assert_eq!(Position::from_bits(0).look(LAP_MASK), Lap::Before);
        assert_eq!(last.next(1), Position::from_bits(0));
    }

    #[test]
    fn free_is_the_lap_and_nothing_else() {
        for at in [Position::from_bits(0), Position::from_bits(0).later(7), Position::from_bits(u64::MAX)] {
            let lap = at.lap();
            for (cell_lap, free) in [(lap, true), (lap | 1 << 36, true), (lap + 1, false), (lap ^ 1, false)] {
                let state = |thread, status| CellState { lap: cell_lap, thread, status }.pack();
                assert_eq!(at.is_free_in(state(0, Status::Free)), free);
                assert_eq!(free, at.look(cell_lap) == Lap::Here);
                assert!(!at.is_free_in(state(3, Status::Claimed)) && !at.is_free_in(state(0, Status::Moved)));
            }
        }
    }
}

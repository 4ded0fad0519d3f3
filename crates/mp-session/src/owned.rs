//! A reference as it lies in shared memory: a word that owns one count of an object.
//!
//! Ledger records, the lists in messages and the values of cells are such words. 0 owns nothing.

use crate::ids::Role;

const ROLE: u64 = 1 << 32;
/// Written by a taker that has not committed yet: not counted ([`crate::cell`]).
const TENTATIVE: u64 = 1 << 33;
/// A permit of the object, not a reference to it ([`crate::permit`]).
const PERMIT: u64 = 1 << 34;
/// In the value of a cell: bytes follow the cell, no reference.
pub(crate) const INLINE: u64 = 1 << 62;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owned {
    pub(crate) index: u32,
    pub(crate) role: Role,
}

impl Owned {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.index + 1) | if self.role == Role::Second { ROLE } else { 0 }
    }

    pub(crate) fn tentative(self) -> u64 {
        self.pack() | TENTATIVE
    }

    /// The counted reference in a word, if there is one.
    pub(crate) fn unpack(word: u64) -> Option<Owned> {
        if word & (TENTATIVE | PERMIT | INLINE) != 0 {
            return None;
        }
        let index = (word as u32).checked_sub(1)?;
        Some(Owned { index, role: Role::from_bit(word >> 32) })
    }
}

/// The record of a permit of the object at `index`.
pub(crate) fn permit(index: u32) -> u64 {
    u64::from(index + 1) | PERMIT
}

/// Of which object a record holds a permit.
pub(crate) fn permit_of(word: u64) -> Option<u32> {
    if word & PERMIT != 0 && word & INLINE == 0 { (word as u32).checked_sub(1) } else { None }
}

//! What a message's priority may be.

use std::cmp::Reverse;

use mp_wire::Message;

/// The priority of a message in a [`PriorityQueue`](crate::PriorityQueue): least first.
///
/// Priorities are compared in shared memory by processes that do not read the message, so each has a *rank*, a number that is
/// less exactly if the priority is. Numbers, characters and truth values have one, pairs of them, and [`Reverse`] of any of them for
/// greatest first. Floating-point numbers are ordered by `total_cmp`.
///
/// # Examples
///
/// ```
/// use mp_queue::Priority;
/// use std::cmp::Reverse;
///
/// assert!((-5_i64).rank() < 3_i64.rank());
/// assert!((1_u8, 9_u32).rank() < (2_u8, 0_u32).rank());
/// assert!(Reverse(7_u64).rank() < Reverse(3_u64).rank());
/// assert!((-0.5_f64).rank() < 0.25_f64.rank());
/// ```
pub trait Priority: Message {
    /// Less for what comes first; equal for equals.
    fn rank(&self) -> u128;
}

/// A priority whose rank fits into 64 bits: the parts of a pair.
pub trait NarrowPriority: Priority {
    /// The rank, in fewer bits.
    fn narrow_rank(&self) -> u64;
}

macro_rules! priorities {
    ($($type:ty: |$value:ident| $rank:expr;)*) => { $(
        impl Priority for $type {
            #[inline]
            fn rank(&self) -> u128 {
                u128::from(self.narrow_rank())
            }
        }
        impl NarrowPriority for $type {
            #[inline]
            fn narrow_rank(&self) -> u64 {
                let $value = *self;
                $rank
            }
        }
    )* };
}

/// Where zero is among the ranks of signed numbers.
const MIDDLE: u64 = 1 << 63;

priorities! {
    bool: |v| u64::from(v);
    char: |v| u64::from(u32::from(v));
    u8: |v| u64::from(v);
    u16: |v| u64::from(v);
    u32: |v| u64::from(v);
    u64: |v| v;
    usize: |v| v as u64;
    i8: |v| (i64::from(v) as u64) ^ MIDDLE;
    i16: |v| (i64::from(v) as u64) ^ MIDDLE;
    i32: |v| (i64::from(v) as u64) ^ MIDDLE;
    i64: |v| (v as u64) ^ MIDDLE;
    isize: |v| (v as i64 as u64) ^ MIDDLE;
    f32: |v| f64::from(v).narrow_rank();
    // Negative numbers grow with their bits, the other way round.
    f64: |v| if v.is_sign_negative() { !v.to_bits() } else { v.to_bits() | MIDDLE };
}

impl Priority for u128 {
    fn rank(&self) -> u128 {
        *self
    }
}

impl Priority for i128 {
    fn rank(&self) -> u128 {
        (*self as u128) ^ 1 << 127
    }
}

impl<A: NarrowPriority, B: NarrowPriority> Priority for (A, B) {
    #[inline]
    fn rank(&self) -> u128 {
        u128::from(self.0.narrow_rank()) << 64 | u128::from(self.1.narrow_rank())
    }
}

impl<P: Priority> Priority for Reverse<P> {
    #[inline]
    fn rank(&self) -> u128 {
        !self.0.rank()
    }
}

impl<P: NarrowPriority> NarrowPriority for Reverse<P> {
    #[inline]
    fn narrow_rank(&self) -> u64 {
        !self.0.narrow_rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_are_ordered_as_the_values(a: (i64, i32), b: (i64, i32), x: f64, y: f64, i: i128, j: i128) {
            prop_assert_eq!(a.rank().cmp(&b.rank()), a.cmp(&b));
            prop_assert_eq!(Reverse(a.0).rank().cmp(&Reverse(b.0).rank()), b.0.cmp(&a.0));
            prop_assert_eq!(x.rank().cmp(&y.rank()), x.total_cmp(&y));
            prop_assert_eq!(i.rank().cmp(&j.rank()), i.cmp(&j));
        }
    }
}

//! Sizes in few bits: what a message counts for in a queue that is bounded by bytes.
//!
//! ```text
//! exponent(6) | mantissa(20)
//! ```
//!
//! Sizes up to a mebibyte are exact, larger ones are rounded up, by a millionth at most.

const MANTISSA_BITS: u32 = 20;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;

/// The note of a size.
#[inline]
pub(crate) fn note(size: u64) -> u64 {
    if size <= MANTISSA {
        return size;
    }
    let mut exponent = 64 - size.leading_zeros() - MANTISSA_BITS;
    // Shifts, for a division takes longer than all the rest of a put.
    let mut mantissa = ((size - 1) >> exponent) + 1;
    if mantissa > MANTISSA {
        exponent += 1;
        mantissa = mantissa.div_ceil(2);
    }
    u64::from(exponent) << MANTISSA_BITS | mantissa
}

/// The size that a note tells of.
pub(crate) fn of(note: u64) -> u64 {
    (note & MANTISSA) << (note >> MANTISSA_BITS & 0x3F)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sizes_are_kept_or_rounded_up(bits in 0_u32..34, below: u64) {
            let size = below & ((1 << bits) - 1);
            let kept = super::of(super::note(size));
            prop_assert!(kept >= size && kept <= size + size / (1 << 19), "{size}: {kept}");
            prop_assert!(size >= 1 << 20 || kept == size);
            prop_assert!(super::note(size) < 1 << 26);
        }
    }
}

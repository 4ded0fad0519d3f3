//! Atomic floats.

use mp_session::primitive::user::{AtomicU32, AtomicU64, Ordering};
use std::fmt;

use mp_macros::Shared;

macro_rules! atomic_float {
    ($name:ident, $float:ident, $bits:ident, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Operations are those of [`std::sync::atomic`]'s integers; what adds does so by compare-and-swap.
        #[derive(Default, Shared)]
        #[repr(transparent)]
        #[shared(crate = "crate")]
        pub struct $name($bits);

        impl $name {
            /// A new one.
            pub const fn new(value: $float) -> $name {
                $name($bits::new(value.to_bits()))
            }

            /// The value.
            #[inline]
            pub fn load(&self, order: Ordering) -> $float {
                $float::from_bits(self.0.load(order))
            }

            /// Another value.
            #[inline]
            pub fn store(&self, value: $float, order: Ordering) {
                self.0.store(value.to_bits(), order);
            }

            /// Another value; returns the one that was there.
            #[inline]
            pub fn swap(&self, value: $float, order: Ordering) -> $float {
                $float::from_bits(self.0.swap(value.to_bits(), order))
            }

            /// Adds to it; returns what was there.
            #[inline]
            pub fn fetch_add(&self, value: $float, order: Ordering) -> $float {
                let add = |bits| Some(($float::from_bits(bits) + value).to_bits());
                match self.0.fetch_update(order, Ordering::Relaxed, add) {
                    // The closure never refuses.
                    Ok(before) | Err(before) => $float::from_bits(before),
                }
            }
        }

        impl From<$float> for $name {
            fn from(value: $float) -> $name {
                $name::new(value)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.load(Ordering::Relaxed).fmt(f)
            }
        }
    };
}

atomic_float!(AtomicF32, f32, AtomicU32, "An `f32` that any process may read and write at any time.");
atomic_float!(AtomicF64, f64, AtomicU64, "An `f64` that any process may read and write at any time.");

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::Relaxed;

    #[test]
    fn floats_add_up_from_many_threads() {
        let sum = AtomicF64::new(0.5);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..1000 {
                        sum.fetch_add(1.0, Relaxed);
                    }
                });
            }
        });
        assert_eq!(sum.load(Relaxed), 4000.5);
        assert_eq!(sum.swap(2.0, Relaxed), 4000.5);
        assert_eq!(format!("{sum:?}"), "2.0");
        let small = AtomicF32::from(1.5);
        small.store(-small.load(Relaxed), Relaxed);
        assert_eq!(small.fetch_add(1.0, Relaxed), -1.5);
    }
}

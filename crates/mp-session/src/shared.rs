//! What may lie in shared memory and be looked at through a reference: plain data, of a layout that both sides check.

use std::marker::PhantomData;
use std::num::Wrapping;

use crate::object::{FINGERPRINT_BITS, fingerprint};
use crate::primitive::user::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize,
};

/// Plain data that several processes may share.
///
/// Implemented for integers, floats, arrays of them and the atomics of [`std::sync::atomic`]; structures of yours derive
/// it (`#[derive(mp::Shared)]`, on `#[repr(C)]` and fields that are `Shared`). `bool`, `char` and enums are not among them: a
/// byte of shared memory may hold what is no value of theirs. `mp_shared` has `Flag` and `Coded`, which check on reading.
///
/// # Safety
///
/// - Every sequence of initialised bytes of the right length is a value of the type (so no `bool`, `char`, enum or reference).
/// - It means the same in every process (so no pointer, no descriptor, no index into something of this process).
/// - It has no drop glue that matters: values are overwritten and forgotten, never dropped.
/// - [`LAYOUT`](Shared::LAYOUT) differs for types whose fields lie differently.
///
/// Padding is allowed: values are only ever reached as values of their type, so padding is never read.
///
/// # Examples
///
/// What points elsewhere cannot be shared:
///
/// ```compile_fail,E0277
/// fn shared<T: mp_session::Shared>(_: T) {}
/// shared("bob");
/// ```
///
/// Nor can what not every byte is a value of:
///
/// ```compile_fail,E0277
/// fn shared<T: mp_session::Shared>(_: T) {}
/// shared(true);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in shared memory",
    label = "not plain data",
    note = "integers, floats, atomics, arrays of them, and `#[repr(C)]` structures that derive `Shared` can; what owns memory or points to it cannot",
    note = "in place of `bool` use `mp_shared::Flag`, in place of an enum or `char` use `mp_shared::Coded`"
)]
pub unsafe trait Shared: Sized + Send + Sync + 'static {
    /// A number for how the type lies in memory; the derive computes it from the names, places and layouts of the fields.
    const LAYOUT: u64 = layout::opaque(size_of::<Self>(), align_of::<Self>());
}

/// A number of [`Object::expect`](crate::Object::expect) for objects that hold `T`: its name and its layout.
pub fn layout_fingerprint<T: Shared>() -> u64 {
    (fingerprint::<T>() ^ (T::LAYOUT >> (64 - FINGERPRINT_BITS))) & ((1 << FINGERPRINT_BITS) - 1)
}

/// Numbers for layouts, computed by the compiler.
#[doc(hidden)]
pub mod layout {
    /// FNV-1a over eight bytes.
    const fn mix(mut hash: u64, word: u64) -> u64 {
        let bytes = word.to_le_bytes();
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        hash
    }

    /// The layout of a type that tells nothing but its size.
    pub const fn opaque(size: usize, align: usize) -> u64 {
        mix(mix(0xcbf2_9ce4_8422_2325, size as u64), align as u64)
    }

    /// One more field: its name, where it begins, and its layout.
    pub const fn field(hash: u64, name: &str, offset: usize, layout: u64) -> u64 {
        let (mut hash, bytes) = (hash, name.as_bytes());
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        mix(mix(hash, offset as u64), layout)
    }

    /// So many of a type, side by side.
    pub const fn array(element: u64, count: usize) -> u64 {
        mix(mix(element, 0xA11A), count as u64)
    }
}

macro_rules! shared {
    ($($code:literal $type:ty),+ $(,)?) => { $(
        // SAFETY: a number or an atomic one: every bit pattern is one, it points nowhere, it has no drop glue.
        unsafe impl Shared for $type {
            const LAYOUT: u64 = layout::field(layout::opaque(size_of::<$type>(), align_of::<$type>()), $code, 0, 0);
        }
    )+ };
}

shared! {
    "unit" (),
    "u" u8, "u" u16, "u" u32, "u" u64, "u" u128, "u" usize,
    "i" i8, "i" i16, "i" i32, "i" i64, "i" i128, "i" isize,
    "f" f32, "f" f64,
    "au" AtomicU8, "au" AtomicU16, "au" AtomicU32, "au" AtomicU64, "au" AtomicUsize,
    "ai" AtomicI8, "ai" AtomicI16, "ai" AtomicI32, "ai" AtomicI64, "ai" AtomicIsize,
}

// SAFETY: as its one field.
unsafe impl<T: Shared> Shared for Wrapping<T> {
    const LAYOUT: u64 = T::LAYOUT;
}

// SAFETY: elements side by side, each of them shared.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {
    const LAYOUT: u64 = layout::array(T::LAYOUT, N);
}

// SAFETY: as its one element. Longer tuples are left out: two builds of a program may order their elements differently.
unsafe impl<T: Shared> Shared for (T,) {
    const LAYOUT: u64 = T::LAYOUT;
}

// SAFETY: no bytes at all.
unsafe impl<T: Send + Sync + 'static> Shared for PhantomData<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_tell_types_apart() {
        let all = [
            u8::LAYOUT,
            i8::LAYOUT,
            u32::LAYOUT,
            f32::LAYOUT,
            <[u8; 4]>::LAYOUT,
            <[u32; 2]>::LAYOUT,
            u64::LAYOUT,
            <[[u8; 2]; 3]>::LAYOUT,
            <[[u8; 3]; 2]>::LAYOUT,
        ];
        let distinct: std::collections::HashSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(<(u32,)>::LAYOUT, u32::LAYOUT);
        assert_ne!(layout_fingerprint::<u32>(), layout_fingerprint::<[u32; 1]>());
    }

    #[test]
    fn a_field_counts_by_name_place_and_layout() {
        let base = layout::opaque(8, 4);
        let x = layout::field(base, "x", 0, u32::LAYOUT);
        assert_ne!(x, layout::field(base, "y", 0, u32::LAYOUT));
        assert_ne!(x, layout::field(base, "x", 4, u32::LAYOUT));
        assert_ne!(x, layout::field(base, "x", 0, f32::LAYOUT));
    }
}

//! What may lie in a mutex: plain data.

use std::num::Wrapping;

/// Plain data that several processes may share through a [`Mutex`](crate::Mutex).
///
/// Implemented for integers, floats, and arrays of them. It says the least that a mutex needs, and
/// will give way to a trait with a derive once shared data has a crate of its own.
///
/// # Safety
///
/// Every sequence of bytes of the right length is a value of the type (so no `bool`, `char`, enum or reference), it
/// means the same in every process (so no pointer, descriptor or index into something of this process), and it has
/// the same layout in every process of the session.
///
/// # Examples
///
/// A structure of your own, until there is a derive:
///
/// ```
/// #[derive(Clone, Copy)]
/// #[repr(C)]
/// struct Stock { apples: u32, pears: u32 }
///
/// // SAFETY: two integers, side by side.
/// unsafe impl mp_sync::Plain for Stock {}
///
/// let stock = mp_sync::Mutex::new(Stock { apples: 3, pears: 4 })?;
/// stock.lock()?.pears -= 1;
/// # Ok::<(), mp_sync::Error>(())
/// ```
///
/// What points elsewhere cannot be shared:
///
/// ```compile_fail,E0277
/// let names = mp_sync::Mutex::new("bob");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in shared memory",
    label = "not plain data",
    note = "integers, floats, and arrays of them can; what owns memory or points to it cannot"
)]
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($type:ty),+) => { $(
        // SAFETY: a number: every bit pattern is one, and it points nowhere.
        unsafe impl Plain for $type {}
    )+ };
}

plain!((), u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

// SAFETY: as its one field.
unsafe impl<T: Plain> Plain for Wrapping<T> {}

// SAFETY: elements side by side, each of them plain.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

// SAFETY: as its one element. Longer tuples are left out: two builds of a program may order their elements differently.
unsafe impl<T: Plain> Plain for (T,) {}

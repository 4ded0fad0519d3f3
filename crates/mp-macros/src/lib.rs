//! The macros of the mp crates, re-exported by those that have a use for them: [`macro@main`],
//! [`derive(Output)`](derive@Output) and [`derive(Shared)`](derive@Shared).
//!
//! Procedural macros know no `$crate`. What these expand to names the crate by which the user depends on mp, which
//! `home.rs` finds out, or is told by `crate = "..."`. The generated code relies on three things there: `__private::init`,
//! `__private::mp_wire` and `__private::mp_session`.

#![forbid(unsafe_code)]

mod entry;
mod home;
mod output;
mod shared;

use proc_macro::TokenStream;

/// Makes the program able to have children: put it on `fn main`.
///
/// The same as calling `mp::init()` in its first line: in a child process that does not return, so nothing of `main`
/// runs there. It composes with the attributes of asynchronous runtimes, in either order, and a child does not
/// start a runtime.
///
/// # Arguments
///
/// `crate = "path"`: where mp is, if the macro cannot find it in `Cargo.toml`.
///
/// # Examples
///
/// ```
/// # mod mp { pub mod __private { pub fn init() { super::super::CALLED.store(true, std::sync::atomic::Ordering::SeqCst); } } }
/// # static CALLED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
/// #[mp_macros::main(crate = "crate::mp")]
/// fn main() -> Result<(), std::num::ParseIntError> {
///     let n: u32 = "42".parse()?;
///     assert_eq!(n, 42);
///     # assert!(CALLED.load(std::sync::atomic::Ordering::SeqCst));
///     Ok(())
/// }
/// ```
///
/// With a runtime:
///
/// ```ignore
/// #[mp::main]
/// #[tokio::main]
/// async fn main() { /* ... */ }
/// ```
///
/// It belongs on `main`, an asynchronous one needs a runtime, and there is one argument:
///
/// ```compile_fail
/// # mod mp { pub mod __private { pub fn init() {} } }
/// #[mp_macros::main(crate = "crate::mp")]
/// fn start() {}
/// # fn main() {}
/// ```
///
/// ```compile_fail
/// # mod mp { pub mod __private { pub fn init() {} } }
/// #[mp_macros::main(crate = "crate::mp")]
/// async fn main() {}
/// ```
///
/// ```compile_fail
/// # mod mp { pub mod __private { pub fn init() {} } }
/// #[mp_macros::main(flavor = "crate::mp")]
/// fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, function: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), function.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Lets functions in other processes return the type by value.
///
/// A function there returns a value or a `Result`; this says that the type is a value. It needs serde's `Serialize` and
/// `Deserialize`, too.
///
/// # Arguments
///
/// `#[output(crate = "path")]` on the type: where mp is, if the macro cannot find it in `Cargo.toml`.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, mp_macros::Output)]
/// struct Point { x: f64, y: f64 }
///
/// #[derive(Serialize, Deserialize, mp_macros::Output)]
/// #[serde(bound = "T: mp_wire::Message")]
/// enum Tree<T> { Leaf(T), Fork(Vec<Tree<T>>) }
///
/// fn returns<T: mp_wire::Output>(_: fn() -> T) {}
/// returns(|| Point { x: 1.0, y: 2.0 });
/// returns(|| Tree::Fork(vec![Tree::Leaf("a".to_owned())]));
/// ```
///
/// What cannot travel is refused:
///
/// ```compile_fail,E0277
/// #[derive(mp_macros::Output)]
/// struct Local;
/// ```
#[proc_macro_derive(Output, attributes(output))]
pub fn derive_output(item: TokenStream) -> TokenStream {
    output::expand(item.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Lets values of the structure lie in shared memory.
///
/// Every field must be `Shared`: numbers, atomics, arrays of them, other structures that derive it. The structure says
/// `#[repr(C)]` or `#[repr(transparent)]`, so that its fields lie where they are written down. A number made of their names,
/// places and layouts is compared wherever a handle to such data arrives.
///
/// # Arguments
///
/// `#[shared(crate = "path")]` on the structure: where mp is, if the macro cannot find it in `Cargo.toml`.
///
/// # Examples
///
/// ```
/// #[derive(Clone, Copy, mp_macros::Shared)]
/// #[repr(C)]
/// struct Point { x: f64, y: f64 }
///
/// #[derive(mp_macros::Shared)]
/// #[repr(C)]
/// struct Track<T> { length: std::sync::atomic::AtomicU64, last: [T; 4] }
///
/// fn shared<T: mp_session::Shared>() {}
/// shared::<Point>();
/// shared::<Track<Point>>();
/// ```
///
/// The order of fields must be fixed:
///
/// ```compile_fail
/// #[derive(mp_macros::Shared)]
/// struct Point { x: f64, y: f64 }
/// ```
///
/// Not every byte is a `bool`, so another process could put one there that is none; the same holds for enums:
///
/// ```compile_fail,E0277
/// #[derive(mp_macros::Shared)]
/// #[repr(C)]
/// struct Switch { on: bool }
/// ```
///
/// ```compile_fail
/// #[derive(mp_macros::Shared)]
/// #[repr(u8)]
/// enum Colour { Red, Green }
/// ```
///
/// References and what owns memory mean nothing elsewhere:
///
/// ```compile_fail,E0277
/// #[derive(mp_macros::Shared)]
/// #[repr(C)]
/// struct Person { name: String }
/// ```
///
/// Fields of a packed structure cannot be referred to:
///
/// ```compile_fail
/// #[derive(mp_macros::Shared)]
/// #[repr(C, packed)]
/// struct Tight { tag: u8, value: u64 }
/// ```
///
/// Values in shared memory are never dropped, so there may be nothing to do when they are:
///
/// ```compile_fail
/// #[derive(mp_macros::Shared)]
/// #[repr(C)]
/// struct Loud { value: u64 }
/// impl Drop for Loud { fn drop(&mut self) {} }
/// ```
#[proc_macro_derive(Shared, attributes(shared))]
pub fn derive_shared(item: TokenStream) -> TokenStream {
    shared::expand(item.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}

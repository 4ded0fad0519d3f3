//! What can run in another process, and how it is named across the two.
//!
//! A target is a function item or a closure that captures nothing: a type without a value. So nothing of it has to
//! cross but its name, and the name is the address of the shim below, monomorphised for it, as a distance from one static.
//! The child runs the same image (that is proven by its identity, [`crate::child`]), so the distance leads to the same shim,
//! which makes the value-less value again and calls it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use mp_wire::{Codec, Error, Message, Outcome, Output, Result};

use crate::panics;

/// A function that can run in another process: a `fn` or a closure that captures nothing, with up to twelve arguments.
///
/// What it would capture goes into its arguments: they are sent. A capturing closure does not compile:
///
/// ```compile_fail
/// let x = 5;
/// let _ = mp_process::Process::spawn(move |y: u32| x + y, (1,));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run in another process with the arguments `{Args}`",
    note = "a target is a function or a closure that captures nothing; it takes the elements of the tuple of arguments",
    note = "arguments implement serde's `Serialize` and `Deserialize`, what is returned implements `mp::Output`"
)]
pub trait Target<Args>: Copy + Send + 'static {
    /// What it returns.
    type Output: Output;

    /// Calls it.
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! targets {
    ($($arg:ident)*) => {
        impl<F, R, $($arg),*> Target<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> R + Copy + Send + 'static,
            R: Output,
        {
            type Output = R;

            #[allow(non_snake_case, reason = "the arguments are named like their types")]
            fn call(self, ($($arg,)*): ($($arg,)*)) -> R {
                self($($arg),*)
            }
        }
    };
}

targets!();
targets!(T1);
targets!(T1 T2);
targets!(T1 T2 T3);
targets!(T1 T2 T3 T4);
targets!(T1 T2 T3 T4 T5);
targets!(T1 T2 T3 T4 T5 T6);
targets!(T1 T2 T3 T4 T5 T6 T7);
targets!(T1 T2 T3 T4 T5 T6 T7 T8);
targets!(T1 T2 T3 T4 T5 T6 T7 T8 T9);
targets!(T1 T2 T3 T4 T5 T6 T7 T8 T9 T10);
targets!(T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11);
targets!(T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12);

/// A struct that can run in another process, as a subclass of Python's `Process` with its `run` method.
///
/// # Examples
///
/// ```
/// use mp_process::{Process, Run};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greeter { name: String }
///
/// impl Run for Greeter {
///     type Output = String;
///     fn run(self) -> String { format!("hello {}", self.name) }
/// }
/// ```
pub trait Run: Message {
    /// What it returns.
    type Output: Output;

    /// What it does in the other process.
    fn run(self) -> Self::Output;
}

/// What a shim gives back: payload (an [`Outcome`] and, if that is a value, the value), its codec, its handles.
#[derive(Debug)]
pub struct Produced {
    /// The bytes.
    pub payload: Vec<u8>,
    /// How the value in them is encoded.
    pub codec: Codec,
    /// Handles in the value.
    pub exports: Vec<Box<dyn Any + Send>>,
    /// What the process exits with.
    pub code: i32,
}

/// A shim: decodes the arguments, calls, encodes what came of it. Never panics.
pub type Shim = fn(Codec, &[u8], Vec<Box<dyn Any + Send>>) -> Produced;

/// The one address from which shims are measured. A static, for functions may be duplicated by the compiler.
static BASE: u8 = 0;

/// A shim's name: its distance from one static of this crate.
pub fn name_of(shim: Shim) -> i64 {
    (shim as usize as i64).wrapping_sub((&raw const BASE) as usize as i64)
}

/// The name of a target's shim.
pub fn name_of_target<F: Target<A>, A: Message>(target: F) -> i64 {
    name_of(shim::<F, A>(target))
}

/// The shim of that name.
///
/// # Safety
/// `name` is what [`name_of`] returned in a process that runs this very image.
pub unsafe fn shim_of(name: i64) -> Shim {
    let address = name.wrapping_add((&raw const BASE) as usize as i64) as usize;
    // SAFETY: by the caller's promise this is the address of a function of that type.
    unsafe { std::mem::transmute::<usize, Shim>(address) }
}

/// The shim of a target, which must have no value.
pub(crate) fn shim<F: Target<A>, A: Message>(_: F) -> Shim {
    const {
        assert!(
            size_of::<F>() == 0,
            "a target must be a function or a closure that captures nothing, not a function pointer"
        );
    }
    |codec, bytes, imports| {
        // SAFETY: `F` has no size, is `Copy`, and a value of it was handed to `shim` in the process that sent us here.
        let target = unsafe { NonNull::<F>::dangling().as_ptr().read() };
        produce::<A, F::Output>(codec, bytes, imports, |args| target.call(args))
    }
}

/// The shim of a struct that runs.
pub(crate) fn run_shim<S: Run>() -> Shim {
    |codec, bytes, imports| produce::<S, S::Output>(codec, bytes, imports, S::run)
}

/// Decodes, calls and encodes.
pub fn produce<A: Message, R: Output>(
    codec: Codec,
    bytes: &[u8],
    imports: Vec<Box<dyn Any + Send>>,
    call: impl FnOnce(A) -> R,
) -> Produced {
    let args = match mp_wire::decode::<A>(codec, bytes, imports) {
        Ok(args) => args,
        Err(error) => return Produced::failed(error),
    };
    self::call(args, call)
}

/// Calls, and encodes what came of it.
pub fn call<A, R: Output>(args: A, call: impl FnOnce(A) -> R) -> Produced {
    match catch_unwind(AssertUnwindSafe(|| call(args).into_result())) {
        Ok(Ok(value)) => Produced::value(&value).unwrap_or_else(Produced::failed),
        Ok(Err(failure)) => Produced::without_value(&Outcome::Failure(failure), FAILED),
        Err(payload) => Produced::without_value(&Outcome::Panic(panics::report(payload.as_ref())), PANICKED),
    }
}

/// Exit code of a process whose function returned an error.
const FAILED: i32 = 1;
/// Exit code of a process whose function panicked: what Rust programs use.
const PANICKED: i32 = 101;

impl Produced {
    /// A value.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn value<T: Message>(value: &T) -> Result<Produced> {
        let mut payload = Vec::new();
        Outcome::Value.encode(&mut payload);
        let encoded = mp_wire::encode(value, &mut payload)?;
        Ok(Produced { payload, codec: encoded.codec, exports: encoded.exports, code: 0 })
    }

    /// An error of ours rather than the function's.
    pub fn failed(error: Error) -> Produced {
        Produced::without_value(&Outcome::Failure(mp_wire::Failure::capture(error)), FAILED)
    }

    /// An outcome that is no value.
    pub fn without_value(outcome: &Outcome, code: i32) -> Produced {
        let mut payload = Vec::new();
        outcome.encode(&mut payload);
        Produced { payload, codec: Codec::Plain, exports: Vec::new(), code }
    }
}

/// The value in what a shim produced.
///
/// # Errors
/// [`Error::Failed`], [`Error::Panicked`], [`Error::Decode`].
pub fn read<T: Message>(
    codec: Codec,
    payload: &[u8],
    imports: impl FnOnce() -> Result<Vec<Box<dyn Any + Send>>>,
) -> Result<T> {
    let (outcome, at) = Outcome::decode(payload);
    outcome.into_result()?;
    mp_wire::decode(codec, &payload[at..], imports()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(a: u32, b: u32) -> u32 {
        a + b
    }

    fn call<A: Message, T: Message>(shim: Shim, args: &A) -> Result<T> {
        let mut bytes = Vec::new();
        let encoded = mp_wire::encode(args, &mut bytes)?;
        // SAFETY: named in this process.
        let shim = unsafe { shim_of(name_of(shim)) };
        let produced = shim(encoded.codec, &bytes, Vec::new());
        read(produced.codec, &produced.payload, || Ok(Vec::new()))
    }

    #[test]
    fn functions_and_closures_are_called_by_name() {
        assert_eq!(call::<_, u32>(shim::<_, (u32, u32)>(add), &(2_u32, 3_u32)).unwrap(), 5);
        let text = call::<_, String>(shim(|s: String| s.to_uppercase()), &("abc".to_owned(),));
        assert_eq!(text.unwrap(), "ABC");
        assert!(call::<_, ()>(shim(|| ()), &()).is_ok());
    }

    #[test]
    fn errors_and_panics_come_back_as_what_they_are() {
        let failed = call::<_, u8>(shim(|| Err::<u8, _>(std::io::Error::other("no luck"))), &());
        assert!(matches!(&failed, Err(Error::Failed(f)) if f.message == "no luck"), "{failed:?}");
        let panicked = call::<_, u8>(shim(|x: u8| if x == 1 { panic!("at the disco") } else { x }), &(1_u8,));
        assert!(matches!(&panicked, Err(Error::Panicked(p)) if p.message == "at the disco"), "{panicked:?}");
        let misread = call::<_, u8>(shim(|s: String| s.len() as u8), &(vec![255_u8; 3],));
        assert!(
            matches!(&misread, Err(Error::Failed(f)) if matches!(f.source.as_deref(), Some(Error::Decode { .. })))
        );
    }
}

//! What a worker calls: a shim for each function, which takes the arguments of a batch, calls the function with each, and writes down
//! what came of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use mp_process::__private::{name_of, panic_report, shim_of};
use mp_process::Target;
use mp_wire::{Codec, Failure, Message, Outcome, Output, Result};

use crate::parcel::Work;
use crate::worker::Port;

/// Does the tasks of a batch, as many as it can claim.
pub(crate) type TaskShim = fn(&Work<'_>, &mut Port<'_>) -> Result<()>;

/// A task shim's name, to be sent to workers.
pub(crate) fn name(shim: TaskShim) -> i64 {
    // SAFETY: only the address is used: it is turned back into a `TaskShim` by `of_name`, never called as it is here.
    name_of(unsafe { std::mem::transmute::<TaskShim, mp_process::__private::Shim>(shim) })
}

/// The task shim of that name.
///
/// # Safety
/// `name` is what [`name`] returned in a process that runs this image.
pub(crate) unsafe fn of_name(name: i64) -> TaskShim {
    // SAFETY: by the caller's promise; the detour over `Shim` changes the type and not the address.
    unsafe { std::mem::transmute::<mp_process::__private::Shim, TaskShim>(shim_of(name)) }
}

/// # Safety
/// A value of `F` exists, in this or in the process that sent us here.
pub(crate) unsafe fn conjure<F: Copy>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "a task must be a function or a closure that captures nothing, not a function pointer"
        );
    }
    // SAFETY: it has no size, so nothing is read; that such a value may exist is the caller's promise.
    unsafe { NonNull::<F>::dangling().as_ptr().read() }
}

/// Tasks whose arguments are tuples.
pub(crate) fn star<F: Target<A>, A: Message>(_: F) -> TaskShim {
    |work, port| {
        // SAFETY: the pool was given a value of `F`.
        let target = unsafe { conjure::<F>() };
        each_task(work, port, |args: A| target.call(args))
    }
}

/// Tasks of one argument.
pub(crate) fn each<F, A, R>(_: F) -> TaskShim
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Message,
    R: Output,
{
    |work, port| {
        // SAFETY: as above.
        let f = unsafe { conjure::<F>() };
        each_task(work, port, f)
    }
}

/// How a task ended that was begun.
pub(crate) enum Done {
    /// With a value that is a word of so many bytes, which are not among the bytes.
    Word(u64, usize),
    Value(Codec, Vec<Box<dyn Any + Send>>),
    Else(Box<Outcome>),
}

#[inline]
fn each_task<A: Message, R: Output>(work: &Work<'_>, port: &mut Port<'_>, f: impl Fn(A) -> R) -> Result<()> {
    let mut bytes = Vec::new();
    while let Some(task) = port.claim() {
        bytes.clear();
        let done = guarded(&mut bytes, || {
            let argument = work.argument::<A>(task).map_err(Failure::capture)?;
            f(argument).into_result()
        });
        port.done(work.first + task, done, &bytes)?;
    }
    Ok(())
}

/// Decoding, the function, and encoding what it returned: all of them are the user's, and may panic.
#[inline]
pub(crate) fn guarded<T: Message>(
    bytes: &mut Vec<u8>,
    run: impl FnOnce() -> std::result::Result<T, Failure>,
) -> Done {
    let caught = catch_unwind(AssertUnwindSafe(|| match run() {
        Ok(value) => match mp_wire::encode_word(&value) {
            Some((word, length)) => Done::Word(word, length),
            None => match mp_wire::encode(&value, bytes) {
                Ok(encoded) => Done::Value(encoded.codec, encoded.exports),
                Err(error) => Done::Else(Box::new(Outcome::Failure(Failure::capture(error)))),
            },
        },
        Err(failure) => Done::Else(Box::new(Outcome::Failure(failure))),
    }));
    caught.unwrap_or_else(|payload| {
        let report = panic_report(payload.as_ref());
        // Its destructor is the user's, too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        Done::Else(Box::new(Outcome::Panic(report)))
    })
}

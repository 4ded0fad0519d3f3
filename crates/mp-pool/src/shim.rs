//! What a worker calls: shims for single tasks and for chunks of a map.
//!
//! A chunk's arguments travel as one `Vec<A>` and its values as one `Vec<R>`, so numbers are copied as memory. Only when an
//! element fails does the chunk come back element by element:
//!
//! ```text
//! chunk   := 100 payload of the vector                  all went well
//!          | 101 (codec(1) exports(4) length(4) payload)* one after the other, each payload an outcome and maybe a value
//!          | an outcome (which starts with a lower number)     the whole chunk failed
//! ```

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use mp_process::__private::{Produced, name_of, produce, read, shim_of};
use mp_process::Target;
use mp_wire::{Codec, Error, Message, Output, Result};

const ALL_WELL: u8 = 100;
const MIXED: u8 = 101;

/// As [`mp_process::__private::Shim`], with the word in which the element at work is noted.
pub(crate) type TaskShim = fn(Codec, &[u8], Vec<Box<dyn Any + Send>>, &AtomicU64) -> Produced;

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
unsafe fn conjure<F: Copy>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "a task must be a function or a closure that captures nothing, not a function pointer"
        );
    }
    // SAFETY: it has no size, so nothing is read; that such a value may exist is the caller's promise.
    unsafe { NonNull::<F>::dangling().as_ptr().read() }
}

/// A single task: arguments as a tuple.
pub(crate) fn single<F: Target<A>, A: Message>(_: F) -> TaskShim {
    |codec, bytes, imports, _| {
        // SAFETY: the pool was given a value of `F`.
        let target = unsafe { conjure::<F>() };
        produce::<A, F::Output>(codec, bytes, imports, |args| target.call(args))
    }
}

/// A chunk of a map: `F` is called with each element of a vector.
pub(crate) fn chunk<F, A, R>(_: F) -> TaskShim
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Message,
    R: Output,
{
    |codec, bytes, imports, progress| {
        // SAFETY: as above.
        let f = unsafe { conjure::<F>() };
        run_chunk(codec, bytes, imports, progress, f)
    }
}

/// A chunk of a starmap: each element is a tuple of arguments.
pub(crate) fn star_chunk<F: Target<A>, A: Message>(_: F) -> TaskShim {
    |codec, bytes, imports, progress| {
        // SAFETY: as above.
        let f = unsafe { conjure::<F>() };
        run_chunk(codec, bytes, imports, progress, |args: A| f.call(args))
    }
}

fn run_chunk<A: Message, R: Output>(
    codec: Codec,
    bytes: &[u8],
    imports: Vec<Box<dyn Any + Send>>,
    progress: &AtomicU64,
    f: impl Fn(A) -> R,
) -> Produced {
    let args: Vec<A> = match mp_wire::decode(codec, bytes, imports) {
        Ok(args) => args,
        Err(error) => return Produced::failed(error),
    };
    let mut values: Vec<R::Value> = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    // The way on which all goes well, with one landing place for a panic.
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        for arg in args.by_ref() {
            progress.store(values.len() as u64, Relaxed);
            match f(arg).into_result() {
                Ok(value) => values.push(value),
                Err(failure) => return Some(mp_wire::Outcome::Failure(failure)),
            }
        }
        None
    }));
    let failed = match stopped {
        Ok(None) => {
            let mut payload = vec![ALL_WELL];
            return match mp_wire::encode(&values, &mut payload) {
                Ok(e) => Produced { payload, codec: e.codec, exports: e.exports, code: 0 },
                Err(error) => Produced::failed(error),
            };
        }
        Ok(Some(failure)) => failure,
        Err(panic) => mp_wire::Outcome::Panic(mp_process::__private::panic_report(panic.as_ref())),
    };
    let mut mixed = Mixed { payload: vec![MIXED], exports: Vec::new() };
    let mut count = 0;
    for value in values {
        mixed.push(Produced::value(&value).unwrap_or_else(Produced::failed));
        count += 1;
    }
    mixed.push(Produced::without_value(&failed, 0));
    for arg in args {
        count += 1;
        progress.store(count, Relaxed);
        mixed.push(mp_process::__private::call(arg, &f));
    }
    Produced { payload: mixed.payload, codec: Codec::Plain, exports: mixed.exports, code: 0 }
}

struct Mixed {
    payload: Vec<u8>,
    exports: Vec<Box<dyn Any + Send>>,
}

impl Mixed {
    fn push(&mut self, one: Produced) {
        self.payload.push(one.codec as u8);
        self.payload.extend_from_slice(&(one.exports.len() as u32).to_le_bytes());
        self.payload.extend_from_slice(&(one.payload.len() as u32).to_le_bytes());
        self.payload.extend_from_slice(&one.payload);
        self.exports.extend(one.exports);
    }
}

/// The values of a chunk that should have `expected` of them.
pub(crate) fn read_chunk<T: Message>(
    codec: Codec,
    payload: &[u8],
    imports: Vec<Box<dyn Any + Send>>,
    expected: usize,
) -> Result<Vec<Result<T>>> {
    let bad = || Error::Decode {
        type_name: std::any::type_name::<Vec<T>>().into(),
        detail: "a malformed chunk".into(),
    };
    match payload.split_first() {
        Some((&ALL_WELL, rest)) => {
            let values: Vec<T> = mp_wire::decode(codec, rest, imports)?;
            if values.len() == expected { Ok(values.into_iter().map(Ok).collect()) } else { Err(bad()) }
        }
        Some((&MIXED, mut rest)) => {
            let mut imports = imports.into_iter();
            let mut values = Vec::with_capacity(expected.min(rest.len()));
            while !rest.is_empty() {
                let (head, tail) = rest.split_first_chunk::<9>().ok_or_else(bad)?;
                let count = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
                let length = u32::from_le_bytes([head[5], head[6], head[7], head[8]]) as usize;
                let (payload, tail) = tail.split_at_checked(length).ok_or_else(bad)?;
                let own = imports.by_ref().take(count).collect();
                values.push(read::<T>(Codec::try_from(head[0])?, payload, || Ok(own)));
                rest = tail;
            }
            if values.len() == expected { Ok(values) } else { Err(bad()) }
        }
        _ => {
            mp_wire::Outcome::decode(payload).0.into_result()?;
            Err(bad())
        }
    }
}

/// A single task of a lazy map: one item, not a tuple.
pub(crate) fn each<F, A, R>(_: F) -> TaskShim
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: Message,
    R: Output,
{
    |codec, bytes, imports, _| {
        // SAFETY: as above.
        let f = unsafe { conjure::<F>() };
        produce::<A, R>(codec, bytes, imports, f)
    }
}

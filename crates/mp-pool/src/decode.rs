//! Results, decoded. This runs where the caller is, outside of the pool's lock: it is the user's code.

use mp_session::{Error, Message, Result};
use mp_wire::{Codec, Outcome};

use crate::job::Arrival;
use crate::record::Span;

/// Calls `each` with the number and the result of every task in there, in the order of their numbers.
pub(crate) fn each<T: mp_wire::Message>(arrival: &Arrival, mut each: impl FnMut(u64, Result<T>)) {
    match arrival {
        Arrival::Never { tasks, error } => tasks.clone().for_each(|task| each(task, Err(error.clone()))),
        Arrival::Results { first, span } => {
            let number = first + u64::from(span.task());
            match span {
                Span::Run { stride, codec, bytes, .. } => {
                    for (i, value) in bytes.chunks_exact((*stride).max(1) as usize).enumerate() {
                        each(number + i as u64, mp_wire::decode(*codec, value, Vec::new()));
                    }
                }
                Span::Value { codec, bytes, .. } => each(number, mp_wire::decode(*codec, bytes, Vec::new())),
                Span::Large { message, .. } => {
                    each(number, message.as_ref().map_err(Clone::clone).and_then(Message::decode));
                }
                Span::Outcome { bytes, .. } => each(number, failure(bytes)),
            }
        }
    }
}

fn failure<T>(bytes: &[u8]) -> Result<T> {
    Outcome::decode(bytes).0.into_result()?;
    Err(Error::Decode { type_name: "Outcome".into(), detail: "a value where an error should be".into() })
}

/// The values of a run, all or none: with numbers it is a copy of memory.
pub(crate) fn run<T: mp_wire::Message>(
    stride: u32,
    codec: Codec,
    bytes: &[u8],
    to: &mut Vec<T>,
) -> Result<()> {
    // Rows of numbers are plain data themselves; of other types this is an error, and they are read one by one.
    if codec == Codec::Plain
        && stride as usize == size_of::<T>()
        && let Ok(all) = mp_wire::decode::<Vec<T>>(Codec::Plain, bytes, Vec::new())
    {
        to.extend(all);
        return Ok(());
    }
    to.reserve(bytes.len() / stride.max(1) as usize);
    for value in bytes.chunks_exact(stride.max(1) as usize) {
        to.push(mp_wire::decode(codec, value, Vec::new())?);
    }
    Ok(())
}

/// The result of a call with one task.
pub(crate) fn single<T: mp_wire::Message>(arrived: &[Arrival], _: u64) -> Result<T> {
    let mut found = None;
    arrived.iter().for_each(|arrival| each(arrival, |_, result| found = Some(result)));
    found.unwrap_or_else(|| Err(missing()))
}

/// The values of a call with many tasks, or the first error in their order.
pub(crate) fn values<T: mp_wire::Message>(arrived: &[Arrival], count: u64) -> Result<Vec<T>> {
    results(arrived, count)?.into_iter().collect()
}

/// The results of a call with many tasks.
pub(crate) fn results<T: mp_wire::Message>(arrived: &[Arrival], count: u64) -> Result<Vec<Result<T>>> {
    let mut all: Vec<Option<Result<T>>> = Vec::new();
    all.resize_with(count as usize, || None);
    for arrival in arrived {
        each(arrival, |number, result| {
            if let Some(slot) = all.get_mut(number as usize) {
                *slot = Some(result);
            }
        });
    }
    Ok(all.into_iter().map(|slot| slot.unwrap_or_else(|| Err(missing()))).collect())
}

#[cold]
fn missing() -> Error {
    Error::Other("a task without a result".into())
}

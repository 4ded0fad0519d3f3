//! Eager maps: the items in chunks, a chunk a task.
//!
//! When a worker dies over a chunk, the element at which it was is lost with an error that says so; those before and
//! after it are sent again, in a chunk of their own. (Those before had been done, but their values died with the worker.)

use std::collections::VecDeque;

use mp_session::{Error, Result};

use crate::core::{Core, Reply};
use crate::pool::submit;
use crate::shim::{TaskShim, read_chunk};

struct Chunk<A> {
    /// Where its first item belongs.
    start: usize,
    items: Vec<A>,
}

pub(crate) fn map<A, T>(core: &Core, shim: TaskShim, items: Vec<A>, size: usize) -> Result<Vec<Result<T>>>
where
    A: mp_wire::Message,
    T: mp_wire::Message,
{
    let total = items.len();
    let mut values: Vec<Option<Result<T>>> = Vec::with_capacity(total);
    values.resize_with(total, || None);
    let mut items = items.into_iter();
    let mut start = 0;
    let mut tickets: VecDeque<u64> = VecDeque::new();
    let mut chunks: VecDeque<Chunk<A>> = VecDeque::new();
    let window = core.window();
    let outcome = loop {
        while tickets.len() < window && start < total {
            let part: Vec<A> = items.by_ref().take(size).collect();
            let count = part.len();
            if let Err(error) =
                send(core, shim, Chunk { start, items: part }, &mut tickets, &mut chunks, &mut values)
            {
                // Nothing more can be sent: what is under way is still waited for.
                fill(&mut values, start..total, &error);
                start = total;
                break;
            }
            start += count;
        }
        let Some(ticket) = tickets.pop_front() else { break Ok(()) };
        let Some(chunk) = chunks.pop_front() else { break Ok(()) };
        let reply = match core.wait(ticket, None) {
            Ok(Some(reply)) => reply,
            Ok(None) => break Err(Error::TimedOut { what: "a chunk of a map".into() }),
            Err(error) => break Err(error),
        };
        let range = chunk.start..chunk.start + chunk.items.len();
        match reply {
            Reply::Delivered(d) => {
                let read =
                    d.bytes().and_then(|b| read_chunk::<T>(d.codec, b, d.imports()?, chunk.items.len()));
                match read {
                    Ok(read) => {
                        for (slot, value) in values[range].iter_mut().zip(read) {
                            *slot = Some(value);
                        }
                    }
                    Err(error) => fill(&mut values, range, &error),
                }
            }
            Reply::Refused(error) => fill(&mut values, range, &error),
            Reply::Lost { error, element } => {
                let at = (element as usize).min(chunk.items.len().saturating_sub(1));
                values[chunk.start + at] = Some(Err(error));
                let mut before = chunk.items;
                let after = before.split_off((at + 1).min(before.len()));
                before.truncate(at);
                let parts = [(chunk.start, before), (chunk.start + at + 1, after)];
                for (start, items) in parts.into_iter().filter(|(_, items)| !items.is_empty()) {
                    let range = start..start + items.len();
                    if let Err(error) =
                        send(core, shim, Chunk { start, items }, &mut tickets, &mut chunks, &mut values)
                    {
                        fill(&mut values, range, &error);
                    }
                }
            }
        }
    };
    tickets.into_iter().for_each(|t| core.abandon(t));
    outcome?;
    let missing = || Err(Error::Other("an item without a result".into()));
    Ok(values.into_iter().map(|v| v.unwrap_or_else(missing)).collect())
}

fn send<A: mp_wire::Message, T>(
    core: &Core,
    shim: TaskShim,
    chunk: Chunk<A>,
    tickets: &mut VecDeque<u64>,
    chunks: &mut VecDeque<Chunk<A>>,
    values: &mut [Option<Result<T>>],
) -> Result<()> {
    match submit(core, shim, &chunk.items) {
        Ok(ticket) => {
            tickets.push_back(ticket);
            chunks.push_back(chunk);
            Ok(())
        }
        // An argument that cannot be sent is its chunk's error, not the map's.
        Err(error @ Error::Encode { .. }) => {
            fill(values, chunk.start..chunk.start + chunk.items.len(), &error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn fill<T>(values: &mut [Option<Result<T>>], range: std::ops::Range<usize>, error: &Error) {
    for slot in &mut values[range] {
        *slot = Some(Err(error.clone()));
    }
}

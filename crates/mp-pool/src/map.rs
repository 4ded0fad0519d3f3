//! Eager maps: all results, in order.

use std::collections::BTreeMap;
use std::time::Instant;

use mp_session::{Error, Result};

use crate::decode;
use crate::flow::{Flow, Pacing};
use crate::job::Arrival;
use crate::record::Span;
use crate::task::{LARGEST_BUNDLE, OnError};

/// How an eager map takes its input: it is going to need all of it anyway.
pub(crate) fn pacing(workers: usize, items: usize) -> Pacing {
    let workers = workers.max(1) as u64;
    let largest = (items as u64 / (4 * workers)).clamp(1, 8192).min(LARGEST_BUNDLE.into()) as u32;
    Pacing {
        window: workers * 4 * u64::from(largest).max(64),
        largest: largest.max(64),
        first: largest.min(1024),
    }
}

/// Values in the order of their tasks, put together from rows that come in any order.
struct Rows<T>(BTreeMap<u64, Vec<T>>);

impl<T: mp_wire::Message> Rows<T> {
    /// The row that ends where the tasks from `number` on begin.
    fn before(&mut self, number: u64) -> &mut Vec<T> {
        let before = self.0.range(..=number).next_back().map(|(start, row)| (*start, row.len() as u64));
        let start = match before {
            Some((start, length)) if start + length == number => start,
            _ => number,
        };
        self.0.entry(start).or_default()
    }

    /// Takes values in; the error of the first task that has one instead.
    fn add(&mut self, arrival: &Arrival) -> Result<()> {
        if let Arrival::Results { first, span: Span::Run { task, stride, codec, bytes } } = arrival {
            return decode::run(*stride, *codec, bytes, self.before(first + u64::from(*task)));
        }
        let mut failed = Ok(());
        decode::each(arrival, |number, result| match result {
            Ok(value) => self.before(number).push(value),
            Err(error) if failed.is_ok() => failed = Err(error),
            Err(_) => {}
        });
        failed
    }

    fn into_values(self) -> Vec<T> {
        let mut rows = self.0.into_values();
        let mut all = rows.next().unwrap_or_default();
        rows.for_each(|mut row| all.append(&mut row));
        all
    }
}

/// The values, or the error that became known first.
pub(crate) fn values<I, A, T>(mut flow: Flow<I>, policy: OnError) -> Result<Vec<T>>
where
    I: Iterator<Item = A>,
    A: mp_wire::Message,
    T: mp_wire::Message,
{
    let mut rows = Rows(BTreeMap::new());
    let mut failed = Ok(());
    drive(&mut flow, |arrival| {
        let added = rows.add(arrival);
        if failed.is_ok() {
            failed = added;
        }
        if policy == OnError::Finish { Ok(()) } else { failed.clone() }
    })?;
    failed.map(|()| rows.into_values())
}

/// The results of all tasks.
pub(crate) fn results<I, A, T>(mut flow: Flow<I>, policy: OnError) -> Result<Vec<Result<T>>>
where
    I: Iterator<Item = A>,
    A: mp_wire::Message,
    T: mp_wire::Message,
{
    let mut all: Vec<Option<Result<T>>> = Vec::new();
    let mut stop = false;
    loop {
        if stop {
            // What was not even sent is cancelled like the rest.
            flow.items = None;
        }
        let over = step(&mut flow, |arrival| {
            decode::each(arrival, |number, result| {
                stop |= result.is_err() && policy == OnError::CancelRest;
                let at = number as usize;
                if all.len() <= at {
                    all.resize_with(at + 1, || None);
                }
                all[at] = Some(result);
            });
            Ok(())
        })?;
        if over {
            break;
        }
    }
    Ok(all.into_iter().map(|slot| slot.unwrap_or(Err(Error::Cancelled))).collect())
}

fn drive<I, A>(flow: &mut Flow<I>, mut each: impl FnMut(&Arrival) -> Result<()>) -> Result<()>
where
    I: Iterator<Item = A>,
    A: mp_wire::Message,
{
    while !step(flow, &mut each)? {}
    Ok(())
}

/// Sends what may be sent, and takes what has come. `true`: that was all.
fn step<I, A>(flow: &mut Flow<I>, mut each: impl FnMut(&Arrival) -> Result<()>) -> Result<bool>
where
    I: Iterator<Item = A>,
    A: mp_wire::Message,
{
    // What came is as good as handed out: it is kept in any case.
    flow.given = flow.received;
    flow.fill(|_| false);
    if flow.is_over() {
        return Ok(true);
    }
    let under_way = flow.under_way();
    // More input is sent when half of what is under way came back; when all was sent there is time until all is there.
    let enough = if flow.items.is_some() { under_way / 2 } else { under_way };
    let workers = flow.core.processes().max(1) as u64;
    let patience = if flow.items.is_some() { enough / workers } else { u64::MAX };
    for arrival in flow.receive(enough.max(1), patience, None::<Instant>)?.unwrap_or_default() {
        each(&arrival)?;
    }
    Ok(flow.is_over())
}

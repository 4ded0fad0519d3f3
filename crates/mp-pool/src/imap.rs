//! Lazy maps: as many tasks under way as keep the workers busy, no more.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

use mp_session::{Error, Result};

use crate::decode;
use crate::flow::{Flow, Pacing};
use crate::job::Arrival;

/// Items under way for each worker by default.
const AHEAD: usize = 64;

/// How a lazy map takes its input.
pub(crate) fn pacing(workers: usize, read_ahead: Option<usize>) -> Pacing {
    let workers = workers.max(1);
    let window = read_ahead.unwrap_or(AHEAD * workers).max(1) as u64;
    let largest = (window / (2 * workers as u64)).clamp(1, 1024) as u32;
    Pacing { window, largest, first: 1 }
}

/// The iterator of [`Pool::imap`](crate::Pool::imap). Dropping it takes back what nobody has begun.
///
/// It knows its length if its input does, so a progress bar can show how far it is.
pub struct Imap<I, T> {
    flow: Flow<I>,
    /// Results that came, from the next one on; `None` for those that did not.
    ready: VecDeque<Option<Result<T>>>,
    /// The number of the first of them.
    next: u64,
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> Imap<I, T> {
    pub(crate) fn new(flow: Flow<I>) -> Self {
        Imap { flow, ready: VecDeque::new(), next: 0 }
    }

    /// As `next`, but not longer than that (Python's `next(timeout)`).
    ///
    /// # Errors
    /// [`Error::TimedOut`] if the next result is not there in time, in which case one may ask again; the task's error.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<T>> {
        self.advance(Instant::now().checked_add(timeout))
    }

    fn store(&mut self, arrived: &[Arrival]) {
        for arrival in arrived {
            decode::each(arrival, |number, result| {
                let at = number.saturating_sub(self.next) as usize;
                if self.ready.len() <= at {
                    self.ready.resize_with(at + 1, || None);
                }
                self.ready[at] = Some(result);
            });
        }
    }

    fn advance(&mut self, deadline: Option<Instant>) -> Option<Result<T>> {
        loop {
            if let Some(Some(_)) = self.ready.front() {
                self.next += 1;
                self.flow.given += 1;
                return self.ready.pop_front().flatten();
            }
            match arrivals(&mut self.flow, deadline)? {
                Ok(arrived) => self.store(&arrived),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Sends what may be sent, and waits until something has come; `None` when nothing can come any more.
fn arrivals<I: Iterator<Item = A>, A: mp_wire::Message>(
    flow: &mut Flow<I>,
    deadline: Option<Instant>,
) -> Option<Result<Vec<Arrival>>> {
    let mut early = Vec::new();
    flow.fill(|flow| {
        early.extend(flow.receive_now());
        !early.is_empty()
    });
    if !early.is_empty() {
        return Some(Ok(early));
    }
    if flow.is_over() {
        return None;
    }
    Some(flow.receive(1, 0, deadline).and_then(|arrived| arrived.ok_or_else(late)))
}

#[cold]
fn late() -> Error {
    Error::TimedOut { what: "the next result of a lazy map".into() }
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> Iterator for Imap<I, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.advance(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        hint(&self.flow, (self.flow.taken - self.next) as usize)
    }
}

/// What remains of the input, and what was taken of it and not handed out.
fn hint<I: Iterator>(flow: &Flow<I>, inside: usize) -> (usize, Option<usize>) {
    let (low, high) = flow.items.as_ref().map_or((0, Some(0)), Iterator::size_hint);
    (low.saturating_add(inside), high.and_then(|high| high.checked_add(inside)))
}

/// The iterator of [`Pool::imap_unordered`](crate::Pool::imap_unordered).
pub struct ImapUnordered<I, T> {
    flow: Flow<I>,
    ready: VecDeque<Result<T>>,
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> ImapUnordered<I, T> {
    pub(crate) fn new(flow: Flow<I>) -> Self {
        ImapUnordered { flow, ready: VecDeque::new() }
    }

    /// As [`Imap::next_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<T>> {
        self.advance(Instant::now().checked_add(timeout))
    }

    fn store(&mut self, arrived: &[Arrival]) {
        for arrival in arrived {
            decode::each(arrival, |_, result| self.ready.push_back(result));
        }
    }

    fn advance(&mut self, deadline: Option<Instant>) -> Option<Result<T>> {
        loop {
            if let Some(result) = self.ready.pop_front() {
                self.flow.given += 1;
                return Some(result);
            }
            match arrivals(&mut self.flow, deadline)? {
                Ok(arrived) => self.store(&arrived),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> Iterator for ImapUnordered<I, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.advance(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        hint(&self.flow, self.flow.under_way() as usize + self.ready.len())
    }
}

impl<I, A, T> ExactSizeIterator for Imap<I, T>
where
    I: ExactSizeIterator<Item = A>,
    A: mp_wire::Message,
    T: mp_wire::Message,
{
}

impl<I, A, T> ExactSizeIterator for ImapUnordered<I, T>
where
    I: ExactSizeIterator<Item = A>,
    A: mp_wire::Message,
    T: mp_wire::Message,
{
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> FusedIterator for Imap<I, T> {}
impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> FusedIterator for ImapUnordered<I, T> {}

impl<I, T> fmt::Debug for Imap<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("next", &self.next)
            .field("taken", &self.flow.taken)
            .finish_non_exhaustive()
    }
}

impl<I, T> fmt::Debug for ImapUnordered<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapUnordered").field("taken", &self.flow.taken).finish_non_exhaustive()
    }
}

//! Lazy maps: as many tasks under way as keep the workers busy, no more.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::sync::Arc;

use mp_session::{Error, Result};

use crate::core::Core;
use crate::pool::submit;
use crate::results::read_single;
use crate::shim::TaskShim;

/// What both kinds share: the input, and what is under way.
struct Flow<I, A> {
    core: Arc<Core>,
    shim: TaskShim,
    items: Option<I>,
    /// Tickets, or the error of an item that could not even be sent.
    under_way: VecDeque<std::result::Result<u64, Error>>,
    item: PhantomData<fn(A)>,
}

impl<I: Iterator<Item = A>, A: mp_wire::Message> Flow<I, A> {
    fn new(core: Arc<Core>, shim: TaskShim, items: I) -> Self {
        Flow { core, shim, items: Some(items), under_way: VecDeque::new(), item: PhantomData }
    }

    fn fill(&mut self) {
        let window = self.core.window();
        while self.under_way.len() < window {
            let Some(items) = &mut self.items else { return };
            match items.next() {
                Some(item) => self.under_way.push_back(submit(&self.core, self.shim, &item)),
                None => self.items = None,
            }
        }
    }
}

impl<I, A> Drop for Flow<I, A> {
    fn drop(&mut self) {
        for ticket in self.under_way.drain(..).flatten() {
            self.core.abandon(ticket);
        }
    }
}

/// What an iterator is to the compiler besides its fields: it borrows the pool and makes values.
type Borrowing<'p, T> = PhantomData<(&'p (), fn() -> T)>;

/// The iterator of [`Pool::imap`](crate::Pool::imap). Dropping it takes back what nobody has begun.
pub struct Imap<'p, I, A, T> {
    flow: Flow<I, A>,
    value: Borrowing<'p, T>,
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> Imap<'_, I, A, T> {
    pub(crate) fn new(core: Arc<Core>, shim: TaskShim, items: I) -> Self {
        Imap { flow: Flow::new(core, shim, items), value: PhantomData }
    }
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> Iterator for Imap<'_, I, A, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.flow.fill();
        Some(match self.flow.under_way.pop_front()? {
            Ok(ticket) => self.flow.core.wait(ticket, None).and_then(read_single),
            Err(error) => Err(error),
        })
    }
}

/// The iterator of [`Pool::imap_unordered`](crate::Pool::imap_unordered).
pub struct ImapUnordered<'p, I, A, T> {
    flow: Flow<I, A>,
    value: Borrowing<'p, T>,
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> ImapUnordered<'_, I, A, T> {
    pub(crate) fn new(core: Arc<Core>, shim: TaskShim, items: I) -> Self {
        ImapUnordered { flow: Flow::new(core, shim, items), value: PhantomData }
    }
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> Iterator
    for ImapUnordered<'_, I, A, T>
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.flow.fill();
        let under_way = &mut self.flow.under_way;
        if let Some(at) = under_way.iter().position(std::result::Result::is_err) {
            return under_way.remove(at)?.err().map(Err);
        }
        if under_way.is_empty() {
            return None;
        }
        let found = self.flow.core.wait_any(&self.flow.under_way, None);
        Some(match found {
            Ok(Some((at, reply))) => {
                self.flow.under_way.remove(at);
                read_single(Some(reply))
            }
            Ok(None) => read_single(None),
            Err(error) => {
                self.flow.under_way.pop_front();
                Err(error)
            }
        })
    }
}

impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> FusedIterator for Imap<'_, I, A, T> {}
impl<I: Iterator<Item = A>, A: mp_wire::Message, T: mp_wire::Message> FusedIterator
    for ImapUnordered<'_, I, A, T>
{
}

impl<I, A, T> fmt::Debug for Imap<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap").field("under_way", &self.flow.under_way.len()).finish_non_exhaustive()
    }
}

impl<I, A, T> fmt::Debug for ImapUnordered<'_, I, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapUnordered").field("under_way", &self.flow.under_way.len()).finish_non_exhaustive()
    }
}

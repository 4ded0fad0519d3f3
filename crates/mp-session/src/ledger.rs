//! The ledger: which references each process holds.
//!
//! A record is an [`Owned`](crate::owned::Owned) word. A process writes only its own records; a sweeper releases them
//! after its death. Some records lie in the member's slot, the rest in chunks on the heap, each twice the last, whose
//! offsets the slot keeps. A chunk counts once its offset has bit 0 set, which says that it was zeroed.

use crate::primitive::Ordering::*;

use mp_wire::Result;
use parking_lot::Mutex;

use crate::ground::Ground;
use crate::heap::{Magazines, Tag};
use crate::owned::{Owned, permit_of};
use crate::slots::FIRST_LEDGER;

pub(crate) const READY: u64 = 1;

fn chunk_records(chunk: usize) -> u64 {
    128 << chunk
}

/// This process's free records.
#[derive(Debug)]
pub(crate) struct Book {
    member: u32,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    free: Vec<u64>,
    chunks: usize,
}

impl Book {
    pub(crate) fn new(ground: &Ground, member: u32) -> Book {
        let free = ground.member(member).ledger_first.iter().rev().map(|w| ground.offset_of(w)).collect();
        Book { member, pages: Mutex::new(Pages { free, chunks: 0 }) }
    }

    /// An empty record: the offset of its word.
    pub(crate) fn take(&self, ground: &Ground, magazines: &Magazines) -> Result<u64> {
        let mut pages = self.pages.lock();
        if let Some(record) = pages.free.pop() {
            return Ok(record);
        }
        let slot = ground.member(self.member);
        let chunk = pages.chunks;
        let Some(note) = slot.ledger_chunks.get(chunk) else {
            return Err(ground.full("references of one process", "more than a hundred million"));
        };
        let bytes = chunk_records(chunk) * 8;
        let offset = ground.allocate(magazines, bytes, Tag::member(self.member), note)?;
        for i in 0..chunk_records(chunk) {
            ground.word(offset + i * 8).store(0, Relaxed);
        }
        note.store(offset | READY, Release);
        pages.chunks += 1;
        pages.free.extend((1..chunk_records(chunk)).rev().map(|i| offset + i * 8));
        Ok(offset)
    }

    /// Gives a record back, whose word is 0 by now.
    pub(crate) fn give(&self, record: u64) {
        self.pages.lock().free.push(record);
    }
}

/// Where the records of a member are, those included that hold nothing.
fn words(ground: &Ground, member: u32) -> impl Iterator<Item = u64> {
    let slot = ground.member(member);
    let first = (0..FIRST_LEDGER).map(|i| ground.offset_of(&slot.ledger_first[i]));
    let rest = slot.ledger_chunks.iter().enumerate().flat_map(|(chunk, note)| {
        let offset = note.load(Acquire);
        let count = if offset & READY != 0 { chunk_records(chunk) } else { 0 };
        (0..count).map(move |i| (offset & !READY) + i * 8)
    });
    first.chain(rest)
}

/// All records of a member that own a reference: offset and reference. Tentative ones are not among them.
pub(crate) fn records(ground: &Ground, member: u32) -> impl Iterator<Item = (u64, Owned)> {
    words(ground, member).filter_map(|at| Some((at, Owned::unpack(ground.word(at).load(Acquire))?)))
}

/// All records of a member that hold a permit: offset, and the index of the object.
pub(crate) fn permits(ground: &Ground, member: u32) -> impl Iterator<Item = (u64, u32)> {
    words(ground, member).filter_map(|at| Some((at, permit_of(ground.word(at).load(Acquire))?)))
}

/// Clears what a dead member's ledger still holds (tentative records), and frees its chunks.
pub(crate) fn close(ground: &Ground, member: u32) {
    let slot = ground.member(member);
    for word in &slot.ledger_first {
        word.store(0, Release);
    }
    for note in &slot.ledger_chunks {
        let offset = note.load(Acquire) & !READY;
        if offset != 0 {
            ground.free(offset, Tag::member(member));
            note.store(0, Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Role;
    use crate::region::Region;

    #[test]
    fn records_are_found_and_chunks_come_back() {
        let g = Ground::found(Region::heap(16 << 20).unwrap(), 1, [0; 16], u64::MAX).unwrap();
        let (m, book) = (Magazines::new(2), Book::new(&g, 2));
        let taken: Vec<u64> = (0..1000).map(|_| book.take(&g, &m).unwrap()).collect();
        for (i, at) in taken.iter().enumerate() {
            g.word(*at).store(Owned { index: i as u32, role: Role::First }.pack(), Relaxed);
        }
        let mut found: Vec<u32> = records(&g, 2).map(|(_, o)| o.index).collect();
        found.sort_unstable();
        assert_eq!(found, (0..1000).collect::<Vec<_>>());
        close(&g, 2);
        assert_eq!(records(&g, 2).count(), 0);
        assert_eq!(g.bytes_in_use(), 0);
    }
}

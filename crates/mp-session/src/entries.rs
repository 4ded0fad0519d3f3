//! Which entries of the table are free: claimed by chunk, so that members stay off each other's cache lines, and kept in a
//! process-local stock of candidates. All of it are hints; the truth is an entry's state.

use crate::primitive::Ordering::*;

use mp_wire::Result;
use parking_lot::Mutex;

use crate::ground::Ground;
use crate::layout::CHUNK;
use crate::table::{EntryState, FREE};

/// Free entries this process may claim: candidates only, as the heap's magazines.
#[derive(Debug, Default)]
pub(crate) struct EntryMagazine {
    pub(crate) stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
pub(crate) struct Stock {
    pub(crate) free: Vec<u32>,
    chunks: Vec<u32>,
    taken_since_search: usize,
    search_pays: bool,
}

/// Finds candidates: in our chunks, in those that nobody owns any more, in new ones.
pub(crate) fn refill_entries(ground: &Ground, member: u32, stock: &mut Stock) -> Result<()> {
    // As in the heap: a search is paid for by what the last one found or by the chunks taken since.
    let grown = stock.taken_since_search * 2 >= stock.chunks.len();
    if (stock.search_pays || grown) && !stock.chunks.is_empty() {
        stock.taken_since_search = 0;
        let chunks = std::mem::take(&mut stock.chunks);
        chunks.iter().for_each(|c| collect_free(ground, *c, stock));
        stock.search_pays = stock.free.len() * 4 >= chunks.len() * CHUNK as usize;
        stock.chunks = chunks;
        if !stock.free.is_empty() {
            return Ok(());
        }
    }
    let chunk = match adopt_chunk(ground, member) {
        Some(chunk) => chunk,
        None => match new_chunk(ground, member) {
            Ok(chunk) => chunk,
            // The table has no chunk left: what is free in those of others will do.
            Err(full) => {
                collect_anywhere(ground, stock);
                return if stock.free.is_empty() { Err(full) } else { Ok(()) };
            }
        },
    };
    stock.chunks.push(chunk);
    stock.taken_since_search += 1;
    collect_free(ground, chunk, stock);
    Ok(())
}

fn collect_free(ground: &Ground, chunk: u32, stock: &mut Stock) {
    for index in (chunk * CHUNK..(chunk + 1) * CHUNK).rev() {
        if EntryState::unpack(ground.entry(index).state.load(Acquire)).status == FREE {
            stock.free.push(index);
        }
    }
}

/// A chunk's worth of free entries, whoever owns their chunks, which is a hint.
fn collect_anywhere(ground: &Ground, stock: &mut Stock) {
    for chunk in 0..ground.header().chunk_frontier.load(Acquire).min(chunks(ground)) {
        collect_free(ground, chunk, stock);
        if stock.free.len() >= CHUNK as usize {
            return;
        }
    }
}

fn chunks(ground: &Ground) -> u32 {
    ground.layout.entry_count / CHUNK
}

fn adopt_chunk(ground: &Ground, member: u32) -> Option<u32> {
    let orphans = &ground.header().orphan_chunks;
    if orphans.load(Relaxed) == 0 {
        return None;
    }
    let end = ground.header().chunk_frontier.load(Acquire).min(chunks(ground));
    let found =
        (0..end).find(|c| ground.chunk_owner(*c).compare_exchange(0, member + 1, AcqRel, Relaxed).is_ok())?;
    let _ = orphans.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
    Some(found)
}

fn new_chunk(ground: &Ground, member: u32) -> Result<u32> {
    let frontier = &ground.header().chunk_frontier;
    loop {
        let at = frontier.load(Acquire);
        if at >= chunks(ground) {
            return Err(ground.full("objects of the session", format!("{} exist", ground.layout.entry_count)));
        }
        ground
            .region
            .commit(ground.layout.entry(at * CHUNK), u64::from(CHUNK) * crate::layout::ENTRY_SIZE)?;
        let ours = ground.chunk_owner(at).compare_exchange(0, member + 1, AcqRel, Relaxed).is_ok();
        let _ = frontier.compare_exchange(at, at + 1, AcqRel, Relaxed);
        if ours {
            return Ok(at);
        }
    }
}

/// Makes a dead member's chunks anybody's. Each is counted first (*orphan-uncounted*): a sweeper that dies in between leaves one
/// too many in the count, which costs others a look in vain; one too few, and nobody would look for it.
pub(crate) fn orphan_chunks(ground: &Ground, member: u32) {
    let end = (ground.header().chunk_frontier.load(Acquire) + 1).min(chunks(ground));
    for chunk in (0..end).filter(|chunk| ground.chunk_owner(*chunk).load(Acquire) == member + 1) {
        ground.header().orphan_chunks.fetch_add(1, AcqRel);
        let _ = ground.chunk_owner(chunk).compare_exchange(member + 1, 0, AcqRel, Relaxed);
    }
}

/// How many objects exist.
pub(crate) fn live(ground: &Ground) -> u64 {
    let end = ground.header().chunk_frontier.load(Acquire).min(chunks(ground)) * CHUNK;
    (0..end).filter(|i| EntryState::unpack(ground.entry(*i).state.load(Acquire)).status != FREE).count()
        as u64
}

#[cfg(test)]
mod tests {
    use crate::ids::Kind;
    use crate::object::{Blueprint, Object};
    use crate::session::Session;
    use crate::table::Shape;

    /// A table that one member filled, and emptied again, has room for the others, though all chunks are his.
    #[test]
    fn what_a_member_gave_back_is_anybodys() {
        let heap = Session::on_heap(0).unwrap();
        let [a, b] = ["a", "b"].map(|name| heap.member(name).unwrap());
        let create = |s: &Session| {
            let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };
            Object::create(s, plan, |_, _| {})
        };
        let kept: Vec<Object> = std::iter::from_fn(|| create(&a).ok()).collect();
        assert!(create(&b).is_err());
        drop(kept);
        let all: Vec<Object> = (0..500).map(|_| create(&b).unwrap()).collect();
        drop((all, create(&a).unwrap()));
        assert_eq!(heap.verify(), Vec::<String>::new());
    }
}

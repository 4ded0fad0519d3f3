//! What a session holds, for tests, for post-mortems and for whoever watches it.

use crate::ids::Kind;
use crate::member;
use crate::primitive::Ordering::*;
use crate::session::Session;
use crate::slots::SlotState;
use crate::table::{self, TypeWord};
use crate::thread;

/// Counts taken by looking at the truth (tags, states), not from counters that a death could falsify. Others may change
/// things while it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of the heap in use, in whole blocks.
    pub bytes_in_use: u64,
    /// Bytes of the heap that were ever in use: bounds the memory that it occupies.
    pub bytes_touched: u64,
    /// Size of the region.
    pub bytes_total: u64,
    /// Objects that exist.
    pub objects: u64,
    /// Processes with a place, those included that ended and were not joined.
    pub members: u32,
    /// Threads with a slot.
    pub threads: u32,
    /// Deaths that were cleared up after.
    pub deaths: u64,
}

impl Session {
    /// Counts what there is.
    pub fn stats(&self) -> Stats {
        let ground = &self.0.ground;
        let members = (0..ground.members_used())
            .filter(|m| SlotState::load(&ground.member(*m).state).status != member::FREE)
            .count();
        let threads = (0..ground.threads_used()).filter(|t| thread::member_of(ground, *t).is_some()).count();
        Stats {
            bytes_in_use: ground.bytes_in_use(),
            bytes_touched: u64::from(ground.header().span_frontier.load(Relaxed)) * crate::layout::SPAN,
            bytes_total: ground.layout.size,
            objects: crate::entries::live(ground),
            members: members as u32,
            threads: threads as u32,
            deaths: ground.header().deaths.load(Relaxed),
        }
    }

    /// How many deaths were cleared up after so far: one load, to see whether it is worth looking who.
    #[inline]
    pub fn deaths(&self) -> u64 {
        self.0.ground.header().deaths.load(Acquire)
    }

    /// The objects that exist, by slot: kind, bytes and holders.
    pub fn objects(&self) -> Vec<(u32, Kind, u64, u64)> {
        let ground = &self.0.ground;
        let end = (ground.header().chunk_frontier.load(Acquire) * crate::layout::CHUNK)
            .min(ground.layout.entry_count);
        (0..end)
            .filter_map(|i| {
                let entry = ground.entry(i);
                let live = table::EntryState::unpack(entry.state.load(Acquire)).status == table::LIVE;
                let kind = TypeWord::unpack(entry.kind.load(Relaxed)).kind;
                let holders = entry.refs.iter().map(|w| crate::refs::count(w.load(Relaxed))).sum();
                live.then(|| (i, kind, entry.size.load(Relaxed), holders))
            })
            .collect()
    }
}

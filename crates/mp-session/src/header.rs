//! The first page: who this session is, and how far its memory has been used.

use crate::primitive::{AtomicU32, AtomicU64, Ordering::*};

use mp_wire::{Error, Result};

use crate::layout::{LAYOUT_VERSION, Layout, MAGIC};
use crate::posts::POSTS;
use crate::region::{Region, Shared};

/// Written once by the founder before anybody else can see it, save for the counters at the end.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Header {
    magic: AtomicU64,
    layout_version: AtomicU32,
    word_size: AtomicU32,
    size: AtomicU64,
    session_id: [AtomicU64; 2],
    image_id: [AtomicU64; 2],
    /// The heap may not grow beyond this many spans: the budget.
    pub(crate) span_limit: AtomicU32,
    /// Whether waiters look for rings of waiters ([`crate::deadlock`]).
    pub(crate) find_deadlocks: AtomicU32,
    /// Spans below have been given a kind. Moved by compare-and-swap only, after the kind of the span at the frontier
    /// was set, so that anybody who finds them apart can finish the move ([`crate::heap`]).
    pub(crate) span_frontier: AtomicU32,
    /// Chunks of entries below have been claimed at some time; same rule.
    pub(crate) chunk_frontier: AtomicU32,
    /// Counts deaths that were swept.
    pub(crate) deaths: AtomicU64,
    /// Next ticket of a waiter: keeps waiters beyond a wait word's lanes in order.
    pub(crate) ticket: AtomicU64,
    /// One more than the highest member and thread slot ever used: bounds every scan.
    pub(crate) members_used: AtomicU32,
    pub(crate) threads_used: AtomicU32,
    /// Spans that lost their owner: a hint for whoever needs one.
    pub(crate) orphan_spans: AtomicU32,
    pub(crate) orphan_chunks: AtomicU32,
    /// How often a run was looked for below the frontier: while this is 0, a run that its taker made itself was never written.
    pub(crate) run_searches: AtomicU32,
    /// Counts the times that everybody was rung: who waits for many things looks at all of them then.
    pub(crate) news: AtomicU64,
    /// One more than the highest observer ever used.
    pub(crate) observers_used: AtomicU32,
    /// One more than the highest name slot ever used.
    pub(crate) names_used: AtomicU32,
    /// `version(32) | slot + 1 (32)`: the one word that orders publications ([`crate::directory`]).
    pub(crate) directory: AtomicU64,
    /// Who watches which block of members, where there are many ([`crate::posts`]).
    pub(crate) posts: [AtomicU64; POSTS],
    /// Free runs by size class: hints, see [`crate::heap`].
    pub(crate) run_hints: [[AtomicU32; 8]; 64],
}

// SAFETY: repr(C), atomics only.
unsafe impl Shared for Header {}

const _: () = assert!(size_of::<Header>() <= 4096);

impl Header {
    pub(crate) fn write(&self, layout: &Layout, session_id: u128, image_id: [u8; 16], span_limit: u32) {
        let image = u128::from_le_bytes(image_id);
        self.layout_version.store(LAYOUT_VERSION, Relaxed);
        self.word_size.store(usize::BITS, Relaxed);
        self.size.store(layout.size, Relaxed);
        self.session_id[0].store(session_id as u64, Relaxed);
        self.session_id[1].store((session_id >> 64) as u64, Relaxed);
        self.image_id[0].store(image as u64, Relaxed);
        self.image_id[1].store((image >> 64) as u64, Relaxed);
        self.span_limit.store(span_limit, Relaxed);
        self.magic.store(MAGIC, Release);
    }

    pub(crate) fn session_id(&self) -> u128 {
        u128::from(self.session_id[0].load(Relaxed)) | u128::from(self.session_id[1].load(Relaxed)) << 64
    }

    pub(crate) fn image_id(&self) -> [u8; 16] {
        (u128::from(self.image_id[0].load(Relaxed)) | u128::from(self.image_id[1].load(Relaxed)) << 64)
            .to_le_bytes()
    }

    /// Checks that a region handed to this process is a session that it can take part in.
    pub(crate) fn check(region: &Region) -> Result<Layout> {
        let wrong = |detail: String| Err(Error::Layout { detail });
        if region.len() < Layout::MIN_SIZE {
            return wrong(format!("{} bytes are too few for a session", region.len()));
        }
        let header = region.at::<Header>(0);
        if header.magic.load(Acquire) != MAGIC {
            return wrong("this memory is not a session's".into());
        }
        let version = header.layout_version.load(Relaxed);
        if version != LAYOUT_VERSION {
            return wrong(format!("the session has layout version {version}, this program {LAYOUT_VERSION}"));
        }
        let bits = header.word_size.load(Relaxed);
        if bits != usize::BITS {
            return wrong(format!("the session's words have {bits} bits, this program's {}", usize::BITS));
        }
        let size = header.size.load(Relaxed);
        if size != region.len() {
            return wrong(format!("the session says {size} bytes, {} are mapped", region.len()));
        }
        Ok(Layout::new(size))
    }
}

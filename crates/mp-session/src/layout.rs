//! Layout version 1 of a session's memory: who lives at which offset.
//!
//! ```text
//! 0            header            one page: identity, geometry, frontiers
//! names        NameSlot[]        published objects
//! members      MemberSlot[]      a slot a process
//! threads      ThreadSlot[]      a slot a thread that waits or owns
//! chunk owners u32[]             who claims entries from which 64 entries (a hint)
//! span kinds   u32[]             what each 64 KiB span of the heap is (truth)
//! span owners  u32[]             who allocates from it (a hint)
//! observers    ObserverSlot[]    who waits for many things at once
//! buckets      Bucket[]          which observer observes which wait word (a hash table)
//! entries      Entry[]           the object table, type-stable, never holds user bytes
//! tags         u32[1024]/span    which entry holds which block (truth)
//! heap         spans of 64 KiB
//! ```
//!
//! Every array is sized from the region's size alone, so two processes that agree on the size (recorded in the header)
//! agree on everything. Arrays are sparse: nothing is touched before it is used. An offset is a `u64` from the start
//! of the region, and 0 means "none".

/// What the first eight bytes of a session's memory read.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"MPSESSN1");
/// Bumped whenever two programs could misread each other.
pub(crate) const LAYOUT_VERSION: u32 = 1;

pub(crate) const SPAN: u64 = 64 * 1024;
/// Blocks are at least this large, so a span has at most `TAGS_PER_SPAN` of them.
pub(crate) const MIN_BLOCK: u64 = 64;
pub(crate) const TAGS_PER_SPAN: u64 = SPAN / MIN_BLOCK;
/// Entries that one member claims together, to keep members off each other's cache lines.
pub(crate) const CHUNK: u32 = 64;

pub(crate) const ENTRY_SIZE: u64 = 128;
pub(crate) const MEMBER_SIZE: u64 = 1024;
pub(crate) const THREAD_SIZE: u64 = 256;
pub(crate) const NAME_SIZE: u64 = 32;
/// Thread slots are named by 14 bits in a reference word, and by 16 in a wait word.
pub(crate) const MAX_THREADS: u32 = 16_383;
pub(crate) const MAX_MEMBERS: u32 = 4_096;
pub(crate) const OBSERVER_SIZE: u64 = 64;
/// Observers are named by 14 bits in a subscription.
pub(crate) const MAX_OBSERVERS: u32 = 16_383;
pub(crate) const BUCKET_SIZE: u64 = 64;
/// At most so many buckets, of seven subscriptions each.
const MAX_BUCKETS: u64 = 1 << 17;
/// A bucket for so many bytes of region.
const REGION_PER_BUCKET: u64 = 32 * 1024;

const PAGE: u64 = 4096;

/// Where everything is, as a function of the region's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) size: u64,
    pub(crate) member_count: u32,
    pub(crate) thread_count: u32,
    pub(crate) name_count: u32,
    pub(crate) entry_count: u32,
    pub(crate) span_count: u32,
    pub(crate) observer_count: u32,
    /// A power of two.
    pub(crate) bucket_count: u64,
    pub(crate) names: u64,
    pub(crate) members: u64,
    pub(crate) threads: u64,
    pub(crate) chunk_owners: u64,
    pub(crate) span_kinds: u64,
    pub(crate) span_owners: u64,
    pub(crate) observers: u64,
    pub(crate) buckets: u64,
    pub(crate) entries: u64,
    pub(crate) tags: u64,
    pub(crate) heap: u64,
}

impl Layout {
    /// The smallest region that holds a useful session (tests use it on the heap).
    /// A model makes a new one for each of its many games, so there it is smaller.
    pub(crate) const MIN_SIZE: u64 = if cfg!(mp_model) { 2 << 20 } else { 8 << 20 };

    /// The geometry of a region of `size` bytes.
    pub(crate) fn new(size: u64) -> Layout {
        let small = size < 256 << 20;
        let member_count = if small { 64 } else { MAX_MEMBERS };
        let thread_count = if small { 256 } else { MAX_THREADS };
        let name_count = if small { 128 } else { 1024 };
        // One entry for each 4 KiB of region: sixteen million in 64 GiB.
        let entry_count = ((size / 4096).min(1 << 24) as u32).next_multiple_of(CHUNK);
        let span_bound = size / SPAN;
        let observer_count = if small { 256 } else { MAX_OBSERVERS };
        let bucket_count = (size / REGION_PER_BUCKET).clamp(256, MAX_BUCKETS).next_power_of_two();

        let names = PAGE;
        let members = page(names + u64::from(name_count) * NAME_SIZE);
        let threads = page(members + u64::from(member_count) * MEMBER_SIZE);
        let chunk_owners = page(threads + u64::from(thread_count) * THREAD_SIZE);
        let span_kinds = page(chunk_owners + u64::from(entry_count / CHUNK) * 4);
        let span_owners = page(span_kinds + span_bound * 4);
        let observers = page(span_owners + span_bound * 4);
        let buckets = page(observers + u64::from(observer_count) * OBSERVER_SIZE);
        let entries = page(buckets + bucket_count * BUCKET_SIZE);
        let tags = page(entries + u64::from(entry_count) * ENTRY_SIZE);
        let heap = (tags + span_bound * TAGS_PER_SPAN * 4).next_multiple_of(SPAN);
        let span_count = ((size - heap) / SPAN) as u32;
        Layout {
            size,
            member_count,
            thread_count,
            name_count,
            entry_count,
            span_count,
            observer_count,
            bucket_count,
            names,
            members,
            threads,
            chunk_owners,
            span_kinds,
            span_owners,
            observers,
            buckets,
            entries,
            tags,
            heap,
        }
    }

    /// The part that is touched at once: on systems that commit memory explicitly, it is committed when the session
    /// is made; everything after it is committed as the frontiers advance.
    pub(crate) fn eager(&self) -> u64 {
        self.entries
    }

    pub(crate) fn name(&self, index: u32) -> u64 {
        self.names + u64::from(index) * NAME_SIZE
    }

    pub(crate) fn member(&self, index: u32) -> u64 {
        self.members + u64::from(index) * MEMBER_SIZE
    }

    pub(crate) fn thread(&self, index: u32) -> u64 {
        self.threads + u64::from(index) * THREAD_SIZE
    }

    pub(crate) fn observer(&self, index: u32) -> u64 {
        self.observers + u64::from(index) * OBSERVER_SIZE
    }

    pub(crate) fn bucket(&self, index: u64) -> u64 {
        self.buckets + index * BUCKET_SIZE
    }

    pub(crate) fn entry(&self, index: u32) -> u64 {
        self.entries + u64::from(index) * ENTRY_SIZE
    }

    pub(crate) fn tag(&self, span: u32, block: u32) -> u64 {
        self.tags + u64::from(span) * TAGS_PER_SPAN * 4 + u64::from(block) * 4
    }

    pub(crate) fn span(&self, span: u32) -> u64 {
        self.heap + u64::from(span) * SPAN
    }

    /// The span that an offset into the heap lies in.
    pub(crate) fn span_of(&self, offset: u64) -> u32 {
        ((offset - self.heap) / SPAN) as u32
    }
}

fn page(offset: u64) -> u64 {
    offset.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_array_ends_before_the_next_begins() {
        for shift in [23, 24, 28, 30, 33, 36] {
            let l = Layout::new(1 << shift);
            assert!(l.name(l.name_count) <= l.members);
            assert!(l.member(l.member_count) <= l.threads);
            assert!(l.thread(l.thread_count) <= l.chunk_owners);
            assert!(l.observer(l.observer_count) <= l.buckets && l.bucket(l.bucket_count) <= l.entries);
            assert!(l.bucket_count.is_power_of_two());
            assert!(l.entry(l.entry_count) <= l.tags);
            assert!(l.tag(l.span_count, 0) <= l.heap);
            assert!(l.span(l.span_count) <= l.size);
            assert!(l.span_count > 16, "a region of 2^{shift} bytes has a heap");
        }
    }

    #[test]
    fn an_offset_names_its_span() {
        let l = Layout::new(1 << 30);
        assert_eq!(l.span_of(l.span(7) + 100), 7);
    }
}

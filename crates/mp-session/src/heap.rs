//! The heap: blocks of session memory, each with one owner or none.
//!
//! # Truth and hints
//!
//! The truth about a block is its *tag*, a word outside of the heap: 0 means free, anything else names the owner (an
//! entry of the object table, or a member). Taking a block is one compare-and-swap of its tag from 0, freeing it one
//! from the owner's name to 0. So a block is never half taken, and freeing twice, by two sweepers say, frees once.
//!
//! Whoever takes a block first writes its offset into a *note* that belongs to the owner (the entry's `offset`). A
//! death in between is settled by comparing: the note's block carries the owner's tag, or the taking did not happen.
//!
//! Everything else is a hint and may be lost: who owns which span, lists of free runs, a process's private magazines.
//!
//! # Spans
//!
//! The heap is made of spans of 64 KiB. A span's kind is written once, before the frontier moves past it:
//!
//! | kind | meaning | tags |
//! |---|---|---|
//! | 0 | beyond the frontier | unused |
//! | `RUN` + class | head of so many spans handed out together | tag 0 is the run's |
//! | `SMALL` + class | cut into blocks of one size | one a block |
//!
//! Moving the frontier: set the kind of the span at the frontier (compare-and-swap from 0), then move the frontier by
//! the run's length (compare-and-swap). A death in between leaves a span at the frontier that has a kind; whoever comes
//! next finishes the move. The run itself is free (its tag is 0), so nothing is lost.
//!
//! A free run of one span becomes `SMALL` while its taker holds it under the taker's member tag, noted in the
//! member's slot; a sweeper finds it there and frees the tag.
//!
//! A span that was cut into small blocks stays cut into blocks of that size. When no span is left, members take free blocks from each
//! other's; a size of which there are none is out of memory even while smaller blocks are free.
//!
//! The frontier is bounded by the budget: pages below it are what the session may come to occupy.

use crate::primitive::Ordering::*;

use mp_wire::Result;
use parking_lot::Mutex;

use crate::ground::Ground;
use crate::layout::{SPAN, TAGS_PER_SPAN};
use crate::runs::run_spans;

pub(crate) const SMALL: u32 = 1 << 16;
pub(crate) const RUN: u32 = 2 << 16;
/// Tags at or above name members, below they are entry index + 1.
const MEMBER_TAG: u32 = 0x8000_0000;

/// Block sizes, all multiples of 64 so that a block starts on a cache line.
pub(crate) const CLASSES: [u32; 18] =
    [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 21824, 32768];
const LARGEST_SMALL: u64 = 32768;
/// A freed run at least this many spans long gives its pages back.
const DISCARD_FROM: u32 = 128;

/// Who owns a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag(u32);

impl Tag {
    pub(crate) fn entry(index: u32) -> Tag {
        Tag(index + 1)
    }
    pub(crate) const fn member(index: u32) -> Tag {
        Tag(MEMBER_TAG | index)
    }
    pub(crate) fn word(self) -> u32 {
        self.0
    }
}

/// A block that was just taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    /// Nobody has written it since the session was founded.
    pub(crate) is_zero: bool,
}

/// What this process believes to be free, by class: only a source of candidates.
#[derive(Debug)]
pub(crate) struct Magazines {
    member: u32,
    /// The member's slot has one note for a span that is being cut, so one thread cuts at a time.
    cutting: Mutex<()>,
    classes: [Mutex<Magazine>; CLASSES.len()],
}

#[derive(Debug, Default)]
struct Magazine {
    /// Candidates: span and block.
    free: Vec<(u32, u16)>,
    /// Spans of this class that this member owns.
    spans: Vec<u32>,
    /// Spans taken since the owned ones were last searched for blocks that others freed.
    taken_since_search: usize,
    /// The last search found enough to be worth another.
    search_pays: bool,
}

impl Magazines {
    pub(crate) fn new(member: u32) -> Magazines {
        Magazines { member, cutting: Mutex::new(()), classes: Default::default() }
    }
}

fn small_class(size: u64) -> usize {
    CLASSES.iter().position(|c| u64::from(*c) >= size).unwrap_or(CLASSES.len() - 1)
}

impl Ground {
    /// Takes a block of at least `size` bytes for `tag`, noting it in the word `note` first. The bytes are whatever
    /// the last user left.
    pub(crate) fn allocate(
        &self,
        magazines: &Magazines,
        size: u64,
        tag: Tag,
        note: &crate::primitive::AtomicU64,
    ) -> Result<u64> {
        Ok(self.allocate_block(magazines, size, tag, note)?.offset)
    }

    /// The same, for those who want to know whether the bytes are zero as they are.
    pub(crate) fn allocate_block(
        &self,
        magazines: &Magazines,
        size: u64,
        tag: Tag,
        note: &crate::primitive::AtomicU64,
    ) -> Result<Block> {
        if size > LARGEST_SMALL {
            return self.allocate_run(size.div_ceil(SPAN), tag, note);
        }
        let class = small_class(size);
        let mut magazine = magazines.classes[class].lock();
        loop {
            while let Some((span, block)) = magazine.free.pop() {
                let offset = self.layout.span(span) + u64::from(block) * u64::from(CLASSES[class]);
                note.store(offset, Release);
                if self.tag(span, u32::from(block)).compare_exchange(0, tag.0, AcqRel, Relaxed).is_ok() {
                    return Ok(Block { offset, is_zero: false });
                }
            }
            note.store(0, Release);
            self.refill(magazines, class, &mut magazine)?;
        }
    }

    /// Frees the block at `offset` if `tag` still owns it: the second to try frees nothing.
    pub(crate) fn free(&self, offset: u64, tag: Tag) {
        let span = self.layout.span_of(offset);
        let kind = self.span_kind(span).load(Acquire);
        if kind & SMALL != 0 {
            // In 32 bits: a division of 64 takes longer than all the rest of this.
            let block = (offset - self.layout.span(span)) as u32 / CLASSES[(kind & 0xFFFF) as usize];
            // Losing the exchange means that it was freed before: that is the point.
            let _ = self.tag(span, block).compare_exchange(tag.0, 0, AcqRel, Relaxed);
        } else if kind & RUN != 0 && self.tag(span, 0).load(Acquire) == tag.0 {
            let class = kind & 0xFFFF;
            if run_spans(class) >= DISCARD_FROM {
                self.region.discard(offset, u64::from(run_spans(class)) * SPAN);
            }
            if self.tag(span, 0).compare_exchange(tag.0, 0, AcqRel, Relaxed).is_ok() {
                self.hint_run(class, span);
            }
        }
    }

    /// Makes the `size` bytes of a block that was just taken zero.
    pub(crate) fn zero(&self, block: Block, size: u64) {
        if block.is_zero {
            return;
        }
        let run = size.next_multiple_of(SPAN);
        // A long run gave its pages back when it was freed: to say so again costs nothing, to write them would bring them back.
        if size > LARGEST_SMALL
            && run / SPAN >= u64::from(DISCARD_FROM)
            && self.region.discard(block.offset, run)
        {
            return;
        }
        if let Some(bytes) = self.region.bytes(block.offset, size) {
            // SAFETY: in bounds by `bytes`; the block is its taker's alone until the taker publishes it.
            unsafe { bytes.as_ptr().write_bytes(0, size as usize) };
        }
    }

    /// Whether `tag` owns the block at `offset`.
    #[cfg(test)]
    pub(crate) fn owns(&self, offset: u64, tag: Tag) -> bool {
        let span = self.layout.span_of(offset);
        let kind = self.span_kind(span).load(Acquire);
        let block = match kind & !0xFFFF {
            SMALL => {
                ((offset - self.layout.span(span)) / u64::from(CLASSES[(kind & 0xFFFF) as usize])) as u32
            }
            RUN => 0,
            _ => return false,
        };
        self.tag(span, block).load(Acquire) == tag.0
    }

    /// Fills an empty magazine: with blocks that others freed in our spans, else from an ownerless span, else from a
    /// new one. A search is paid for by what the last one found (a quarter of what it looked at, or more) or by the spans
    /// taken since, so its cost per block stays flat, and less than half of the owned blocks can be free without
    /// being found.
    fn refill(&self, magazines: &Magazines, class: usize, magazine: &mut Magazine) -> Result<()> {
        let grown = magazine.taken_since_search * 2 >= magazine.spans.len();
        if (magazine.search_pays || grown) && !magazine.spans.is_empty() {
            magazine.taken_since_search = 0;
            let spans = std::mem::take(&mut magazine.spans);
            for span in &spans {
                self.collect_free(*span, class, magazine);
            }
            let looked_at = spans.len() * (SPAN as usize / CLASSES[class] as usize);
            magazine.search_pays = magazine.free.len() * 4 >= looked_at;
            magazine.spans = spans;
            if !magazine.free.is_empty() {
                return Ok(());
            }
        }
        let span = match self.adopt_span(magazines.member, class) {
            Some(span) => span,
            None => {
                let one = magazines.cutting.lock();
                match self.new_small_span(magazines.member, class) {
                    Ok(span) => span,
                    // Memory is out: what is free in the spans of others will do.
                    Err(full) => {
                        drop(one);
                        self.collect_anywhere(class, magazine);
                        return if magazine.free.is_empty() { Err(full) } else { Ok(()) };
                    }
                }
            }
        };
        magazine.spans.push(span);
        magazine.taken_since_search += 1;
        self.collect_free(span, class, magazine);
        Ok(())
    }

    fn collect_free(&self, span: u32, class: usize, magazine: &mut Magazine) {
        let blocks = SPAN as u32 / CLASSES[class];
        for block in (0..blocks.min(TAGS_PER_SPAN as u32)).rev() {
            if self.tag(span, block).load(Acquire) == 0 {
                magazine.free.push((span, block as u16));
            }
        }
    }

    /// Some free blocks, whoever owns their spans, which is a hint.
    fn collect_anywhere(&self, class: usize, magazine: &mut Magazine) {
        let mine = SMALL | class as u32;
        for span in 0..self.header().span_frontier.load(Acquire).min(self.layout.span_count) {
            if self.span_kind(span).load(Acquire) == mine {
                self.collect_free(span, class, magazine);
                if magazine.free.len() >= 64 {
                    return;
                }
            }
        }
    }

    /// Takes over a span whose owner is gone.
    fn adopt_span(&self, member: u32, class: usize) -> Option<u32> {
        let orphans = &self.header().orphan_spans;
        if orphans.load(Relaxed) == 0 {
            return None;
        }
        let end = self.header().span_frontier.load(Acquire).min(self.layout.span_count);
        let mine = SMALL | class as u32;
        for span in 0..end {
            if self.span_kind(span).load(Acquire) == mine
                && self.span_owner(span).compare_exchange(0, member + 1, AcqRel, Relaxed).is_ok()
            {
                // Only a hint: saturate rather than wrap when it has drifted.
                let _ = orphans.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
                return Some(span);
            }
        }
        None
    }

    fn new_small_span(&self, member: u32, class: usize) -> Result<u32> {
        let note = &self.member(member).span_note;
        let offset = self.allocate_run(1, Tag::member(member), note)?.offset;
        let span = self.layout.span_of(offset);
        self.span_owner(span).store(member + 1, Release);
        self.span_kind(span).store(SMALL | class as u32, Release);
        self.tag(span, 0).store(0, Release);
        note.store(0, Release);
        Ok(span)
    }

    /// Settles a span that a dead member was turning into small blocks.
    pub(crate) fn settle_span_note(&self, member: u32) {
        let note = &self.member(member).span_note;
        let offset = note.load(Acquire);
        if offset != 0 {
            self.free(offset, Tag::member(member));
            note.store(0, Release);
        }
    }

    /// Makes a dead member's spans anybody's. Counted first: *orphan-uncounted*, as for chunks of entries.
    pub(crate) fn orphan_spans(&self, member: u32) {
        let end = self.header().span_frontier.load(Acquire).min(self.layout.span_count);
        for span in (0..end).filter(|span| self.span_owner(*span).load(Acquire) == member + 1) {
            self.header().orphan_spans.fetch_add(1, AcqRel);
            let _ = self.span_owner(span).compare_exchange(member + 1, 0, AcqRel, Relaxed);
        }
    }

    /// Bytes of blocks in use, counted from the tags.
    pub(crate) fn bytes_in_use(&self) -> u64 {
        let end = self.header().span_frontier.load(Acquire).min(self.layout.span_count);
        let (mut span, mut bytes) = (0, 0);
        while span < end {
            let kind = self.span_kind(span).load(Acquire);
            if kind & RUN != 0 {
                let length = run_spans(kind & 0xFFFF);
                if self.tag(span, 0).load(Relaxed) != 0 {
                    bytes += u64::from(length) * SPAN;
                }
                span += length;
            } else {
                if kind & SMALL != 0 {
                    let size = CLASSES[(kind & 0xFFFF) as usize];
                    let used =
                        (0..SPAN as u32 / size).filter(|b| self.tag(span, *b).load(Relaxed) != 0).count();
                    bytes += used as u64 * u64::from(size);
                }
                span += 1;
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use crate::primitive::AtomicU64;
    use std::collections::HashSet;

    use super::*;
    use crate::region::Region;
    use crate::runs::{RUN_CLASSES, run_class};

    fn ground(mib: u64) -> Ground {
        Ground::found(Region::heap(mib << 20).unwrap(), 1, [0; 16], u64::MAX).unwrap()
    }

    #[test]
    fn run_classes_rise_and_cover() {
        for class in 1..RUN_CLASSES {
            assert!(run_spans(class) > run_spans(class - 1));
        }
        for spans in 1..2000 {
            let class = run_class(spans).unwrap();
            let got = u64::from(run_spans(class));
            assert!(got >= spans && got * 3 <= spans * 4 + 4, "{spans} spans got {got}");
        }
    }

    #[test]
    fn blocks_do_not_overlap_and_come_back() {
        let g = ground(16);
        let m = Magazines::new(0);
        let note = AtomicU64::new(0);
        let sizes = [1, 64, 65, 100, 5000, 32768, 40_000, 200_000];
        let mut held: Vec<(u64, u64, Tag)> = Vec::new();
        let mut seen = HashSet::new();
        for round in 0..50_u32 {
            let size = sizes[round as usize % sizes.len()];
            let tag = Tag::entry(round);
            let at = g.allocate(&m, size, tag, &note).unwrap();
            assert_eq!(note.load(Relaxed), at);
            assert!(g.owns(at, tag));
            assert!(held.iter().all(|(o, s, _)| at + size <= *o || o + s <= at), "overlap at {at}");
            held.push((at, size, tag));
            seen.insert(at);
        }
        let used = g.bytes_in_use();
        for (at, _, tag) in held.drain(..) {
            g.free(at, tag);
            g.free(at, tag); // a second sweeper
            assert!(!g.owns(at, tag));
        }
        assert!(used > 0 && g.bytes_in_use() == 0);
        let frontier = g.header().span_frontier.load(Relaxed);
        for _ in 0..100 {
            for round in 0..50_u32 {
                let at =
                    g.allocate(&m, sizes[round as usize % sizes.len()], Tag::entry(round), &note).unwrap();
                held.push((at, 0, Tag::entry(round)));
            }
            for (at, _, tag) in held.drain(..) {
                g.free(at, tag);
            }
        }
        let now = g.header().span_frontier.load(Relaxed);
        assert!(now <= frontier * 2, "freed blocks are used again: {frontier} spans, then {now}");
    }

    #[test]
    fn over_the_budget_is_an_error_and_then_works_again() {
        let g = Ground::found(Region::heap(16 << 20).unwrap(), 1, [0; 16], 1 << 20).unwrap();
        let m = Magazines::new(0);
        let note = AtomicU64::new(0);
        let mut held = Vec::new();
        let error = loop {
            match g.allocate(&m, 100_000, Tag::entry(held.len() as u32), &note) {
                Ok(at) => held.push(at),
                Err(e) => break e,
            }
        };
        assert!(error.to_string().contains("budget"), "{error}");
        assert_eq!(note.load(Relaxed), 0);
        g.free(held[0], Tag::entry(0));
        g.allocate(&m, 100_000, Tag::entry(99), &note).unwrap();
    }

    #[test]
    fn zeroed_blocks_are_zero_whoever_had_them_before() {
        let g = ground(16);
        let (m, note) = (Magazines::new(0), AtomicU64::new(0));
        let bytes = |block: Block, size: u64| {
            // SAFETY: the block is this test's alone and has that many bytes.
            unsafe {
                std::slice::from_raw_parts_mut(
                    g.region.bytes(block.offset, size).unwrap().as_ptr(),
                    size as usize,
                )
            }
        };
        for size in [1, 64, 5000, 40_000, 1 << 20] {
            for round in 0..4_u32 {
                let block = g.allocate_block(&m, size, Tag::entry(round), &note).unwrap();
                assert_eq!(block.is_zero, round == 0 && size > LARGEST_SMALL, "{size} bytes, round {round}");
                g.zero(block, size);
                assert!(bytes(block, size).iter().all(|b| *b == 0), "{size} bytes, round {round}");
                bytes(block, size).fill(7);
                g.free(block.offset, Tag::entry(round));
            }
        }
    }

    /// *searched-and-freed*: once runs were looked for below the frontier, new ground is not taken for unwritten any more.
    #[test]
    fn after_a_search_nothing_passes_for_unwritten() {
        let g = Ground::found(Region::heap(16 << 20).unwrap(), 1, [0; 16], 2 * SPAN).unwrap();
        let (m, note) = (Magazines::new(0), AtomicU64::new(0));
        let first = g.allocate_block(&m, 40_000, Tag::entry(0), &note).unwrap();
        assert!(first.is_zero);
        g.allocate_block(&m, 200_000, Tag::entry(1), &note).unwrap_err();
        assert!(!g.allocate_block(&m, 40_000, Tag::entry(1), &note).unwrap().is_zero);
    }

    #[test]
    fn a_frontier_left_behind_is_moved_by_the_next() {
        let g = ground(16);
        // A member set the kind and died before it moved the frontier.
        g.span_kind(0).store(RUN | 2, Relaxed);
        let note = AtomicU64::new(0);
        let at = g.allocate(&Magazines::new(0), 40_000, Tag::entry(0), &note).unwrap();
        assert_eq!(g.layout.span_of(at), run_spans(2));
        // And the run left behind is free, and found when it is wanted.
        assert_eq!(g.bytes_in_use(), SPAN);
    }

    #[test]
    fn orphaned_spans_are_adopted() {
        let g = ground(16);
        let note = AtomicU64::new(0);
        let first = g.allocate(&Magazines::new(0), 64, Tag::entry(0), &note).unwrap();
        g.orphan_spans(0);
        let second = g.allocate(&Magazines::new(1), 64, Tag::entry(1), &note).unwrap();
        assert_eq!(g.layout.span_of(first), g.layout.span_of(second));
    }

    #[test]
    fn a_span_that_was_being_cut_is_settled() {
        let g = ground(16);
        let note = &g.member(3).span_note;
        let at = g.allocate_run(1, Tag::member(3), note).unwrap().offset;
        assert_eq!(g.bytes_in_use(), SPAN);
        g.settle_span_note(3);
        assert_eq!(g.bytes_in_use(), 0);
        assert!(!g.owns(at, Tag::member(3)));
    }
}

//! Runs: so many spans together, handed out as one block; and the frontier from which they come. The rules are in
//! [`crate::heap`].

use crate::primitive::{AtomicU64, Ordering::*};

use mp_wire::Result;

use crate::ground::Ground;
use crate::heap::{Block, RUN, Tag};
use crate::layout::{SPAN, TAGS_PER_SPAN};

/// How many spans a run of `class` has: 1 to 8, then four steps to each doubling.
pub(crate) fn run_spans(class: u32) -> u32 {
    if class < 8 {
        return class + 1;
    }
    let (octave, step) = ((class - 8) / 4, (class - 8) % 4 + 1);
    (8 << octave) + ((8 << octave) / 4) * step
}

pub(crate) const RUN_CLASSES: u32 = 64;

pub(crate) fn run_class(spans: u64) -> Option<u32> {
    (0..RUN_CLASSES).find(|c| u64::from(run_spans(*c)) >= spans)
}

impl Ground {
    /// Takes a run of so many spans for `tag`: one that was freed, or new ground, or whatever a search finds.
    pub(crate) fn allocate_run(&self, spans: u64, tag: Tag, note: &AtomicU64) -> Result<Block> {
        let class =
            run_class(spans).ok_or_else(|| self.full("object size", format!("{} bytes", spans * SPAN)))?;
        let take = |span: u32| {
            let offset = self.layout.span(span);
            note.store(offset, Release);
            self.tag(span, 0).compare_exchange(0, tag.word(), AcqRel, Relaxed).ok()?;
            // Since we looked, another may have taken it, cut it small and let its first block go. Now that the tag is
            // ours the kind cannot change any more.
            if self.span_kind(span).load(Acquire) & RUN == 0 {
                self.tag(span, 0).store(0, Release);
                return None;
            }
            Some(offset)
        };
        // 1. A run that somebody freed.
        for hint in &self.header().run_hints[class as usize] {
            let span = hint.load(Relaxed);
            if span != 0
                && hint.compare_exchange(span, 0, AcqRel, Relaxed).is_ok()
                && self.is_run(span - 1, class)
                && let Some(offset) = take(span - 1)
            {
                return Ok(Block { offset, is_zero: false });
            }
        }
        // 2. New ground.
        while let Some(span) = self.advance_frontier(class)? {
            if let Some(offset) = take(span) {
                // *searched-and-freed*: a search may have taken it before us, and its taker have written it and let go. Then it
                // had counted its search before it took the tag, and we have the tag after that.
                let is_zero = self.header().run_searches.load(Acquire) == 0;
                return Ok(Block { offset, is_zero });
            }
        }
        // 3. No new ground: search for a run whose hint was lost, or for a larger one.
        let end = self.header().span_frontier.load(Acquire).min(self.layout.span_count);
        let mut span = 0;
        let _ = self.header().run_searches.fetch_update(AcqRel, Acquire, |n| n.checked_add(1));
        while span < end {
            let kind = self.span_kind(span).load(Acquire);
            let length = if kind & RUN != 0 { run_spans(kind & 0xFFFF) } else { 1 };
            let fits = kind & RUN != 0 && (class..class + 8).contains(&(kind & 0xFFFF));
            if fits
                && self.tag(span, 0).load(Relaxed) == 0
                && let Some(offset) = take(span)
            {
                return Ok(Block { offset, is_zero: false });
            }
            span += length;
        }
        note.store(0, Release);
        let limit = self.header().span_limit.load(Relaxed);
        let what = if limit < self.layout.span_count {
            "memory budget of the session"
        } else {
            "size of the session"
        };
        Err(self.full(
            what,
            format!("no {} KiB left of {} MiB", spans * SPAN / 1024, (u64::from(limit) * SPAN) >> 20),
        ))
    }

    fn is_run(&self, span: u32, class: u32) -> bool {
        span < self.layout.span_count && self.span_kind(span).load(Acquire) == RUN | class
    }

    /// Makes a new free run at the frontier and returns its head; `None` when there is no room.
    fn advance_frontier(&self, class: u32) -> Result<Option<u32>> {
        let frontier = &self.header().span_frontier;
        let limit = self.header().span_limit.load(Relaxed).min(self.layout.span_count);
        loop {
            let at = frontier.load(Acquire);
            if at >= limit {
                return Ok(None);
            }
            let kind = self.span_kind(at);
            let mut seen = kind.load(Acquire);
            let ours = seen == 0;
            if ours {
                if at + run_spans(class) > limit {
                    return Ok(None);
                }
                self.region.commit(self.layout.tag(at, 0), TAGS_PER_SPAN * 4)?;
                self.region.commit(self.layout.span(at), u64::from(run_spans(class)) * SPAN)?;
                // A frontier that moved on in between makes this exchange fail: kinds are never zero below it.
                seen = match kind.compare_exchange(0, RUN | class, AcqRel, Acquire) {
                    Ok(_) => RUN | class,
                    Err(now) => {
                        let _ = frontier.compare_exchange(at, at + self.length_of(now), AcqRel, Relaxed);
                        continue;
                    }
                };
            }
            // Ours, or one that somebody set and did not live (or had no time yet) to step over.
            let _ = frontier.compare_exchange(at, at + self.length_of(seen), AcqRel, Relaxed);
            if ours {
                return Ok(Some(at));
            }
        }
    }

    /// The length of the run that a kind at the frontier stands for; a kind there is a run's, or a run of one that was
    /// already cut small.
    fn length_of(&self, kind: u32) -> u32 {
        if kind & RUN != 0 { run_spans(kind & 0xFFFF) } else { 1 }
    }

    pub(crate) fn hint_run(&self, class: u32, span: u32) {
        for hint in &self.header().run_hints[class as usize] {
            if hint.compare_exchange(0, span + 1, AcqRel, Relaxed).is_ok() {
                return;
            }
        }
        // No place for a hint: the search finds the run when new ground is out.
    }
}

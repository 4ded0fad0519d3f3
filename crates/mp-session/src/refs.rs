//! Reference counts that survive the death of whoever changes them.
//!
//! A plain counter cannot: a process killed after `fetch_add` and before it noted that it had done so leaves a count
//! that nobody can correct. So each change is *detectable* (the idea of detectable compare-and-swap; see Friedman,
//! Herlihy, Marathe, Petrank, "A persistent lock-free queue for non-volatile memory", PPoPP 2018): the word holds the
//! count together with the name of the last change,
//!
//! ```text
//! count(20) | thread slot(14) | sequence(30)
//! ```
//!
//! and whoever overwrites another thread's name first writes that sequence into the other's `done` word. After a
//! death the question "did the victim's change (t, s) happen?" has a stable answer: yes if the word names (t, s), or
//! if `done` of t has reached s. The word is read before `done`: were it overwritten in between, `done` was written
//! before that.
//!
//! | death | what recovery sees | what it does |
//! |---|---|---|
//! | before the compare-and-swap | neither | the change did not happen; nothing to undo |
//! | after it, before the destination word | the word or `done` | writes the destination word |
//! | after the destination word | the same | writes it again (same value) |
//!
//! A sequence has 30 bits and belongs to a thread slot, not to a thread: a slot must change counts 2^30 times, and be
//! killed in the middle of one, before an old name could be mistaken for a new one.
//!
//! Count zero in both roles is final: nobody has a reference from which to make another.

use crate::primitive::{AtomicU32, AtomicU64, Bug, Ordering::*, bug};

const SEQ_BITS: u32 = 30;
const SEQ_MASK: u64 = (1 << SEQ_BITS) - 1;
const THREAD_BITS: u32 = 14;
const COUNT_SHIFT: u32 = SEQ_BITS + THREAD_BITS;
pub(crate) const MAX_COUNT: u64 = (1 << (64 - COUNT_SHIFT)) - 1;

/// A change's name: thread slot + 1, and sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag {
    pub(crate) thread: u32,
    pub(crate) sequence: u32,
}

#[inline]
pub(crate) fn count(word: u64) -> u64 {
    word >> COUNT_SHIFT
}

fn tag(word: u64) -> Option<Tag> {
    let thread = (word >> SEQ_BITS) as u32 & ((1 << THREAD_BITS) - 1);
    (thread != 0).then(|| Tag { thread: thread - 1, sequence: (word & SEQ_MASK) as u32 })
}

fn pack(count: u64, tag: Tag) -> u64 {
    count << COUNT_SHIFT | u64::from(tag.thread + 1) << SEQ_BITS | u64::from(tag.sequence)
}

pub(crate) fn next_sequence(sequence: u32) -> u32 {
    (sequence + 1) & SEQ_MASK as u32
}

/// `a` is at or after `b`, on a circle of 2^30.
fn reached(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) & SEQ_MASK as u32) < 1 << (SEQ_BITS - 1)
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Changed {
    To(u64),
    /// The count was zero, or is full: nothing was changed.
    Refused(u64),
}

/// Adds one (`up`) or takes one away, under the name `me`. `done_of(t)` is the `done` word of thread slot t.
pub(crate) fn change<'a>(
    word: &AtomicU64,
    up: bool,
    me: Tag,
    done_of: impl Fn(u32) -> Option<&'a AtomicU32>,
) -> Changed {
    let mut seen = word.load(Acquire);
    loop {
        let n = count(seen);
        let new = match (up, n) {
            (true, 0) | (false, 0) => return Changed::Refused(n),
            (true, MAX_COUNT) => return Changed::Refused(n),
            (true, n) => n + 1,
            (false, n) => n - 1,
        };
        if let Some(last) = tag(seen).filter(|last| last.thread != me.thread)
            && !bug(Bug::ChangeUnconfirmed)
            && let Some(done) = done_of(last.thread)
        {
            confirm(done, last.sequence);
        }
        match word.compare_exchange_weak(seen, pack(new, me), AcqRel, Acquire) {
            Ok(_) => return Changed::To(new),
            Err(now) => seen = now,
        }
    }
}

/// Confirms the last change of a word that is about to be written anew, for another object.
pub(crate) fn confirm_last<'a>(word: &AtomicU64, done_of: impl Fn(u32) -> Option<&'a AtomicU32>) {
    if let Some(last) = tag(word.load(Acquire))
        && let Some(done) = done_of(last.thread)
    {
        confirm(done, last.sequence);
    }
}

/// Raises a `done` word to at least `sequence`.
pub(crate) fn confirm(done: &AtomicU32, sequence: u32) {
    let mut seen = done.load(Acquire);
    while !reached(seen, sequence) {
        match done.compare_exchange_weak(seen, sequence, AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// Whether the change `me` of a thread that is gone happened.
pub(crate) fn happened(word: &AtomicU64, me: Tag, done: &AtomicU32) -> bool {
    tag(word.load(Acquire)) == Some(me) || reached(done.load(Acquire), me.sequence)
}

/// The first reference of a fresh object.
pub(crate) fn first(me: Tag) -> u64 {
    pack(1, me)
}

/// How many are in it, and no last change: for the role nobody holds yet.
pub(crate) const NONE: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn done_words() -> [AtomicU32; 4] {
        Default::default()
    }

    #[test]
    fn a_change_is_detected_also_after_it_was_overwritten() {
        let done = done_words();
        let of = |t: u32| done.get(t as usize);
        let word = AtomicU64::new(first(Tag { thread: 0, sequence: 1 }));
        let a = Tag { thread: 1, sequence: 5 };
        assert!(!happened(&word, a, &done[1]));
        assert_eq!(change(&word, true, a, of), Changed::To(2));
        assert!(happened(&word, a, &done[1]), "named by the word");
        assert_eq!(change(&word, true, Tag { thread: 2, sequence: 9 }, of), Changed::To(3));
        assert!(happened(&word, a, &done[1]), "named by its done word");
        assert!(!happened(&word, Tag { thread: 1, sequence: 6 }, &done[1]));
    }

    #[test]
    fn zero_is_final_and_full_is_an_error() {
        let done = done_words();
        let of = |t: u32| done.get(t as usize);
        let me = Tag { thread: 0, sequence: 1 };
        let word = AtomicU64::new(first(me));
        assert_eq!(change(&word, false, me, of), Changed::To(0));
        assert_eq!(change(&word, true, me, of), Changed::Refused(0));
        assert_eq!(change(&word, false, me, of), Changed::Refused(0));
        word.store(pack(MAX_COUNT, me), Relaxed);
        assert_eq!(change(&word, true, me, of), Changed::Refused(MAX_COUNT));
    }

    #[test]
    fn sequences_go_round() {
        let last = SEQ_MASK as u32;
        assert_eq!(next_sequence(last), 0);
        assert!(reached(0, last) && !reached(last, 0));
        let done = AtomicU32::new(last);
        confirm(&done, 0);
        assert_eq!(done.load(Relaxed), 0);
        confirm(&done, last);
        assert_eq!(done.load(Relaxed), 0, "never goes back");
    }

    #[test]
    fn role_without_holder_has_count_zero() {
        assert_eq!((count(NONE), tag(NONE)), (0, None));
    }
}

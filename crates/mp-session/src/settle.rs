//! Settling the operations on objects that a dead thread was in the middle of: see the table of [`crate::intent`].

use std::sync::atomic::Ordering::*;

use crate::heap::Tag;
use crate::intent::{Intent, Op};
use crate::owned::Owned;
use crate::refs;
use crate::table::{DESTROYING, EntryState, LIVE, finish_destroy};
use crate::thread::Me;

impl Me<'_> {
    /// Settles what thread slot `victim` was in the middle of. The caller is its only sweeper.
    pub(crate) fn settle(&self, victim: u32) {
        let ground = self.ground();
        let slot = ground.thread(victim);
        if let Some(intent) = slot.intent.read() {
            match intent.op {
                Op::Create => self.settle_create(intent),
                Op::Retain | Op::Release => self.settle_change(victim, intent),
                Op::Destroy => {
                    let head = ground.word(intent.d);
                    finish_destroy(ground, intent.a as u32, intent.b, intent.c, head);
                }
                Op::PutTry | Op::PutHeld | Op::TakeTry | Op::TakeHeld => {
                    crate::cell::settle(ground, &slot.intent, intent);
                }
            }
            slot.intent.clear();
        }
        self.work_off(&slot.destroying);
    }

    fn settle_create(&self, intent: Intent) {
        let ground = self.ground();
        let index = intent.a as u32;
        let entry = ground.entry(index);
        if entry.state.load(Acquire) != intent.b {
            return; // never claimed, or committed
        }
        for record in [intent.c, intent.d] {
            if record != 0 {
                ground.word(record).store(0, Release);
            }
        }
        let offset = entry.offset.load(Acquire);
        if offset != 0 {
            ground.free(offset, Tag::entry(index));
        }
        let next = EntryState::unpack(intent.b).next_free();
        let _ = entry.state.compare_exchange(intent.b, next, AcqRel, Relaxed);
    }

    fn settle_change(&self, victim: u32, intent: Intent) {
        let ground = self.ground();
        let Some(owned) = Owned::unpack(intent.a) else { return };
        let entry = ground.entry(owned.index);
        let tag = refs::Tag { thread: victim, sequence: intent.d as u32 };
        if !refs::happened(&entry.refs[owned.role as usize], tag, &ground.thread(victim).done) {
            return;
        }
        ground.word(intent.b).store(intent.c, Release);
        if intent.op != Op::Release || entry.refs.iter().any(|w| refs::count(w.load(Acquire)) != 0) {
            return;
        }
        // The last reference is gone: the victim's stack is where the entry belongs, whoever settles this next.
        let mut state = EntryState::unpack(entry.state.load(Acquire));
        if state.status == LIVE {
            let marked = EntryState { status: DESTROYING, thread: victim as u16 + 1, ..state };
            if entry.state.compare_exchange(state.pack(), marked.pack(), AcqRel, Relaxed).is_ok() {
                state = marked;
            }
        }
        let stack = &ground.thread(victim).destroying;
        let on_top = stack.load(Acquire) == u64::from(owned.index) + 1;
        if state.status == DESTROYING && u32::from(state.thread) == victim + 1 && !on_top {
            // Marked and not pushed; had it been pushed it would be on top, for nothing was pushed since.
            entry.next.store(stack.load(Acquire), Relaxed);
            stack.store(u64::from(owned.index) + 1, Release);
        }
    }
}

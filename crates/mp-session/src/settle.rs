//! Settling the operations on objects that a dead thread was in the middle of: see the table of [`crate::intent`].

use crate::primitive::Ordering::*;

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
                Op::TakePermit | Op::ReturnPermit => self.settle_permit(victim, intent),
                Op::PutTry | Op::PutHeld | Op::TakeTry | Op::TakeHeld | Op::MoveTry | Op::MoveHeld => {
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

#[cfg(test)]
#[expect(clippy::mem_forget, reason = "no destructor runs in a killed process")]
mod tests {
    use super::*;
    use crate::founding::HeapSession;
    use crate::ids::{Kind, Role};
    use crate::object::{Blueprint, Object};
    use crate::session::Session;
    use crate::table::{FREE, LIVE, Shape};

    fn heap() -> (HeapSession, Session, Session) {
        let heap = Session::on_heap(0).unwrap();
        let (survivor, victim) = (heap.member("survivor").unwrap(), heap.member("victim").unwrap());
        (heap, survivor, victim)
    }

    fn plan(size: u64) -> Blueprint {
        Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size }
    }

    /// Settles as two sweepers would, of whom the first dies before it has cleared the intent; then sweeps in earnest.
    fn die(survivor: &Session, victim: Session) {
        let (s, v) = (survivor.me().unwrap(), victim.me().unwrap().index);
        if let Some(intent) = s.inner.ground.thread(v).intent.read() {
            match intent.op {
                Op::Create => s.settle_create(intent),
                Op::Retain | Op::Release => s.settle_change(v, intent),
                Op::Destroy => {
                    finish_destroy(
                        &s.inner.ground,
                        intent.a as u32,
                        intent.b,
                        intent.c,
                        s.inner.ground.word(intent.d),
                    );
                }
                _ => {}
            }
        }
        victim.abandon();
        assert!(survivor.notice_deaths().unwrap());
    }

    /// A handle of the victim to an object of the survivor's, by way of a message.
    fn given(from: &Session, object: &Object, to: &Session) -> (Owned, u64) {
        let me = to.me().unwrap();
        let _ = from;
        let record = to.0.book.take(&to.0.ground, &to.0.magazines).unwrap();
        let owned = Owned { index: object.id().0, role: object.role() };
        me.retain(owned, record).unwrap();
        (owned, record)
    }

    #[test]
    fn a_creation_is_undone_or_swept_at_each_stage() {
        for stage in 0..6 {
            let (_heap, survivor, victim) = heap();
            // A last user whose traces are in the entry and in the block.
            drop(Object::create(&victim, plan(100), |_, _| {}).unwrap());
            let before = survivor.stats();
            let me = victim.me().unwrap();
            let (ground, slot) = (me.ground(), me.slot());
            let record = victim.0.book.take(ground, &victim.0.magazines).unwrap();
            let index = (0..1 << 10)
                .find(|i| EntryState::unpack(ground.entry(*i).state.load(Relaxed)).status == FREE)
                .unwrap();
            let entry = ground.entry(index);
            let free = EntryState::unpack(entry.state.load(Relaxed));
            let mine = EntryState { status: crate::table::CREATING, thread: me.index as u16 + 1, ..free };
            slot.intent.begin(Op::Create, u64::from(index), mine.pack(), record, 0);
            let owned = Owned { index, role: Role::First };
            if stage >= 1 {
                entry.state.store(mine.pack(), Relaxed);
            }
            if stage >= 2 {
                entry.offset.store(0, Relaxed);
            }
            if stage >= 3 {
                ground.allocate(&victim.0.magazines, 100, Tag::entry(index), &entry.offset).unwrap();
            }
            if stage >= 4 {
                let tag = refs::Tag { thread: me.index, sequence: me.next_sequence() };
                entry.refs[0].store(refs::first(tag), Relaxed);
                entry.refs[1].store(refs::NONE, Relaxed);
                ground.word(record).store(owned.pack(), Relaxed);
            }
            if stage >= 5 {
                entry.state.store(EntryState { status: LIVE, thread: 0, ..mine }.pack(), Release);
            }
            die(&survivor, victim);
            let now = survivor.stats();
            assert_eq!(
                (now.objects, now.bytes_in_use),
                (before.objects, before.bytes_in_use),
                "stage {stage}"
            );
        }
    }

    #[test]
    fn another_reference_is_undone_or_swept_at_each_stage() {
        for (stage, overtaken) in [(0, false), (1, false), (1, true), (2, false), (2, true), (3, true)] {
            let (_heap, survivor, victim) = heap();
            let object = Object::create(&survivor, plan(100), |_, _| {}).unwrap();
            let (owned, _) = given(&survivor, &object, &victim);
            let me = victim.me().unwrap();
            let (ground, slot) = (me.ground(), me.slot());
            let record = victim.0.book.take(ground, &victim.0.magazines).unwrap();
            let sequence = me.next_sequence();
            slot.intent.begin(Op::Retain, owned.pack(), record, owned.pack(), u64::from(sequence));
            if stage >= 1 {
                let tag = refs::Tag { thread: me.index, sequence };
                refs::change(&ground.entry(owned.index).refs[0], true, tag, |t| Some(&ground.thread(t).done));
            }
            if stage >= 2 {
                ground.word(record).store(owned.pack(), Release);
            }
            if stage >= 3 {
                slot.done.store(sequence, Release);
            }
            // Somebody else changes the count before the sweeper looks.
            let other = overtaken.then(|| object.try_clone_counted().unwrap());
            die(&survivor, victim);
            drop(other);
            assert_eq!(object.holders(Role::First), 1, "stage {stage}, overtaken: {overtaken}");
        }
    }

    #[test]
    fn a_release_is_done_once_at_each_stage() {
        for kept in [false, true] {
            for stage in 0..7 {
                let (_heap, survivor, victim) = heap();
                let before = survivor.stats();
                let object = Object::create(&survivor, plan(100), |_, _| {}).unwrap();
                let (owned, record) = given(&survivor, &object, &victim);
                let object = kept.then_some(object);
                let me = victim.me().unwrap();
                let (ground, slot) = (me.ground(), me.slot());
                let entry = ground.entry(owned.index);
                let sequence = me.next_sequence();
                slot.intent.begin(Op::Release, owned.pack(), record, 0, u64::from(sequence));
                let state = EntryState::unpack(entry.state.load(Relaxed));
                if stage >= 1 {
                    let tag = refs::Tag { thread: me.index, sequence };
                    refs::change(&entry.refs[0], false, tag, |t| Some(&ground.thread(t).done));
                }
                if stage >= 2 {
                    ground.word(record).store(0, Release);
                }
                if stage >= 3 && !kept {
                    entry.state.store(
                        EntryState { status: DESTROYING, thread: me.index as u16 + 1, ..state }.pack(),
                        Relaxed,
                    );
                }
                if stage >= 4 && !kept {
                    entry.next.store(0, Relaxed);
                    slot.destroying.store(u64::from(owned.index) + 1, Release);
                }
                if stage >= 5 {
                    slot.done.store(sequence, Release);
                }
                if stage >= 6 {
                    slot.intent.clear();
                }
                die(&survivor, victim);
                assert_eq!(
                    object.as_ref().map_or(0, |o| o.holders(Role::First)),
                    u64::from(kept),
                    "stage {stage}"
                );
                drop(object);
                let now = survivor.stats();
                assert_eq!(
                    (now.objects, now.bytes_in_use),
                    (before.objects, before.bytes_in_use),
                    "stage {stage}"
                );
            }
        }
    }

    #[test]
    fn a_destruction_is_finished_at_each_stage() {
        for stage in 0..4 {
            let (_heap, survivor, victim) = heap();
            let before = survivor.stats();
            let object = Object::create(&victim, plan(100), |_, _| {}).unwrap();
            let index = object.id().0;
            let me = victim.me().unwrap();
            let (ground, slot) = (me.ground(), me.slot());
            let entry = ground.entry(index);
            // Released and on the stack, its record cleared.
            for (at, _) in crate::ledger::records(ground, victim.0.member.index) {
                ground.word(at).store(0, Relaxed);
            }
            entry.refs[0].store(refs::NONE, Relaxed);
            let state = EntryState {
                status: DESTROYING,
                thread: me.index as u16 + 1,
                ..EntryState::unpack(entry.state.load(Relaxed))
            };
            entry.state.store(state.pack(), Relaxed);
            entry.next.store(0, Relaxed);
            slot.destroying.store(u64::from(index) + 1, Relaxed);
            slot.intent.begin(
                Op::Destroy,
                u64::from(index),
                state.pack(),
                0,
                ground.offset_of(&slot.destroying),
            );
            if stage >= 1 {
                ground.free(entry.offset.load(Relaxed), Tag::entry(index));
            }
            if stage >= 2 {
                slot.destroying.store(0, Relaxed);
            }
            let mut next = None;
            if stage >= 3 {
                entry.state.store(state.next_free(), Relaxed);
                // And the entry has its next user already.
                next = Some(Object::create(&survivor, plan(100), |_, _| {}).unwrap());
            }
            std::mem::forget(object); // as a kill does
            die(&survivor, victim);
            assert!(next.as_ref().is_none_or(|o| o.holders(Role::First) == 1), "stage {stage}");
            drop(next);
            let now = survivor.stats();
            assert_eq!(
                (now.objects, now.bytes_in_use),
                (before.objects, before.bytes_in_use),
                "stage {stage}"
            );
        }
    }

    /// *last-name-lost*: the victim took one role to zero and no further; somebody else takes the other one to zero, destroys
    /// the object, and a new one is made in its place. The victim's record must not be taken for a reference to that.
    #[test]
    fn a_cut_release_does_not_hit_the_next_object_in_the_entry() {
        let (_heap, survivor, victim) = heap();
        let (first, second) = Object::create_pair(&survivor, plan(100), |_, _| {}).unwrap();
        let (owned, record) = given(&survivor, &first, &victim);
        drop(first);
        let me = victim.me().unwrap();
        let (ground, slot) = (me.ground(), me.slot());
        let sequence = me.next_sequence();
        slot.intent.begin(Op::Release, owned.pack(), record, 0, u64::from(sequence));
        let tag = refs::Tag { thread: me.index, sequence };
        refs::change(&ground.entry(owned.index).refs[0], false, tag, |t| Some(&ground.thread(t).done));
        drop(second); // both are zero now: it is destroyed
        let mut others = Vec::new();
        let next = loop {
            let made = Object::create(&survivor, plan(100), |_, _| {}).unwrap();
            if made.id().0 == owned.index {
                break made;
            }
            others.push(made);
            assert!(others.len() < 1000, "the entry is never used again");
        };
        die(&survivor, victim);
        assert_eq!(next.holders(Role::First), 1);
        let copy = next.try_clone_counted().unwrap();
        assert_eq!(copy.holders(Role::First), 2);
    }
}

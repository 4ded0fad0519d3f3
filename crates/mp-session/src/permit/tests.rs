use super::*;
use crate::founding::HeapSession;
use crate::ids::Kind;
use crate::object::Blueprint;
use crate::session::Session;
use crate::table::Shape;

const PLAN: Blueprint = Blueprint { kind: Kind::SEMAPHORE, fingerprint: 0, shape: Shape::Plain, size: 0 };

fn heap() -> (HeapSession, Session, Session) {
    let heap = Session::on_heap(0).unwrap();
    let (survivor, victim) = (heap.member("survivor").unwrap(), heap.member("victim").unwrap());
    (heap, survivor, victim)
}

fn permits(session: &Session, start: u64, most: u64) -> Object {
    Object::create(session, PLAN, |words, _| permit_words(words.word(0), words.word(1), start, most)).unwrap()
}

fn count(object: &Object) -> u64 {
    PermitWord(object.words().word(0).load(SeqCst)).count()
}

/// Settles as two sweepers would, of whom the first dies before it has cleared the intent; then sweeps in earnest.
fn die(survivor: &Session, victim: Session) {
    let (s, v) = (survivor.me().unwrap(), victim.me().unwrap().index);
    if let Some(intent) = s.ground().thread(v).intent.read() {
        s.settle_permit(v, intent);
    }
    victim.abandon();
    assert!(survivor.notice_deaths().unwrap());
}

#[test]
fn taking_and_giving_back() {
    let (_heap, session, _other) = heap();
    let object = permits(&session, 2, 2);
    let one = object.take_permit(false).unwrap().unwrap();
    let two = object.take_permit(false).unwrap().unwrap();
    assert!(object.take_permit(false).unwrap().is_none());
    drop(one);
    assert_eq!(count(&object), 1);
    // Somebody gave an anonymous one back that nobody had: the count stays within its bound.
    object.words().word(0).store(PermitWord::new(2).0, SeqCst);
    drop(two);
    assert_eq!(count(&object), 2);
}

#[test]
fn a_dead_process_s_permits_return_once() {
    let (_heap, survivor, victim) = heap();
    let object = permits(&survivor, 5, PermitWord::MAX);
    let me = victim.me().unwrap();
    let (index, _) = object.id();
    for _ in 0..3 {
        let record = victim.0.book.take(&victim.0.ground, &victim.0.magazines).unwrap();
        assert!(me.change_permits(Op::TakePermit, index, record, |w| Some(w.with_count(w.count() - 1))));
    }
    assert_eq!(count(&object), 2);
    die(&survivor, victim);
    assert_eq!(count(&object), 5);
    assert!(!survivor.notice_deaths().unwrap());
    assert_eq!(count(&object), 5);
}

/// Each stage of taking and of giving back at which a process may die, with and without others' changes in between.
#[test]
fn a_change_is_settled_at_each_stage() {
    for op in [Op::TakePermit, Op::ReturnPermit] {
        for stage in 0..5 {
            for overtaken in [false, true] {
                let (_heap, survivor, victim) = heap();
                let object = permits(&survivor, 5, 5);
                let (index, _) = object.id();
                let me = victim.me().unwrap();
                let (ground, slot) = (me.ground(), me.slot());
                let record = victim.0.book.take(ground, &victim.0.magazines).unwrap();
                let takes = op == Op::TakePermit;
                if !takes {
                    me.change_permits(Op::TakePermit, index, record, |w| Some(w.with_count(w.count() - 1)));
                }
                let word = &ground.entry(index).words[0];
                let sequence = next(slot.permit.load(Relaxed) >> 8);
                let after = if takes { owned::permit(index) } else { 0 };
                slot.permit.store(sequence << 8 | BEGUN, Relaxed);
                slot.intent.begin(op, u64::from(index), record, after, u64::from(sequence));
                if stage >= 1 {
                    let seen = PermitWord(word.load(SeqCst));
                    let now = if takes { seen.count() - 1 } else { seen.count() + 1 };
                    word.store(seen.with_count(now).named(me.index, sequence).0, SeqCst);
                }
                if stage >= 2 {
                    ground.word(record).store(after, Release);
                }
                if stage >= 3 {
                    slot.intent.clear();
                }
                if stage >= 4 {
                    slot.permit.store(sequence << 8 | IDLE, Release);
                }
                // Somebody else's name covers the victim's before the sweeper looks; and an anonymous change does not.
                let other = overtaken.then(|| object.take_permit(false).unwrap().unwrap());
                let seen = PermitWord(word.load(SeqCst));
                word.store(seen.with_count(seen.count() - 1).0, SeqCst);
                die(&survivor, victim);
                drop(other);
                assert_eq!(count(&object), 4, "{op:?}, stage {stage}, overtaken: {overtaken}");
            }
        }
    }
}

#[test]
fn an_old_name_is_not_taken_for_a_new_one() {
    let (_heap, survivor, victim) = heap();
    let object = permits(&survivor, 5, 5);
    let (index, _) = object.id();
    let me = victim.me().unwrap();
    let (ground, slot) = (me.ground(), me.slot());
    let record = victim.0.book.take(ground, &victim.0.magazines).unwrap();
    me.change_permits(Op::TakePermit, index, record, |w| Some(w.with_count(w.count() - 1)));
    let (_, named) = PermitWord(ground.entry(index).words[0].load(SeqCst)).name().unwrap();
    // Its sequences have gone round once.
    slot.permit.store((named.wrapping_sub(1) & SEQUENCE as u32) << 8, Relaxed);
    let second = victim.0.book.take(ground, &victim.0.magazines).unwrap();
    assert!(!me.change_permits(Op::TakePermit, index, second, |_| None));
    assert_eq!(slot.permit.load(Relaxed) >> 8, next(named));
    die(&survivor, victim);
    assert_eq!(count(&object), 5);
}

#[test]
fn a_forgotten_permit_keeps_its_object_until_the_process_is_swept() {
    let (_heap, survivor, victim) = heap();
    let before = survivor.stats().objects;
    let object = permits(&victim, 1, 1);
    std::mem::forget(object.take_permit(false).unwrap().unwrap());
    drop(object);
    assert_eq!(survivor.stats().objects, before + 1);
    victim.abandon();
    assert!(survivor.notice_deaths().unwrap());
    assert_eq!(survivor.stats().objects, before);
}

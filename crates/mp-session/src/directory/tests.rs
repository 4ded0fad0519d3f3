use super::*;
use crate::founding::HeapSession;
use crate::ids::{Kind, Role};
use crate::object::Blueprint;
use crate::table::Shape;

fn heap() -> (HeapSession, Session, Session) {
    let heap = Session::on_heap(0).unwrap();
    let (a, b) = (heap.member("a").unwrap(), heap.member("b").unwrap());
    (heap, a, b)
}

fn block(session: &Session) -> Object {
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 100 };
    Object::create(session, plan, |_, _| {}).unwrap()
}

#[test]
fn a_name_is_found_by_others_and_withdrawn_by_anybody() {
    let (heap, a, b) = heap();
    let before = a.stats();
    let object = block(&a);
    a.publish("one", &object).unwrap();
    a.publish("two", &(7_u32, "text".to_owned())).unwrap();
    assert_eq!(b.lookup::<Object>("one").unwrap().unwrap().id(), object.id());
    assert_eq!(b.lookup::<(u32, String)>("two").unwrap(), Some((7, "text".into())));
    assert!(matches!(b.lookup::<u32>("two"), Err(Error::WrongType { .. })));
    assert!(matches!(b.publish("one", &1_u8), Err(Error::InvalidArgument { .. })));
    assert_eq!(b.published().unwrap(), ["one", "two"]);
    drop(object);
    let kept = b.lookup::<Object>("one").unwrap().unwrap();
    assert!(b.unpublish("one").unwrap() && !a.unpublish("one").unwrap());
    assert_eq!(kept.holders(Role::First), 1, "who has looked it up keeps it");
    drop(kept);
    assert!(a.unpublish("two").unwrap());
    assert_eq!(a.published().unwrap(), Vec::<String>::new());
    assert_eq!(heap.verify(), Vec::<String>::new());
    assert_eq!(a.stats().objects, before.objects);
}

#[test]
fn names_have_bounds() {
    let (heap, a, _b) = heap();
    assert!(matches!(a.publish("", &1_u8), Err(Error::InvalidArgument { .. })));
    assert!(matches!(a.publish(&"x".repeat(256), &1_u8), Err(Error::InvalidArgument { .. })));
    a.publish(&"x".repeat(255), &1_u8).unwrap();
    let full = (0..200).map(|i| a.publish(&i.to_string(), &i)).find_map(Result::err).unwrap();
    assert!(
        matches!(&full, Error::LimitReached { limit, .. } if limit.contains("published names")),
        "{full}"
    );
    for name in a.published().unwrap() {
        assert!(a.unpublish(&name).unwrap());
    }
    (0..200).for_each(|i| {
        a.publish("again", &i).unwrap();
        assert!(a.unpublish("again").unwrap());
    });
    assert_eq!(a.stats().objects, 0);
    assert_eq!(heap.verify(), Vec::<String>::new());
}

#[test]
fn of_many_who_publish_one_name_one_wins() {
    let (heap, a, b) = heap();
    for round in 0..200 {
        let won: u32 = std::thread::scope(|scope| {
            let tries: Vec<_> = [&a, &b, &a, &b]
                .into_iter()
                .map(|s| scope.spawn(move || u32::from(s.publish("crown", &round).is_ok())))
                .collect();
            tries.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(won, 1, "round {round}");
        assert_eq!(b.lookup::<i32>("crown").unwrap(), Some(round));
        assert!(a.unpublish("crown").unwrap());
    }
    assert_eq!(a.stats().objects, 0);
    assert_eq!(heap.verify(), Vec::<String>::new());
}

/// A member dies at each stage of a publication; its sweeper, or whoever comes first, finishes or undoes it.
#[test]
fn a_publisher_dies_at_each_stage() {
    for stage in 0..5 {
        for (swept_first, taken_over) in [(true, false), (false, true), (false, false)] {
            let (heap, a, b) = heap();
            let me = b.me().unwrap();
            let message = b.write("name", &block(&b)).unwrap();
            let ground = &b.0.ground;
            if stage >= 1 {
                let (index, state) = b.prepare(&me, "name", &message).unwrap();
                assert_eq!(a.lookup::<Object>("name").unwrap(), None, "prepared is not shown");
                let word = &ground.header().directory;
                if stage >= 2 {
                    word.store(VERSION | u64::from(index + 1), SeqCst);
                }
                if stage >= 3 {
                    advance(ground.name(index), state, SHOWN);
                }
                if stage >= 4 {
                    word.store(VERSION, SeqCst);
                }
            }
            drop(message);
            b.abandon();
            let published = stage >= 2;
            if taken_over {
                assert_eq!(a.publish("name", &block(&a)).is_err(), published, "stage {stage}");
            }
            if swept_first {
                assert!(a.notice_deaths().unwrap());
            }
            assert_eq!(
                a.lookup::<Object>("name").unwrap().is_some(),
                published || taken_over,
                "stage {stage}"
            );
            a.notice_deaths().unwrap();
            assert_eq!(a.unpublish("name").unwrap(), published || taken_over);
            assert_eq!((a.stats().objects, a.stats().members), (0, 1), "stage {stage}");
            assert_eq!(heap.verify(), Vec::<String>::new());
        }
    }
}

/// Who looks keeps the object from being released, and no longer than it looks, or lives.
#[test]
fn a_reader_that_looks_delays_only_the_release() {
    for dies in [false, true] {
        let (heap, a, b) = heap();
        a.publish("name", &block(&a)).unwrap();
        let looking = &b.0.ground.thread(b.me().unwrap().index).looking;
        looking.store(1, SeqCst);
        assert!(a.unpublish("name").unwrap());
        assert_eq!(a.lookup::<Object>("name").unwrap(), None);
        a.publish("name", &1_u8).unwrap();
        assert!(a.unpublish("name").unwrap());
        assert_eq!(a.stats().objects, 2, "the message and the block are being looked at");
        if dies {
            b.abandon();
            assert!(a.notice_deaths().unwrap());
        } else {
            looking.store(0, SeqCst);
            tidy(&b.me().unwrap());
        }
        assert_eq!(a.stats().objects, 0);
        assert_eq!(heap.verify(), Vec::<String>::new());
    }
}

/// Who withdraws dies after the retirement, or in the middle of emptying.
#[test]
fn who_withdraws_dies_at_each_stage() {
    for stage in 0..3 {
        let (heap, a, b) = heap();
        a.publish("name", &block(&a)).unwrap();
        let me = b.me().unwrap();
        let (ground, slot) = (&b.0.ground, b.0.ground.name(0));
        let shown = slot.cell.state();
        assert!(advance(slot, shown, RETIRED - SHOWN));
        if stage >= 1 {
            let record = b.0.book.take(ground, &b.0.magazines).unwrap();
            let claim = Claim::take(ground, me.index, &slot.cell, slot.cell.state(), record).unwrap();
            if stage >= 2 {
                claim.empty_into(record);
            }
        }
        b.abandon();
        assert!(a.notice_deaths().unwrap());
        assert_eq!(a.lookup::<Object>("name").unwrap(), None);
        assert_eq!(a.stats().objects, 0, "stage {stage}");
        a.publish("name", &1_u8).unwrap();
        assert_eq!(heap.verify(), Vec::<String>::new());
    }
}

//! One process plays several members of a session in its own memory and lets them die.

use std::sync::atomic::Ordering::*;
use std::time::{Duration, Instant};

use mp_session::{Blueprint, Error, Kind, Message, Object, Role, Session, Shape, ThreadId};

fn block(session: &Session, size: u64) -> Object {
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 7, shape: Shape::Plain, size };
    Object::create(session, plan, |_, _| {}).unwrap()
}

fn nobody() -> ThreadId {
    ThreadId::NONE
}

#[test]
fn objects_come_and_go() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let before = a.stats();
    let held: Vec<Object> = (0..500).map(|i| block(&a, i * 10)).collect();
    assert_eq!(a.stats().objects, before.objects + 500);
    let copies = held.clone();
    drop(held);
    assert_eq!(a.stats().objects, before.objects + 500, "clones hold");
    drop(copies);
    let after = a.stats();
    assert_eq!(after.objects, before.objects);
    assert!(after.bytes_in_use <= 16 * 1024, "only the ledger's chunks are left: {after:?}");
}

#[test]
#[expect(clippy::mem_forget, reason = "no destructor runs in a killed process")]
fn what_a_dead_member_held_is_released_and_nothing_else() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let kept = block(&a, 1000);
    let before = a.stats();
    for round in 0..300 {
        let b = heap.member("b").unwrap();
        let own: Vec<Object> = (0..20).map(|i| block(&b, i * 333)).collect();
        let message = Message::encode(&b, &(kept_in(&b, &kept), own[3].clone(), vec![round; 200])).unwrap();
        assert_eq!(kept.holders(Role::First), 2, "ours and the message's");
        let inner = message.clone();
        std::mem::forget((own, message, inner));
        b.abandon();
        assert!(a.notice_deaths().unwrap());
        assert_eq!(kept.holders(Role::First), 1);
        let now = a.stats();
        assert_eq!(
            (now.objects, now.members, now.threads),
            (before.objects, before.members, before.threads),
            "round {round}"
        );
        assert_eq!(now.bytes_in_use, before.bytes_in_use, "round {round}");
    }
    assert!(a.stats().bytes_touched < 4 << 20, "memory was used again: {:?}", a.stats());
}

/// The same object seen by another member, through a message, as it would travel.
fn kept_in(b: &Session, kept: &Object) -> Object {
    let message = Message::encode(kept.session(), &kept.clone()).unwrap();
    let _ = b;
    message.decode().unwrap()
}

#[test]
fn messages_carry_handles_and_release_them_unread() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let object = block(&a, 64);
    let message = Message::encode(&a, &vec![object.clone(), object.clone()]).unwrap();
    assert_eq!(object.holders(Role::First), 3);
    let twice: Vec<Object> = message.decode().unwrap();
    assert_eq!(object.holders(Role::First), 5);
    assert!(twice.iter().all(|o| *o == object));
    drop(twice);
    let nested = Message::encode(&a, &message.as_object().clone()).unwrap();
    drop(message);
    assert_eq!(object.holders(Role::First), 3, "the outer message holds the inner one");
    drop(nested);
    assert_eq!(object.holders(Role::First), 1);
}

#[test]
fn a_message_decodes_to_what_was_sent_or_to_an_error() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let big: Vec<u8> = (0..1_000_000).map(|i| i as u8).collect();
    assert_eq!(Message::encode(&a, &big).unwrap().decode::<Vec<u8>>().unwrap(), big);
    let text = Message::encode(&a, &("hello".to_owned(), 5_u8)).unwrap();
    assert!(matches!(text.decode::<Vec<String>>(), Err(Error::Decode { .. })));
    let wrong = block(&a, 8);
    assert!(matches!(Message::from_object(wrong), Err(Error::WrongKind { .. })));
    let wrong = block(&a, 8).expect(Kind::BLOCK, 8);
    assert!(matches!(wrong, Err(Error::WrongType { .. })));
}

#[test]
fn handles_do_not_serialise_outside_of_a_message() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let mut bytes = Vec::new();
    let object = block(&a, 8);
    // Encoding alone is a carrier; packing it is what needs a session.
    let encoded = mp_wire::encode(&object, &mut bytes).unwrap();
    assert_eq!(encoded.exports.len(), 1);
    assert!(Message::pack(&a, encoded.codec, &bytes, vec![Box::new(5_u8)]).is_err());
}

#[test]
fn waiting_times_out_and_is_woken() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let object = block(&a, 0);
    let started = Instant::now();
    let deadline = started + Duration::from_millis(50);
    let nothing =
        a.wait(object.words().waiters(Role::First), Some(deadline), &nobody, || Ok(None::<()>)).unwrap();
    assert!(nothing.is_none() && started.elapsed() >= Duration::from_millis(50));
    assert!(started.elapsed() < Duration::from_secs(2));

    let threads: Vec<_> = (0..6)
        .map(|_| {
            let (a, object) = (a.clone(), object.clone());
            std::thread::spawn(move || {
                let far = Instant::now() + Duration::from_secs(20);
                a.wait(object.words().waiters(Role::First), Some(far), &nobody, || {
                    let tokens = object.words().word(0);
                    let taken = tokens.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1));
                    Ok(taken.ok())
                })
                .unwrap()
                .is_some()
            })
        })
        .collect();
    for _ in 0..6 {
        object.words().word(0).fetch_add(1, SeqCst);
        a.wake_one(object.words().waiters(Role::First));
    }
    for thread in threads {
        assert!(thread.join().unwrap(), "each got one token");
    }
    assert!(!a.wake_one(object.words().waiters(Role::First)), "nobody is left");
}

#[test]
fn a_death_makes_every_sleeper_look_around() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let b = heap.member("b").unwrap();
    let object = block(&a, 0);
    let (a2, o2) = (a.clone(), object.clone());
    let sleeper = std::thread::spawn(move || {
        let far = Instant::now() + Duration::from_secs(20);
        let deaths = a2.stats().deaths;
        a2.wait(o2.words().waiters(Role::First), Some(far), &nobody, || {
            Ok((a2.stats().deaths > deaths).then_some(()))
        })
        .unwrap()
        .is_some()
    });
    while object.words().waiters(Role::First).load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    b.abandon();
    a.notice_deaths().unwrap();
    assert!(sleeper.join().unwrap());
}

#[test]
fn the_last_of_a_role_to_go_is_told_to_the_other() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let plan = Blueprint { kind: Kind::QUEUE, fingerprint: 0, shape: Shape::Plain, size: 0 };
    let (sender, receiver) = Object::create_pair(&a, plan, |_, _| {}).unwrap();
    assert_eq!((receiver.holders(Role::First), receiver.holders(Role::Second)), (1, 1));
    let r2 = receiver.clone();
    let waiter = std::thread::spawn(move || {
        let far = Instant::now() + Duration::from_secs(20);
        let s = r2.session().clone();
        s.wait(r2.words().waiters(Role::Second), Some(far), &nobody, || {
            Ok((r2.holders(Role::First) == 0).then_some(()))
        })
        .unwrap()
        .is_some()
    });
    drop(sender);
    assert!(waiter.join().unwrap());
    let before = a.stats().objects;
    drop(receiver);
    assert_eq!(a.stats().objects, before - 1);
}

#[test]
fn too_many_members_is_an_error_that_names_the_limit() {
    let heap = Session::on_heap(0).unwrap();
    let mut members = Vec::new();
    let error = loop {
        match heap.member("one of many") {
            Ok(m) => members.push(m),
            Err(e) => break e,
        }
    };
    assert!(matches!(&error, Error::LimitReached { limit, .. } if limit.contains("processes")), "{error}");
    members.pop().unwrap().abandon();
    members[0].notice_deaths().unwrap();
    heap.member("room again").unwrap();
}

/// Twenty waiters, far more than a wait word has lanes for, and one wake-up a token: none is lost. In a session with
/// one member nothing but a wake-up ends a sleep.
#[test]
fn no_wake_up_is_lost_among_twenty_waiters() {
    const TOKENS: u64 = 20_000;
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let object = block(&a, 0);
    let taken = std::sync::atomic::AtomicU64::new(0);
    let far = Instant::now() + Duration::from_secs(60);
    std::thread::scope(|scope| {
        for i in 0..20_u64 {
            let (a, object, taken) = (&a, &object, &taken);
            scope.spawn(move || {
                let (tokens, end) = (object.words().word(0), object.words().word(1));
                loop {
                    // Some give up now and then, and come back.
                    let patience =
                        if i % 4 == 0 { Instant::now() + Duration::from_micros(i * 50) } else { far };
                    let got = a
                        .wait(object.words().waiters(Role::First), Some(patience), &nobody, || {
                            let one = tokens.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
                            Ok(if one { Some(true) } else { (end.load(SeqCst) == 1).then_some(false) })
                        })
                        .unwrap();
                    match got {
                        Some(true) => {
                            taken.fetch_add(1, SeqCst);
                        }
                        Some(false) => break,
                        None => assert!(
                            Instant::now() < far,
                            "a wake-up was lost: {} of {TOKENS} tokens",
                            taken.load(SeqCst)
                        ),
                    }
                }
            });
        }
        let words = object.words();
        for i in 0..TOKENS {
            words.word(0).fetch_add(1, SeqCst);
            a.wake_one(words.waiters(Role::First));
            if i % 64 == 0 {
                // Until all sleep: each round begins with empty hands.
                while words.word(0).load(SeqCst) != 0 && Instant::now() < far {
                    std::thread::yield_now();
                }
            }
        }
        while taken.load(SeqCst) < TOKENS && Instant::now() < far {
            std::thread::yield_now();
        }
        words.word(1).store(1, SeqCst);
        a.wake_all(words.waiters(Role::First));
    });
    assert_eq!(taken.load(SeqCst), TOKENS);
}

//! Handles that nobody gave out: in the place of a message's references stands whatever chance puts there.

use mp_wire::Error;

use crate::primitive::Ordering::*;
use crate::{Blueprint, Kind, Message, Object, Role, Session, Shape};

/// How often: a hundred thousand, or as often as `MP_TEST_FORGERIES` says (ten million is the long form).
fn times() -> u64 {
    std::env::var("MP_TEST_FORGERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

/// xorshift64*: chance that can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A word that looks like a reference, more or less.
    fn word(&mut self, entries: u64) -> u64 {
        let (a, b) = (self.roll(), self.roll());
        match a % 4 {
            0 => b,
            1 => b & 0xFFFF_FFFF,
            // Near what there is, with flags that may be set.
            2 => (b % (entries + 8)) | ((a >> 32 & 0x7) << 32) | ((a >> 40 & 1) << 62),
            _ => (b % (entries + 2)) | ((a >> 32 & 1) << 32),
        }
    }
}

fn make(session: &Session, kind: Kind, fingerprint: u64) -> Object {
    Object::create(session, Blueprint { kind, fingerprint, shape: Shape::Plain, size: 24 }, |_, _| {})
        .unwrap()
}

#[test]
fn forged_references_are_typed_errors_and_leave_nothing() {
    let heap = Session::on_heap(0).unwrap();
    let session = heap.member("m").unwrap();
    let before = {
        // The first of everything, so that what is made once is there.
        drop(Message::encode(&session, &make(&session, Kind::LOCK, 1)).unwrap());
        session.stats()
    };
    let (locks, queues): (Vec<Object>, Vec<Object>) =
        (0..20).map(|i| (make(&session, Kind::LOCK, i), make(&session, Kind::QUEUE, i))).unzip();
    let (second, other) = Object::create_pair(
        &session,
        Blueprint { kind: Kind::QUEUE, fingerprint: 3, shape: Shape::Plain, size: 0 },
        |_, _| {},
    )
    .unwrap();
    // Freed ones as well: entries that are there and empty.
    drop((0..20).map(|i| make(&session, Kind::BLOCK, i)).collect::<Vec<_>>());
    let message =
        Message::encode(&session, &vec![locks[0].clone(), queues[0].clone(), other.clone()]).unwrap();
    let words: Vec<_> = (0..3).map(|i| session.0.ground.word(message.list_word(i).unwrap())).collect();
    let honest: Vec<u64> = words.iter().map(|w| w.load(SeqCst)).collect();
    let entries = session.stats().objects + 24;

    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut refused, mut taken, mut wrong) = (0_u64, 0_u64, 0_u64);
    for _ in 0..times() {
        let at = dice.roll() as usize % 3;
        words[at].store(dice.word(entries), SeqCst);
        match message.imports() {
            Ok(objects) => {
                for object in objects {
                    let object = *object.downcast::<Object>().unwrap();
                    taken += 1;
                    // Where it leads by chance to something that exists, it is that, and no other kind.
                    let (kind, role) = (object.kind(), object.role());
                    assert!(object.holders(role) > 0);
                    match object.expect(Kind::QUEUE, 3) {
                        Ok(_) => assert_eq!(kind, Kind::QUEUE),
                        Err(Error::WrongKind { .. }) => {
                            assert_ne!(kind, Kind::QUEUE);
                            wrong += 1;
                        }
                        Err(Error::WrongType { .. }) => wrong += 1,
                        Err(e) => panic!("{e:?}"),
                    }
                }
            }
            Err(Error::Forged { .. } | Error::Stale { .. }) => refused += 1,
            Err(e) => panic!("{e:?}"),
        }
        words[at].store(honest[at], SeqCst);
    }
    assert!(refused > times() / 4 && taken > 0 && wrong > 0, "{refused} {taken} {wrong}");
    assert_eq!(other.holders(Role::Second), 2, "ours and the message's");
    drop((message, locks, queues, second, other));
    let after = session.stats();
    assert_eq!((after.objects, after.bytes_in_use), (before.objects, before.bytes_in_use));
}

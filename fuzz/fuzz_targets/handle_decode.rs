//! Whatever references a value comes with, each of its handles is an object of the right kind and type, or a typed error; and
//! nothing is left behind.

#![no_main]

use std::any::Any;
use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_queue::{Queue, Receiver, Sender};
use mp_session::{CancelToken, Error, HeapSession, Message, Object, Session};
use mp_sync::{Event, Lock, Mutex, Once, RLock};
use mp_wire::{Codec, decode};

/// A session with objects of many kinds, and references to all of them, in a message.
struct World {
    heap: HeapSession,
    all: Message,
    count: usize,
    objects: u64,
    session: Session,
}

impl World {
    fn new() -> World {
        let heap = Session::on_heap(0).unwrap();
        let session = heap.member("a").unwrap();
        let queue = Queue::<u8>::make(&session, Some(4)).unwrap();
        let (sender, receiver) = Queue::<String>::make(&session, None).unwrap().split();
        let of_queues = (queue, sender, receiver);
        let of_sync = (
            Lock::new_in(&session).unwrap(),
            RLock::new_in(&session).unwrap(),
            Event::new_in(&session).unwrap(),
            Once::new_in(&session).unwrap(),
            (Mutex::new_in(&session, 5_u32).unwrap(), Mutex::new_in(&session, 5_i64).unwrap()),
        );
        let plain = Message::encode(&session, &5_u8).unwrap().as_object().clone();
        let all = Message::encode(&session, &(of_queues, of_sync, plain)).unwrap();
        let count = all.imports().unwrap().len();
        let objects = session.stats().objects;
        World { heap, all, count, objects, session }
    }
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fn check<T: mp_wire::Message>(world: &World, picks: &[u8], bytes: &[u8]) {
    // In any order, some of them more than once.
    let mut imports: Vec<Option<Box<dyn Any + Send>>> = Vec::new();
    for pick in picks {
        let all = world.all.imports().unwrap();
        imports.push(all.into_iter().nth(usize::from(*pick) % world.count));
    }
    let imports = imports.into_iter().flatten().collect();
    match bounded(bytes.len(), || decode::<T>(Codec::Postcard, bytes, imports)) {
        Ok(value) => drop(value),
        Err(
            Error::Decode { .. } | Error::Forged { .. } | Error::WrongKind { .. } | Error::WrongType { .. },
        ) => {}
        Err(other) => panic!("an error of another kind: {other:?}"),
    }
}

// The first byte chooses the type, the second how many references there are; then those, then the value.
fuzz_target!(|bytes: &[u8]| {
    WORLD.with(|world| {
        let world = world.get_or_init(World::new);
        let [which, count, bytes @ ..] = bytes else { return };
        let count = usize::from(*count % 5).min(bytes.len());
        let (picks, bytes) = bytes.split_at(count);
        match which % 14 {
            0 => check::<Lock>(world, picks, bytes),
            1 => check::<RLock>(world, picks, bytes),
            2 => check::<Event>(world, picks, bytes),
            3 => check::<Once>(world, picks, bytes),
            4 => check::<Mutex<u32>>(world, picks, bytes),
            5 => check::<Mutex<i64>>(world, picks, bytes),
            6 => check::<Queue<u8>>(world, picks, bytes),
            7 => check::<Sender<String>>(world, picks, bytes),
            8 => check::<Receiver<String>>(world, picks, bytes),
            9 => check::<Queue<String>>(world, picks, bytes),
            10 => check::<Object>(world, picks, bytes),
            11 => check::<CancelToken>(world, picks, bytes),
            12 => check::<Vec<(Option<Lock>, Queue<u8>)>>(world, picks, bytes),
            _ => check::<(Sender<String>, Receiver<String>, Vec<Object>)>(world, picks, bytes),
        }
        assert_eq!(world.session.stats().objects, world.objects, "nothing is left behind");
        let found = world.heap.verify();
        assert!(found.is_empty(), "{found:#?}");
    });
});

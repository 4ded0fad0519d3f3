//! One process plays several members of a session in its own memory and lets them die.
#![expect(clippy::mem_forget, reason = "what a kill does: no destructor runs")]

mod common;

use std::mem::forget;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

use common::{LIMIT, carry, try_carry, two_members, until};
use mp_session::Session;
use mp_shared::{
    Array, Error, Flag, Frozen, Item, LockError, RawArray, RawValue, ShareableList, Shared, SharedMemory,
    SharedVec, Slice, Value,
};

fn died_as(name: &str, error: Error) {
    // Members on the heap have no pid by which they could be found once they were swept.
    let named = error.who().is_none_or(|who| who.name == name || who.name.is_empty());
    assert!(matches!(error, Error::OwnerDied { .. }) && named, "{error}");
}

#[test]
fn every_handle_is_the_same_data_where_it_arrives() {
    let (a, b) = two_members();
    let value = Value::new_in(&a, 1_u64).unwrap();
    *carry(&value, &a, &b).lock().unwrap() += 1;
    assert_eq!(value.get().unwrap(), 2);

    let array = Array::from_slice_in(&a, &[1, 2, 3]).unwrap();
    carry(&array, &a, &b).lock().unwrap()[2] = 9;
    carry(&array.slice(..1).unwrap(), &a, &b).lease().unwrap()[0] = 7;
    assert_eq!(array.to_vec().unwrap(), [7, 2, 9]);
    let frozen = array.freeze().unwrap();
    assert_eq!(carry(&frozen, &a, &b)[..], [7, 2, 9]);
    assert_eq!(carry(&array, &a, &b).slice(1..).unwrap().frozen().unwrap()[..], [2, 9]);

    let raw = RawArray::<AtomicU32>::new_in(&a, 2).unwrap();
    carry(&raw, &a, &b)[1].store(5, Relaxed);
    let one = RawValue::new_in(&a, AtomicU64::new(4)).unwrap();
    carry(&one, &a, &b).fetch_add(1, Relaxed);
    assert_eq!((raw[1].load(Relaxed), one.load(Relaxed)), (5, 5));

    let vec = SharedVec::new_in(&a).unwrap();
    let there = carry(&vec, &a, &b);
    for i in 0..100 {
        if i % 2 == 0 { &vec } else { &there }.push(i).unwrap();
    }
    assert_eq!(there.to_vec().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!((vec.pop().unwrap(), there.len()), (Some(99), 99));

    let list = ShareableList::new_in(&a, ["x"], 0).unwrap();
    carry(&list, &a, &b).set(0, 1.5).unwrap();
    assert_eq!(list.get(0).unwrap(), Item::Float(1.5));

    let memory = SharedMemory::new_in(&a, 100).unwrap();
    carry(&memory, &a, &b).write(90, b"0123456789").unwrap();
    assert_eq!(memory.read(95, 5).unwrap(), b"56789");
    assert!(memory.read(95, 6).is_err() && memory.write(101, b"").is_err());
}

#[derive(Clone, Copy, Shared)]
#[repr(C)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Clone, Copy, Shared)]
#[repr(C, align(64))]
struct Line {
    ends: [Point; 2],
    visible: Flag,
}

#[test]
fn structures_lie_side_by_side_and_aligned() {
    let (a, _) = two_members();
    let lines = Array::<Line>::new_in(&a, 10).unwrap();
    lines.lock().unwrap()[9].ends[1].y = 2.5;
    lines.lock().unwrap()[9].visible = true.into();
    assert_eq!(lines.as_mut_ptr() as usize % 64, 0);
    assert!(lines.get(9).unwrap().ends[1].y == 2.5 && lines.get(9).unwrap().visible.get());
    assert!(!lines.get(8).unwrap().visible.get());
}

#[test]
fn a_handle_is_not_taken_for_another_one() {
    let (a, b) = two_members();
    let array = Array::<u32>::new_in(&a, 3).unwrap();
    let wrong =
        |error: Error| assert!(matches!(error, Error::WrongType { .. } | Error::WrongKind { .. }), "{error}");
    wrong(try_carry::<_, Array<i32>>(&array, &a, &b).unwrap_err());
    wrong(try_carry::<_, Array<[u32; 1]>>(&array, &a, &b).unwrap_err());
    wrong(try_carry::<_, Value<u32>>(&array, &a, &b).unwrap_err());
    wrong(try_carry::<_, ShareableList>(&array, &a, &b).unwrap_err());
    let raw = RawArray::<AtomicU32>::new_in(&a, 3).unwrap();
    wrong(try_carry::<_, RawValue<AtomicU32>>(&raw, &a, &b).unwrap_err());
    // Open data is not taken for frozen data, and a range is looked at where it arrives.
    assert!(matches!(
        try_carry::<_, Frozen<u32>>(&array, &a, &b).unwrap_err(),
        Error::InvalidArgument { .. }
    ));
    let beyond = (array, 2_u64, 2_u64);
    assert!(matches!(
        try_carry::<_, Slice<u32>>(&beyond, &a, &b).unwrap_err(),
        Error::InvalidArgument { .. }
    ));
}

#[test]
fn who_dies_over_data_is_told_to_the_next_until_somebody_repairs() {
    let (a, b) = two_members();
    let value = Value::new_in(&a, [1, 1]).unwrap();
    let array = Array::from_slice_in(&a, &[1, 1, 1]).unwrap();
    let vec = SharedVec::new_in(&a).unwrap();
    vec.extend([1, 1]).unwrap();
    let (value_b, array_b, vec_b) = carry(&(value.clone(), array.clone(), vec.clone()), &a, &b);
    value_b
        .lock()
        .map(|mut guard| {
            guard[0] = 2;
            forget(guard)
        })
        .unwrap();
    array_b
        .lock()
        .map(|mut guard| {
            guard[0] = 2;
            forget(guard)
        })
        .unwrap();
    vec_b
        .lock()
        .map(|mut guard| {
            guard[0] = 2;
            guard.push(3).unwrap();
            forget(guard)
        })
        .unwrap();
    forget((value_b, array_b, vec_b));
    b.abandon();

    for _ in 0..2 {
        died_as("b", value.get().unwrap_err());
        died_as("b", array.set(0, 1).unwrap_err());
        died_as("b", vec.push(1).unwrap_err());
        died_as("b", array.freeze().unwrap_err());
        died_as("b", array.lease(..).map(drop).map_err(Error::from).unwrap_err());
    }
    let died = match array.try_lock() {
        Err(LockError::OwnerDied(died)) => died,
        other => panic!("{other:?}"),
    };
    assert!(format!("{died:?}").contains("Array"));
    let guard = died.into_inner();
    assert_eq!((&guard[..], guard.is_consistent()), (&[2, 1, 1][..], false));
    drop(guard);
    drop(value.lock().or_else(|e| e.repair(|pair| pair[0] = 1)).unwrap());
    drop(array.lock().or_else(|e| e.repair(|all| all[0] = 1)).unwrap());
    drop(vec.lock().or_else(|e| e.repair(|all| all[0] = 1)).unwrap());
    assert_eq!(value.get().unwrap(), [1, 1]);
    assert_eq!(array.freeze().unwrap()[..], [1, 1, 1]);
    assert_eq!(vec.to_vec().unwrap(), [1, 1, 3]);
}

#[test]
fn freezing_is_refused_while_in_use_and_final_afterwards() {
    let (a, b) = two_members();
    let array = Array::from_slice_in(&a, &[1, 2, 3]).unwrap();
    let there = carry(&array, &a, &b);
    let in_use = |error: Error| matches!(error, Error::InUse { .. });
    let guard = array.lock().unwrap();
    assert!(in_use(there.freeze().unwrap_err()) && in_use(array.freeze().unwrap_err()));
    drop(guard);
    let lease = array.lease(1..2).unwrap();
    assert!(in_use(there.freeze().unwrap_err()));
    drop(lease);
    assert!(!array.is_frozen() && array.frozen().is_err());

    let frozen = there.freeze().unwrap();
    let is_frozen = |error: Error| matches!(error, Error::Frozen { .. });
    assert!(array.is_frozen() && array.freeze().is_ok());
    assert!(is_frozen(array.lock().unwrap_err().into()) && is_frozen(array.set(0, 5).unwrap_err()));
    assert!(is_frozen(array.try_lock().unwrap_err().into()));
    assert!(is_frozen(array.lease(..1).unwrap_err().into()));
    assert!(is_frozen(array.try_lease(..1).unwrap_err().into()));
    assert_eq!((array.get(2).unwrap(), array.to_vec().unwrap(), frozen.len()), (3, vec![1, 2, 3], 3));
    let copy = array.copy().unwrap();
    copy.set(0, 5).unwrap();
    assert_eq!((copy.get(0).unwrap(), frozen[0]), (5, 1));
    assert!(format!("{array:?}").contains("frozen"));
}

#[test]
fn leases_exclude_what_overlaps_and_nothing_else() {
    let (a, b) = two_members();
    let array = Array::<u8>::new_in(&a, 100).unwrap();
    let there = carry(&array, &a, &b);
    let mut first = array.lease(..50).unwrap();
    let mut second = there.lease(50..).unwrap();
    first.fill(1);
    second.fill(2);
    assert!(there.try_lease(49..51).unwrap().is_none() && array.try_lock().unwrap().is_none());
    assert!(there.lease_timeout(10..11, Duration::from_millis(20)).unwrap().is_none());
    assert!(array.lock_timeout(Duration::from_millis(20)).unwrap().is_none());
    assert!(there.try_lease(20..20).unwrap().is_some(), "nothing overlaps nothing");
    drop(first);
    assert_eq!(there.try_lease(49..50).unwrap().unwrap()[..], [1]);
    assert!(array.try_lock().unwrap().is_none());
    drop(second);
    assert_eq!(array.try_lock().unwrap().unwrap()[48..52], [1, 1, 2, 2]);
    let guard = array.lock().unwrap();
    assert!(there.try_lease(..1).unwrap().is_none());
    drop(guard);
    let (from, to) = (3, 2);
    assert!(array.lease(90..101).is_err() && array.slice(..).unwrap().slice(from..to).is_err());
    let all: Vec<_> = (0..100).map(|i| array.lease(i..i + 1).unwrap()).collect();
    assert!(array.try_lock().unwrap().is_none());
    drop(all);
    assert!(array.try_lock().unwrap().is_some());
}

#[test]
fn too_many_leases_are_an_error() {
    let (a, _) = two_members();
    let array = Array::<u8>::new_in(&a, 1000).unwrap();
    let all: Vec<_> = (0..256).map(|i| array.lease(i..i + 1).unwrap()).collect();
    assert!(matches!(array.lease(500..501), Err(LockError::Failed(Error::LimitReached { .. }))));
    drop(all);
    array.lease(500..501).map(drop).unwrap();
}

#[test]
fn a_waiter_gets_what_comes_back() {
    let (a, b) = two_members();
    let array = Array::<u32>::new_in(&a, 10).unwrap();
    for lock_all in [false, true] {
        let lease = array.lease(3..6).unwrap();
        std::thread::scope(|s| {
            let waiter = s.spawn(|| {
                let there = carry(&array, &a, &b);
                let start = Instant::now();
                if lock_all {
                    there.lock().unwrap()[4] += 1
                } else {
                    there.lease(5..8).unwrap()[0] += 1
                }
                assert!(start.elapsed() < LIMIT);
            });
            std::thread::sleep(Duration::from_millis(30));
            drop(lease);
            waiter.join().unwrap();
        });
    }
    assert_eq!(array.to_vec().unwrap()[3..6], [0, 1, 1]);
}

#[test]
fn a_dead_holder_s_lease_comes_back_once_with_the_news() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let array = Array::<u8>::new_in(&a, 100).unwrap();
    let die_with = |range: std::ops::Range<usize>| {
        let b = heap.member("b").unwrap();
        let there = carry(&array, &a, &b);
        forget(there.lease(range).unwrap());
        forget(there);
        b.abandon();
    };
    die_with(10..20);
    // Others are not concerned.
    array.lease(..10).map(drop).unwrap();
    // A part of it is not to be had: what the victim did not come to is unknown.
    died_as("b", array.lease(15..30).map(drop).unwrap_err().into());
    // Who leases all of it is told, until somebody has repaired it.
    for _ in 0..2 {
        match array.lease(10..20) {
            Err(LockError::OwnerDied(died)) => assert_eq!(died.into_inner().len(), 10),
            other => panic!("{other:?}"),
        }
    }
    let repaired = array.lease(5..25).or_else(|e| e.repair(|part| part.fill(1))).unwrap();
    assert_eq!((repaired[0], repaired.len()), (1, 20));
    drop(repaired);
    array.lease(15..30).map(drop).unwrap();
    array.freeze().map(drop).map_err(|e| panic!("{e}")).unwrap_or(());

    let other = Array::<u8>::new_in(&a, 100).unwrap();
    let b = heap.member("b").unwrap();
    let there = carry(&other, &a, &b);
    forget((there.lease(..1).unwrap(), there.lease(1..2).unwrap()));
    forget(there);
    b.abandon();
    // Who locks is told of them all, at once, and until it is repaired.
    died_as("b", other.lock().map(drop).unwrap_err().into());
    died_as("b", other.freeze().unwrap_err());
    drop(other.lock().or_else(|e| e.repair(|all| all.fill(0))).unwrap());
    other.lease(..2).map(drop).unwrap();
    other.freeze().unwrap();
}

#[test]
fn a_waiter_learns_of_the_death_of_a_lease_holder() {
    let (a, b) = two_members();
    let array = Array::<u8>::new_in(&a, 10).unwrap();
    let ready = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            let there = carry(&array, &a, &b);
            forget(there.lease(2..4).unwrap());
            forget(there);
            ready.store(true, SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            b.abandon();
        });
        until("lease", || ready.load(SeqCst));
        match array.lease_timeout(0..5, LIMIT) {
            Err(LockError::OwnerDied(died)) => drop(died.mark_consistent()),
            other => panic!("{other:?}"),
        }
    });
    array.freeze().unwrap();
}

#[test]
fn a_list_has_the_old_value_or_the_new_one() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let list = ShareableList::new_in(&a, [Item::from("before"), ().into()], 64).unwrap();
    for round in 0..50 {
        let b = heap.member("b").unwrap();
        let there = carry(&list, &a, &b);
        there.set(0, format!("value {round}")).unwrap();
        forget(there);
        b.abandon();
        a.notice_deaths().unwrap();
        assert_eq!(list.get(0).unwrap(), Item::from(format!("value {round}")));
    }
    assert_eq!(list.to_vec().unwrap()[1], Item::None);
}

#[test]
fn nothing_is_left_when_the_last_handle_is_gone() {
    let heap = Session::on_heap(64 << 20).unwrap();
    let a = heap.member("a").unwrap();
    let make = |session: &Session| {
        let array = Array::<u64>::new_in(session, 1000).unwrap();
        drop(array.lease(..10).unwrap());
        let vec = SharedVec::new_in(session).unwrap();
        vec.extend(0..1000_u32).unwrap();
        let list = ShareableList::new_in(session, ["a", "b"], 0).unwrap();
        let memory = SharedMemory::new_in(session, 70_000).unwrap();
        (array, vec, list, memory, Value::new_in(session, 1).unwrap())
    };
    drop((0..300).map(|_| Value::new_in(&a, 0).unwrap()).collect::<Vec<_>>()); // the ledger grows once
    let before = a.stats();
    for round in 0..20 {
        let b = heap.member("b").unwrap();
        let (ours, theirs) = (make(&a), make(&b));
        drop(ours);
        let held = theirs.0.lock().unwrap();
        forget(held);
        forget(theirs);
        b.abandon();
        assert!(a.notice_deaths().unwrap());
        let now = a.stats();
        assert_eq!((now.objects, now.bytes_in_use), (before.objects, before.bytes_in_use), "round {round}");
    }
}

#[test]
fn ten_thousand_arrays() {
    let heap = Session::on_heap(128 << 20).unwrap();
    let a = heap.member("a").unwrap();
    let before = a.stats().objects;
    let arrays: Vec<Array<f64>> = (0..10_000).map(|i| Array::new_in(&a, i % 50).unwrap()).collect();
    assert_eq!(a.stats().objects, before + 10_000);
    assert!(arrays.iter().enumerate().all(|(i, array)| array.len() == i % 50));
    assert!(arrays.iter().all(|array| array.to_vec().unwrap().iter().all(|x| *x == 0.0)));
    drop(arrays);
    assert_eq!(a.stats().objects, before);
}

#[test]
fn sizes_at_the_edges() {
    let (a, b) = two_members();
    let empty = Array::<f64>::new_in(&a, 0).unwrap();
    assert!(empty.is_empty() && empty.lock().unwrap().is_empty() && carry(&empty, &a, &b).is_empty());
    assert!(empty.chunks(3).unwrap().is_empty() && empty.get(0).is_err());
    empty.lease(..).map(drop).unwrap();
    assert_eq!(empty.freeze().unwrap().len(), 0);
    assert!(RawArray::<AtomicU64>::new_in(&a, 0).unwrap().is_empty());
    assert!(ShareableList::new_in(&a, [0; 0], 0).unwrap().is_empty());
    let limit = |error: Error| assert!(matches!(error, Error::LimitReached { .. }), "{error}");
    limit(Array::<u64>::new_in(&a, usize::MAX).unwrap_err());
    limit(Array::<u64>::new_in(&a, usize::MAX / 8).unwrap_err());
    limit(Array::<[u64; 1 << 20]>::new_in(&a, 1 << 42).unwrap_err());
    limit(RawArray::<AtomicU64>::new_in(&a, usize::MAX / 2).unwrap_err());
    limit(Array::<u8>::new_in(&a, 1 << 40).unwrap_err()); // more than the session has
    assert!(SharedMemory::new_in(&a, 0).is_err());
    let vec = SharedVec::<u64>::new_in(&a).unwrap();
    limit(vec.lock().unwrap().reserve(usize::MAX).unwrap_err());
    limit(vec.lock().unwrap().reserve(1 << 40).unwrap_err());
    vec.push(1).unwrap();
    assert_eq!(vec.to_vec().unwrap(), [1], "a refused growth has changed nothing");
}

#[test]
fn a_lock_is_not_taken_twice_by_one_thread() {
    let (a, _) = two_members();
    let value = Value::new_in(&a, 0).unwrap();
    let guard = value.lock().unwrap();
    assert!(matches!(value.clone().set(1), Err(Error::InvalidArgument { .. })));
    assert!(value.try_lock().unwrap().is_none() && value.locked());
    drop(guard);
    assert_eq!(value.replace(3).unwrap(), 0);
    assert_eq!(value.copy().unwrap().get().unwrap(), 3);
}

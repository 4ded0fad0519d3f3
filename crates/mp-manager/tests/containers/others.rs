//! Sets, namespaces, values, arrays, and finding them by name.

use std::collections::BTreeSet;

use mp_manager::{Any, Array, Dict, Error, Handle, List, Manager, Namespace, Set, Value};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_does_what_a_set_does(steps in prop::collection::vec((0..4_u8, 0..30_u16), 0..200)) {
        let set = Set::<u16>::new().unwrap();
        let mut model = BTreeSet::new();
        for (what, n) in steps {
            match what {
                0 | 1 => prop_assert_eq!(set.add(&n).unwrap(), model.insert(n)),
                2 => prop_assert_eq!(set.remove(&n).unwrap(), model.remove(&n)),
                _ => {
                    set.update(n..n + 3).unwrap();
                    model.extend(n..n + 3);
                }
            }
        }
        prop_assert_eq!(set.len().unwrap(), model.len());
        let other = Set::from_values(0..15).unwrap();
        prop_assert_eq!(set.is_subset(&other).unwrap(), model.iter().all(|n| *n < 15));
        prop_assert_eq!(set.is_disjoint(&other).unwrap(), model.iter().all(|n| *n >= 15));
        set.retain(|n| n % 2 == 0).unwrap();
        model.retain(|n| n % 2 == 0);
        prop_assert_eq!(set.copy().unwrap().to_vec().unwrap().into_iter().collect::<BTreeSet<_>>(), model);
    }
}

#[test]
fn one_of_many_threads_adds_an_element() {
    let set = Set::<u32>::new().unwrap();
    let added: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..500).filter(|n| set.add(n).unwrap()).count())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!((added, set.len().unwrap()), (500, 500));
}

#[test]
fn handles_of_every_kind_travel_in_any() {
    let manager = Manager::new().unwrap();
    let all = [
        Any::from(manager.dict::<Any, Any>().unwrap()),
        manager.list::<Any>().unwrap().into(),
        manager.set::<Any>().unwrap().into(),
        manager.namespace().unwrap().into(),
        manager.value(Any::from(1)).unwrap().into(),
        manager.array(vec![Any::from(1)]).unwrap().into(),
        manager.queue::<Any>().unwrap().into(),
        manager.joinable_queue::<Any>().unwrap().into(),
        manager.lock().unwrap().into(),
        manager.rlock().unwrap().into(),
        manager.semaphore(2).unwrap().into(),
        manager.bounded_semaphore(2).unwrap().into(),
        manager.condition().unwrap().into(),
        manager.event().unwrap().into(),
        manager.barrier(2).unwrap().into(),
    ];
    let list = List::<Any>::from_values(all.clone()).unwrap();
    let back = list.to_vec().unwrap();
    for (i, (sent, got)) in all.iter().zip(&back).enumerate() {
        assert_eq!(sent.type_name(), got.type_name());
        for (j, other) in all.iter().enumerate() {
            assert_eq!(got == other, i == j, "{got} {other}");
        }
    }
    let event = mp_sync::Event::try_from(back[13].clone()).unwrap();
    event.set().unwrap();
    assert!(matches!(&all[13], Any::Handle(Handle::Event(event)) if event.is_set()));
    assert!(matches!(mp_sync::Lock::try_from(back[13].clone()), Err(Error::WrongKind { .. })));
}

#[test]
fn names_lead_to_the_same_object() {
    let manager = Manager::new().unwrap();
    let namespace = manager.namespace().unwrap();
    manager.publish("tests/namespace", &namespace).unwrap();
    namespace.set("x", 1.5).unwrap();
    let found: Namespace = manager.lookup("tests/namespace").unwrap().unwrap();
    assert!(found == namespace && found.get::<f64>("x").unwrap() == Some(1.5));
    assert!(matches!(manager.lookup::<Dict<u8, u8>>("tests/namespace"), Err(Error::WrongType { .. })));
    assert!(found.delete("x").unwrap() && !found.delete("x").unwrap());
    assert!(manager.published().unwrap().contains(&"tests/namespace".to_owned()));
    assert!(manager.unpublish("tests/namespace").unwrap());
    assert!(manager.lookup::<Namespace>("tests/namespace").unwrap().is_none());
}

#[test]
fn a_value_is_swapped_whole() {
    let value = Value::new("a".repeat(3000)).unwrap();
    assert_eq!(value.compare_exchange(&"b".into(), "c".to_owned()).unwrap(), Err("a".repeat(3000)));
    assert_eq!(value.compare_exchange(&"a".repeat(3000), "c".to_owned()).unwrap(), Ok("a".repeat(3000)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..300).for_each(|_| drop(value.update(|v| v.push('x')).unwrap())));
        }
    });
    assert_eq!(value.get().unwrap().len(), 901);
}

#[test]
fn an_array_keeps_its_length() {
    let array = Array::new(0..5_u8).unwrap();
    array.set_slice(1, [9, 9]).unwrap();
    assert!(matches!(array.set_slice(4, [1, 1]), Err(Error::InvalidArgument { .. })));
    assert_eq!(array.to_vec().unwrap(), [0, 9, 9, 3, 4]);
    assert_eq!(array.alter(0, |n| n + 1).unwrap(), Some(1));
    assert_eq!(array.slice(..2).unwrap(), [1, 9]);
}

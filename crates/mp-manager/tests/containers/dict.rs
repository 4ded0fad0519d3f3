//! `Dict` beside an ordered map of std's making.

use mp_manager::{Any, Dict, Error, Handle, List};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, Vec<u8>),
    Replace(u8, Vec<u8>),
    Pop(u8),
    Remove(u8),
    PopItem,
    SetDefault(u8, Vec<u8>),
    Alter(u8),
    Count(u8),
    Update(Vec<(u8, Vec<u8>)>),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    // Some values are so large that they become messages.
    let value = || prop_oneof![4 => prop::collection::vec(any::<u8>(), 0..20), 1 => Just(vec![7; 1500])];
    let key = || 0..40_u8;
    prop_oneof![
        4 => (key(), value()).prop_map(|(k, v)| Step::Insert(k, v)),
        1 => (key(), value()).prop_map(|(k, v)| Step::Replace(k, v)),
        2 => key().prop_map(Step::Pop),
        1 => key().prop_map(Step::Remove),
        1 => Just(Step::PopItem),
        1 => (key(), value()).prop_map(|(k, v)| Step::SetDefault(k, v)),
        1 => key().prop_map(Step::Alter),
        2 => key().prop_map(Step::Count),
        1 => prop::collection::vec((key(), value()), 0..8).prop_map(Step::Update),
        1 => Just(Step::Clear),
    ]
}

/// The model: entries in order of insertion.
#[derive(Default)]
struct Ordered(Vec<(u8, Vec<u8>)>);

impl Ordered {
    fn at(&mut self, key: u8) -> Option<&mut Vec<u8>> {
        self.0.iter_mut().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    fn put(&mut self, key: u8, value: Vec<u8>) -> Option<Vec<u8>> {
        match self.at(key) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }

    fn pop(&mut self, key: u8) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(k, _)| *k == key)?;
        Some(self.0.remove(at).1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dict_does_what_an_ordered_map_does(steps in prop::collection::vec(step(), 0..300)) {
        let dict = Dict::<u8, Vec<u8>>::new().unwrap();
        let mut model = Ordered::default();
        for step in steps {
            match step {
                Step::Insert(k, v) => {
                    dict.insert(&k, &v).unwrap();
                    model.put(k, v);
                }
                Step::Replace(k, v) => prop_assert_eq!(dict.replace(&k, &v).unwrap(), model.put(k, v)),
                Step::Pop(k) => prop_assert_eq!(dict.pop(&k).unwrap(), model.pop(k)),
                Step::Remove(k) => prop_assert_eq!(dict.remove(&k).unwrap(), model.pop(k).is_some()),
                Step::PopItem => prop_assert_eq!(dict.pop_item().unwrap(), model.0.pop()),
                Step::SetDefault(k, v) => {
                    let expected = match model.at(k) {
                        Some(old) => old.clone(),
                        None => {
                            model.put(k, v.clone());
                            v.clone()
                        }
                    };
                    prop_assert_eq!(dict.set_default(&k, v).unwrap(), expected);
                }
                Step::Alter(k) => {
                    let flip = |old: Option<Vec<u8>>| if old.is_some() { None } else { Some(vec![1, 2]) };
                    let expected = flip(model.pop(k));
                    if let Some(new) = &expected {
                        model.put(k, new.clone());
                    }
                    prop_assert_eq!(dict.alter(&k, flip).unwrap(), expected);
                }
                Step::Update(entries) => {
                    dict.update(entries.clone()).unwrap();
                    for (k, v) in entries {
                        model.put(k, v);
                    }
                }
                Step::Clear => {
                    dict.clear().unwrap();
                    model.0.clear();
                }
                Step::Count(k) => {
                    let new = dict.entry(&k).and_modify(|v| v.push(0)).or_insert(vec![9]).unwrap();
                    match model.at(k) {
                        Some(old) => old.push(0),
                        None => {
                            model.put(k, vec![9]);
                        }
                    }
                    prop_assert_eq!(Some(new), model.at(k).cloned());
                }
            }
        }
        prop_assert_eq!(dict.len().unwrap(), model.0.len());
        for k in 0..40 {
            prop_assert_eq!(dict.get(&k).unwrap(), model.at(k).cloned());
            prop_assert_eq!(dict.contains(&k).unwrap(), model.at(k).is_some());
        }
        prop_assert_eq!(dict.keys().unwrap(), model.0.iter().map(|(k, _)| *k).collect::<Vec<_>>());
        prop_assert_eq!(dict.values().unwrap(), model.0.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>());
        let mut any_order = dict.iter().collect::<Result<Vec<_>, _>>().unwrap();
        any_order.sort();
        let mut sorted = model.0.clone();
        sorted.sort();
        prop_assert_eq!(any_order, sorted);
        prop_assert_eq!(dict.copy().unwrap().items().unwrap(), model.0.clone());
        prop_assert_eq!(dict.items().unwrap(), model.0);
    }
}

#[test]
fn values_of_eight_bytes_change_in_place_and_others_beside() {
    let numbers = Dict::<String, u64>::new().unwrap();
    let texts = Dict::<u32, String>::new().unwrap();
    for round in 0..1000_u64 {
        numbers.insert("n", round).unwrap();
        texts.insert(&7, "x".repeat(round as usize % 50)).unwrap();
    }
    assert_eq!(numbers.get("n").unwrap(), Some(999));
    assert_eq!(texts.get(&7).unwrap(), Some("x".repeat(49)));
}

#[test]
fn containers_nest_by_handle() {
    let outer = Dict::<String, Dict<u32, List<u32>>>::new().unwrap();
    outer.insert("a", Dict::new().unwrap()).unwrap();
    outer.get("a").unwrap().unwrap().insert(&1, List::new().unwrap()).unwrap();
    let list = outer.get("a").unwrap().unwrap().get(&1).unwrap().unwrap();
    list.append(5).unwrap();
    let again = outer.get("a").unwrap().unwrap().get(&1).unwrap().unwrap();
    assert_eq!(again.to_vec().unwrap(), [5]);
    assert!(again == list);
    // What was taken out lives as long as somebody has it.
    outer.remove("a").unwrap();
    list.append(6).unwrap();
    assert_eq!(list.len().unwrap(), 2);
}

#[test]
fn any_holds_what_python_holds() {
    let dict = Dict::<Any, Any>::new().unwrap();
    let inner = List::<Any>::new().unwrap();
    dict.insert(&Any::from("list"), Any::from(Handle::List(inner.clone()))).unwrap();
    dict.insert(&Any::from(1), Any::from("one")).unwrap();
    dict.insert(&Any::from(true), Any::from("true")).unwrap();
    assert_eq!(dict.len().unwrap(), 2);
    assert_eq!(dict.get(&Any::from(1.0)).unwrap(), Some(Any::from("true")));
    assert_eq!(dict.get("list").unwrap(), Some(Any::from(Handle::List(inner.clone()))));
    match dict.get("list").unwrap() {
        Some(Any::Handle(Handle::List(list))) => list.append(Any::from(3)).unwrap(),
        other => panic!("{other:?}"),
    }
    assert_eq!(inner.to_vec().unwrap(), [Any::from(3)]);
    let refused = dict.insert(&Any::list([1]), Any::None).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument { .. }), "{refused}");
}

#[test]
fn a_handle_is_no_key() {
    let dict = Dict::<List<u8>, u8>::new().unwrap();
    let refused = dict.insert(&List::new().unwrap(), 1).unwrap_err();
    assert!(refused.to_string().contains("cannot be a key"), "{refused}");
}

#[test]
fn a_dict_of_other_types_is_refused() {
    let dict = Dict::<String, u64>::new().unwrap();
    let session = mp_session::Session::current().unwrap();
    let message = mp_session::Message::encode(&session, &dict).unwrap();
    assert!(matches!(message.decode::<Dict<String, i64>>(), Err(Error::WrongType { .. })));
    assert!(matches!(message.decode::<List<u64>>(), Err(Error::WrongKind { .. })));
    assert!(message.decode::<Dict<String, u64>>().unwrap() == dict);
}

#[test]
fn memory_comes_back_when_entries_go() {
    let session = mp_session::Session::current().unwrap();
    let dict = Dict::<u64, Vec<u8>>::new().unwrap();
    for k in 0..2000 {
        dict.insert(&k, vec![0; if k % 10 == 0 { 2000 } else { 100 }]).unwrap();
    }
    let full = session.stats();
    for k in 0..2000 {
        dict.remove(&k).unwrap();
    }
    let empty = session.stats();
    // Other tests of this program run meanwhile; their share is small.
    assert!(empty.bytes_in_use + 400_000 < full.bytes_in_use, "{full:?} {empty:?}");
    assert!(dict.is_empty().unwrap());
}

#[test]
fn threads_count_together() {
    let counts = Dict::<u32, u64>::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..1000_u32 {
                    counts.entry(&(i % 5)).and_modify(|n| *n += 1).or_insert(1).unwrap();
                }
            });
        }
    });
    assert_eq!(counts.values().unwrap(), [800; 5]);
}

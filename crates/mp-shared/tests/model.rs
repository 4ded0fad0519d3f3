//! Random operations beside a model.

mod common;

use common::{carry, two_members};
use mp_shared::{Array, Item, ShareableList, SharedVec};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Pop,
    Extend(Vec<u32>),
    Truncate(usize),
    SwapRemove(usize),
    Reserve(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u32>().prop_map(Step::Push),
        2 => Just(Step::Pop),
        2 => prop::collection::vec(any::<u32>(), 0..40).prop_map(Step::Extend),
        1 => (0_usize..50).prop_map(Step::Truncate),
        1 => (0_usize..50).prop_map(Step::SwapRemove),
        1 => (0_usize..100).prop_map(Step::Reserve),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        Just(Item::None),
        any::<bool>().prop_map(Item::Bool),
        any::<i64>().prop_map(Item::Int),
        (-1e300_f64..1e300).prop_map(Item::Float),
        "\\PC{0,12}\0{0,3}".prop_map(Item::Str),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Item::Bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_vector_is_a_vector_for_two(steps in prop::collection::vec((any::<bool>(), step()), 0..60)) {
        let (a, b) = two_members();
        let here = SharedVec::<u32>::new_in(&a).unwrap();
        let there = carry(&here, &a, &b);
        let mut model = Vec::new();
        for (mine, step) in steps {
            let mut guard = if mine { &here } else { &there }.lock().unwrap();
            match step {
                Step::Push(x) => { guard.push(x).unwrap(); model.push(x); }
                Step::Pop => prop_assert_eq!(guard.pop(), model.pop()),
                Step::Extend(all) => {
                    // Without a hint of how many will come.
                    guard.extend(all.iter().copied().filter(|_| true)).unwrap();
                    model.extend(all);
                }
                Step::Truncate(len) => { guard.truncate(len); model.truncate(len); }
                Step::SwapRemove(i) => {
                    let expected = (i < model.len()).then(|| model.swap_remove(i));
                    prop_assert_eq!(guard.swap_remove(i), expected);
                }
                Step::Reserve(n) => { guard.reserve(n).unwrap(); prop_assert!(guard.capacity() >= model.len() + n); }
            }
            prop_assert_eq!(&*guard, &model[..]);
        }
        prop_assert_eq!(there.to_vec().unwrap(), model);
    }

    /// D25: zeros at the end, several bytes a letter; each value comes back exactly.
    #[test]
    fn a_list_gives_back_what_was_put(items in prop::collection::vec(item(), 1..12), changes in prop::collection::vec((0_usize..12, item()), 0..20)) {
        let (a, b) = two_members();
        let list = ShareableList::new_in(&a, items.clone(), 0).unwrap();
        let there = carry(&list, &a, &b);
        let mut model = items;
        prop_assert_eq!(&there.to_vec().unwrap(), &model);
        for (i, item) in changes {
            let i = i % model.len();
            match there.set(i, item.clone()) {
                Ok(()) => model[i] = item,
                Err(error) => {
                    let len = match &item { Item::Str(s) => s.len(), Item::Bytes(b) => b.len(), _ => 8 };
                    prop_assert!(len > list.room(i).unwrap(), "{}", error);
                }
            }
            prop_assert_eq!(&list.get(i).unwrap(), &model[i]);
        }
        for item in &model {
            prop_assert_eq!(list.index(item.clone()).unwrap(), model.iter().position(|m| m == item));
            prop_assert_eq!(list.count(item.clone()).unwrap(), model.iter().filter(|m| *m == item).count());
        }
        prop_assert_eq!(list.iter().collect::<Result<Vec<_>, _>>().unwrap(), list.copy().unwrap().to_vec().unwrap());
    }

    #[test]
    fn leases_never_overlap(steps in prop::collection::vec((0_usize..40, 0_usize..12, any::<bool>()), 1..60)) {
        let (a, b) = two_members();
        let array = Array::<u8>::new_in(&a, 50).unwrap();
        let there = carry(&array, &a, &b);
        let mut out = Vec::new();
        for (start, len, mine) in steps {
            let from = if mine { &array } else { &there };
            let overlaps = out.iter().any(|lease: &mp_shared::Lease<u8>| {
                len != 0 && !lease.is_empty() && start < lease.start() + lease.len() && lease.start() < start + len
            });
            match from.try_lease(start..start + len).unwrap() {
                Some(mut lease) => {
                    prop_assert!(!overlaps);
                    lease.iter_mut().for_each(|x| *x += 1);
                    out.push(lease);
                }
                None => {
                    prop_assert!(overlaps);
                    prop_assert!(array.freeze().is_err());
                    drop(out.swap_remove(start % out.len()));
                }
            }
            prop_assert_eq!(array.try_lock().unwrap().is_some(), out.is_empty());
        }
        drop(out);
        array.freeze().unwrap();
    }
}

//! `List` beside `Vec`.

use mp_manager::List;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Extend(Vec<u32>),
    Insert(usize, u32),
    Set(usize, u32),
    Pop,
    PopAt(usize),
    Remove(u32),
    Splice(usize, usize, Vec<u32>),
    Reverse,
    Sort,
    Repeat(usize),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let value = || 0..30_u32;
    let values = || prop::collection::vec(0..30_u32, 0..6);
    prop_oneof![
        5 => value().prop_map(Step::Append),
        3 => values().prop_map(Step::Extend),
        3 => (0..60_usize, value()).prop_map(|(i, v)| Step::Insert(i, v)),
        2 => (0..60_usize, value()).prop_map(|(i, v)| Step::Set(i, v)),
        2 => Just(Step::Pop),
        3 => (0..60_usize).prop_map(Step::PopAt),
        2 => value().prop_map(Step::Remove),
        3 => (0..40_usize, 0..10_usize, values()).prop_map(|(a, n, v)| Step::Splice(a, n, v)),
        3 => (Just(0_usize), 0..10_usize, values()).prop_map(|(a, n, v)| Step::Splice(a, n, v)),
        1 => Just(Step::Reverse),
        1 => Just(Step::Sort),
        1 => (0..3_usize).prop_map(Step::Repeat),
        1 => Just(Step::Clear),
    ]
}

/// Some elements are so large that they become messages.
fn text(n: u32) -> String {
    if n.is_multiple_of(7) { format!("{n:02}").repeat(700) } else { format!("{n:02}") }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_does_what_a_vec_does(steps in prop::collection::vec(step(), 0..120)) {
        let list = List::<String>::new().unwrap();
        let mut model = Vec::<String>::new();
        for step in steps {
            match step {
                Step::Append(v) => {
                    list.append(text(v)).unwrap();
                    model.push(text(v));
                }
                Step::Extend(v) => {
                    list.extend(v.iter().map(|v| text(*v))).unwrap();
                    model.extend(v.into_iter().map(text));
                }
                Step::Insert(i, v) => {
                    list.insert(i, text(v)).unwrap();
                    model.insert(i.min(model.len()), text(v));
                }
                Step::Set(i, v) => {
                    prop_assert_eq!(list.set(i, text(v)).unwrap(), i < model.len());
                    if let Some(old) = model.get_mut(i) {
                        *old = text(v);
                    }
                }
                Step::Pop => prop_assert_eq!(list.pop().unwrap(), model.pop()),
                Step::PopAt(i) => {
                    let expected = (i < model.len()).then(|| model.remove(i));
                    prop_assert_eq!(list.pop_at(i).unwrap(), expected);
                }
                Step::Remove(v) => {
                    let at = model.iter().position(|x| *x == text(v));
                    prop_assert_eq!(list.index(&text(v)).unwrap(), at);
                    prop_assert_eq!(list.remove(&text(v)).unwrap(), at.is_some());
                    at.map(|at| model.remove(at));
                }
                Step::Splice(a, n, v) => {
                    let v: Vec<String> = v.into_iter().map(text).collect();
                    let start = a.min(model.len());
                    let end = (a + n).min(model.len());
                    list.splice(a..a + n, v.clone()).unwrap();
                    model.splice(start..end, v);
                }
                Step::Reverse => {
                    list.reverse().unwrap();
                    model.reverse();
                }
                Step::Sort => {
                    list.sort().unwrap();
                    model.sort();
                }
                Step::Repeat(n) if model.len() < 100 => {
                    list.repeat(n).unwrap();
                    model = std::iter::repeat_n(model, n).flatten().collect();
                }
                Step::Repeat(_) => {}
                Step::Clear => {
                    list.clear().unwrap();
                    model.clear();
                }
            }
            prop_assert_eq!(list.len().unwrap(), model.len());
        }
        prop_assert_eq!(list.iter().collect::<Result<Vec<_>, _>>().unwrap(), model.clone());
        prop_assert_eq!(list.slice(2..5).unwrap(), &model[2.min(model.len())..5.min(model.len())]);
        prop_assert_eq!(list.to_vec().unwrap(), model);
    }
}

#[test]
fn a_list_serves_as_a_queue_without_growing() {
    let session = mp_session::Session::current().unwrap();
    let list = List::from_values(0..100_u64).unwrap();
    let before = session.stats().bytes_in_use;
    for i in 100..20_000_u64 {
        list.append(i).unwrap();
        assert_eq!(list.pop_at(0).unwrap(), Some(i - 100));
    }
    let after = session.stats().bytes_in_use;
    // Other tests of this program run meanwhile.
    assert!(after < before + 4_000_000, "{before} {after}");
}

#[test]
fn elements_are_altered_atomically() {
    let list = List::from_values([0_u64, 0]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..1000 {
                    list.alter(i % 2, |n| n + 1).unwrap();
                }
            });
        }
    });
    assert_eq!(list.to_vec().unwrap(), [2000, 2000]);
    assert_eq!(list.alter(2, |n| n).unwrap(), None);
}

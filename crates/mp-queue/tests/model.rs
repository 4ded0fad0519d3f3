//! A queue beside a `VecDeque`: the same steps, the same answers.

mod support;

use std::collections::VecDeque;

use mp_queue::{Error, Queue};
use proptest::prelude::*;
use support::{alone, hand_over, queue};

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    PutMany(Vec<usize>),
    Get,
    GetMany(usize),
    /// Go on with the handle as it arrives elsewhere.
    Send,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..100_usize).prop_map(Step::Put),
        3 => proptest::collection::vec(0..100_usize, 0..60).prop_map(Step::PutMany),
        5 => Just(Step::Get),
        2 => (0..80_usize).prop_map(Step::GetMany),
        1 => Just(Step::Send),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 1..80)
}

/// Sizes on both sides of what fits behind a cell.
fn message(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i ^ size) as u8).collect()
}

fn run(capacity: Option<usize>, steps: Vec<Step>) {
    let session = alone();
    let mut real: Queue<Vec<u8>> = queue(&session, capacity);
    let mut model = VecDeque::new();
    let mut closed = false;
    let room = capacity.unwrap_or(usize::MAX);
    for step in steps {
        match step {
            Step::Put(size) => match real.try_put(message(size)) {
                Ok(()) => {
                    assert!(!closed && model.len() < room);
                    model.push_back(message(size));
                }
                Err(refused) => {
                    assert_eq!(refused.value, message(size));
                    match refused.error {
                        Error::Closed { .. } => assert!(closed),
                        Error::Full => assert!(!closed && model.len() == room),
                        other => panic!("{other}"),
                    }
                }
            },
            Step::PutMany(sizes) => {
                let fits = sizes.len().min(room - model.len().min(room));
                let some: Vec<_> = sizes.into_iter().take(fits).map(message).collect();
                match real.put_many(some.clone()) {
                    Ok(()) => {
                        assert!(!closed || some.is_empty());
                        model.extend(some);
                    }
                    Err(e) => assert!(closed && matches!(e, Error::Closed { .. })),
                }
            }
            Step::Get => match (real.try_get(), model.pop_front()) {
                (Ok(got), expected) => assert_eq!(Some(got), expected),
                (Err(Error::Empty), None) => assert!(!closed),
                (Err(Error::Closed { .. }), None) => assert!(closed),
                other => panic!("{other:?}"),
            },
            Step::GetMany(max) if model.is_empty() || max == 0 => {
                assert!(max == 0 || real.is_empty());
                assert_eq!(real.get_many(0), Ok(vec![]));
            }
            Step::GetMany(max) => {
                let expected: Vec<_> = model.drain(..max.min(model.len())).collect();
                assert_eq!(real.get_many(max).unwrap(), expected);
            }
            Step::Send => real = hand_over(&session, &session, &real),
            Step::Close => {
                real.close().unwrap();
                closed = true;
            }
        }
        assert_eq!((real.len(), real.is_empty()), (model.len(), model.is_empty()));
        assert_eq!((real.is_full(), real.is_closed()), (!closed && model.len() == room, closed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_a_deque_does(capacity in proptest::option::of(1..40_usize), steps in steps()) {
        run(capacity, steps);
    }
}

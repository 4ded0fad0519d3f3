use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;

use mp_sync::{Error, Once, OnceLock};

use crate::common::{Actor, Board, arguments, carry, until};
use crate::{SHORT, two_members};

#[test]
fn one_does_it_and_the_others_wait() {
    let (once, times) = (Once::new().unwrap(), AtomicU64::new(0));
    thread::scope(|s| {
        for _ in 0..6 {
            s.spawn(|| {
                once.call_once(|state| {
                    assert!(state.died().is_none() && !state.is_poisoned());
                    thread::sleep(SHORT);
                    times.fetch_add(1, SeqCst);
                })
                .unwrap();
                assert_eq!(times.load(SeqCst), 1, "done when it returns");
            });
        }
    });
    assert!(once.is_completed());
    assert_eq!(format!("{once:?}"), "Once(done)");
}

#[test]
fn a_panic_poisons_until_somebody_insists() {
    let once = Once::new().unwrap();
    let panics = || once.call_once(|_| std::panic::resume_unwind(Box::new("no report, please")));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let error = once.call_once(|_| unreachable!()).unwrap_err();
    assert!(matches!(&error, Error::Broken { who: Some(_), .. }), "{error}");
    once.call_once_force(|state| assert!(state.is_poisoned())).unwrap();
    once.call_once(|_| unreachable!()).unwrap();
}

#[test]
fn calling_itself_is_an_error() {
    let once = Once::new().unwrap();
    once.call_once(|_| {
        assert!(matches!(once.call_once(|_| ()), Err(Error::InvalidArgument { .. })));
    })
    .unwrap();
}

#[test]
fn a_value_is_written_once() {
    let (a, b) = two_members();
    let cell = OnceLock::<[u64; 3]>::new_in(&a).unwrap();
    let there = carry(&cell, &a, &b);
    assert!(there.get().is_none());
    assert!(cell.get_or_try_init(|| Err(Error::Empty)).is_err(), "a failure leaves it as it was");
    assert!(cell.set([1, 2, 3]).unwrap());
    assert!(!there.set([4, 5, 6]).unwrap());
    assert_eq!((there.get(), there.get_or_init(|| unreachable!()).unwrap()), (Some(&[1, 2, 3]), &[1, 2, 3]));
    assert_eq!(format!("{there:?}"), "OnceLock([1, 2, 3])");
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((stays, once, board)) = arguments::<(bool, Once, Board)>() else { return };
    board.add(0);
    once.call_once(|state| {
        board.add(1);
        board.word(2).fetch_add(u64::from(state.died().is_some()), SeqCst);
        if stays {
            loop {
                thread::park();
            }
        }
    })
    .unwrap();
    board.add(3);
}

#[test]
fn a_killed_process_s_work_is_done_by_one_of_those_that_wait() {
    let (once, board) = (Once::new().unwrap(), Board::new());
    let start =
        |name: &str, stays: bool| Actor::start("once::actor", name, &(stays, once.clone(), board.clone()));
    let mut first = start("first", true);
    until("the first one's call", || board.get(1) == 1);
    let mut others: Vec<_> = (0..3).map(|i| start(&format!("other-{i}"), false)).collect();
    until("the others", || board.get(0) == 4);
    thread::sleep(SHORT);
    assert_eq!(board.get(3), 0);
    first.kill();
    for actor in &mut others {
        assert!(actor.wait().success());
    }
    assert_eq!((board.get(1), board.get(2), board.get(3)), (2, 1, 3));
    assert!(once.is_completed());
}

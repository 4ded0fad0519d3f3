//! Observers and wakers cut off at each stage, a full table, and a model.

use std::mem::forget;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::founding::HeapSession;
use crate::session::Session;
use crate::verify::verify;
use crate::waitset::WaitSet;
use crate::waitset::tests::Counter;
use mp_wire::Error;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn heap() -> (HeapSession, Session) {
    let heap = Session::on_heap(0).unwrap();
    let survivor = heap.member("survivor").unwrap();
    (heap, survivor)
}

fn subscriptions(session: &Session) -> usize {
    let ground = &session.0.ground;
    let places = (0..ground.layout.bucket_count).flat_map(|b| &ground.bucket(b).subscriptions);
    places.filter(|place| place.load(SeqCst) != 0).count()
}

/// Step c and no more, for every subscription.
fn mark_all(ground: &Ground) {
    let places = (0..ground.layout.bucket_count).flat_map(|b| &ground.bucket(b).subscriptions);
    for place in places.filter(|place| place.load(SeqCst) != 0) {
        place.fetch_or(READY, SeqCst);
    }
}

fn observers(session: &Session) -> usize {
    let ground = &session.0.ground;
    let state = |o| SlotState::load(&ground.observer(o).state).status;
    (0..ground.layout.observer_count).filter(|o| state(*o) != FREE).count()
}

#[test]
fn what_a_subscription_says_survives_packing() {
    let all = Subscription { word: ((1 << 33) - 1) * 8, generation: 1023, observer: 16_382, group: 63 };
    for s in [all, Subscription { word: 8, generation: 0, observer: 0, group: 0 }] {
        assert_eq!(Subscription::unpack(s.pack()), s);
        assert_eq!(Subscription::unpack(s.pack() | READY), s);
        assert_ne!(s.pack(), 0);
    }
}

/// Each stage at which an observer may be cut off.
#[test]
fn a_dead_observer_leaves_nothing() {
    for stage in 0..5 {
        let (heap, survivor) = heap();
        let victim = heap.member("victim").unwrap();
        let counter = Counter::new(&survivor);
        let mut set = WaitSet::new_in(&survivor);
        if stage % 2 == 0 {
            set.add(1, &counter).unwrap();
        }
        let observer = victim.0.take_observer().unwrap();
        if stage >= 1 {
            let word = survivor.0.ground.offset_of(counter.word());
            let (generation, observer) = (observer.generation, observer.index);
            victim.0.insert(Subscription { word, generation, observer, group: 5 }).unwrap();
        }
        if stage >= 2 {
            victim.0.subscribe(observer, counter.word(), 6).unwrap();
        }
        if stage >= 3 {
            victim.0.ground.observer(observer.index).sleeper.store(1, SeqCst);
        }
        if stage >= 4 {
            counter.add(); // it is told, and dies of it
            assert!(counter.take());
        }
        victim.abandon();
        assert!(survivor.notice_deaths().unwrap());
        counter.add();
        assert_eq!(set.wait(Duration::ZERO).unwrap(), if stage % 2 == 0 { vec![1] } else { vec![] });
        drop(set);
        counter.add();
        assert!(!survivor.has_waiters(counter.word()), "stage {stage}");
        // One whose word never knew of it is met by nobody, and overwritten some day.
        assert_eq!(subscriptions(&survivor), usize::from(stage == 1));
        assert_eq!(observers(&survivor), 1, "the survivor's");
        assert_eq!(verify(&survivor.0.ground), Vec::<String>::new());
    }
}

/// Each stage at which a waker may be cut off: its death makes everybody look.
#[test]
fn a_dead_waker_is_made_up_for() {
    for stage in 0..3 {
        let (heap, survivor) = heap();
        let victim = heap.member("victim").unwrap();
        let counter = Counter::new(&survivor);
        let mut set = WaitSet::new_in(&survivor);
        set.add(7, &counter).unwrap();
        assert_eq!(set.wait(Duration::ZERO).unwrap(), []);
        counter.seen_by(&victim).add_untold();
        let ground = &survivor.0.ground;
        if stage >= 1 {
            mark_all(ground);
        }
        if stage >= 2 {
            ground.observer(0).ready.fetch_or(1, SeqCst);
        } else {
            assert_eq!(set.wait(Duration::ZERO).unwrap(), [], "nobody said so");
        }
        victim.abandon();
        assert_eq!(set.wait(PATIENCE).unwrap(), [7]);
        assert_eq!(set.untold(), 0);
    }
}

/// *again-from-anew*: a waker was stopped after it had set `READY`; the next one tells all the same.
#[test]
fn a_stopped_waker_keeps_no_news_from_others() {
    let (heap, a) = heap();
    let b = heap.member("b").unwrap();
    let counter = Counter::new(&a);
    let mut set = WaitSet::new_in(&a);
    set.add(7, &counter).unwrap();
    assert_eq!(set.wait(Duration::ZERO).unwrap(), []);
    mark_all(&a.0.ground);
    counter.seen_by(&b).add();
    assert_eq!(set.wait(PATIENCE).unwrap(), [7]);
    assert_eq!(set.untold(), 0);
}

/// More observers of one word than its bucket holds, and one that comes and goes among them.
#[test]
fn a_word_may_have_more_observers_than_a_bucket_places() {
    let (_heap, a) = heap();
    let counter = Counter::new(&a);
    let mut sets: Vec<WaitSet<'_>> = (0..30).map(|_| WaitSet::new_in(&a)).collect();
    sets.iter_mut().for_each(|set| set.add(1, &counter).unwrap());
    sets.remove(3);
    assert!(sets.iter_mut().all(|set| set.wait(Duration::ZERO).unwrap().is_empty()));
    counter.add();
    assert!(sets.iter_mut().all(|set| set.wait(PATIENCE).unwrap() == [1]));
    assert!(counter.take());
    assert!(sets.iter_mut().all(|set| set.wait(Duration::ZERO).unwrap().is_empty()));
    drop(sets);
    assert_eq!(subscriptions(&a), 0);
}

#[test]
fn a_full_table_is_an_error_that_names_the_limit() {
    let (_heap, a) = heap();
    let counters: Vec<Counter> = (0..900).map(|_| Counter::new(&a)).collect();
    let room = a.0.ground.layout.bucket_count as usize * IN_BUCKET;
    let mut sets = [WaitSet::new_in(&a), WaitSet::new_in(&a)];
    let mut error = None;
    for (token, counter) in counters.iter().enumerate() {
        for set in &mut sets {
            error = error.or(set.add(token as u64, counter).err());
        }
    }
    assert!(matches!(error, Some(Error::LimitReached { .. })), "{error:?}");
    assert_eq!(subscriptions(&a), room);
    drop(sets);
    assert_eq!(subscriptions(&a), 0);
    let mut set = WaitSet::new_in(&a);
    set.add(1, &counters[5]).unwrap();
    counters[5].add();
    assert_eq!(set.wait(PATIENCE).unwrap(), [1]);
}

/// Sets whose process is killed leave no subscription that keeps others from their places, round after round.
#[test]
fn killed_sets_use_nothing_up() {
    let (heap, a) = heap();
    let counters: Vec<Counter> = (0..40).map(|_| Counter::new(&a)).collect();
    for _ in 0..200 {
        let victim = heap.member("victim").unwrap();
        let mut set = WaitSet::new_in(&victim);
        for (token, counter) in counters.iter().enumerate() {
            set.add(token as u64, counter.clone()).unwrap();
        }
        forget(set);
        victim.abandon();
        assert!(a.notice_deaths().unwrap());
    }
    assert_eq!(observers(&a), 0);
    // 200 x 40 would not have fitted. Those of the last rounds are overwritten or cleared as they are met.
    assert!(subscriptions(&a) < 1_000);
    counters.iter().for_each(Counter::add);
    assert!(counters.iter().all(|counter| !a.has_waiters(counter.word())));
    assert_eq!(subscriptions(&a), 0);
}

/// What one may do with two sets over six counters.
#[derive(Clone, Debug)]
enum Step {
    Add(usize, usize),
    Remove(usize, usize),
    Raise(usize),
    Take(usize),
    Wait(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..2_usize, 0..6_usize).prop_map(|(s, c)| Step::Add(s, c)),
        (0..2_usize, 0..6_usize).prop_map(|(s, c)| Step::Remove(s, c)),
        (0..6_usize).prop_map(Step::Raise),
        (0..6_usize).prop_map(Step::Take),
        (0..2_usize).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_set_names_exactly_what_is_ready(steps in steps()) {
        let (heap, a) = heap();
        let b = heap.member("b").unwrap();
        let counters: Vec<Counter> = (0..6).map(|_| Counter::new(&a)).collect();
        let mut sets = [WaitSet::new_in(&a), WaitSet::new_in(&b)];
        let (mut members, mut counts) = ([[false; 6]; 2], [0_u32; 6]);
        for step in steps {
            match step {
                Step::Add(s, c) => {
                    prop_assert_eq!(sets[s].add(c as u64, &counters[c]).is_ok(), !members[s][c]);
                    members[s][c] = true;
                }
                Step::Remove(s, c) => {
                    prop_assert_eq!(sets[s].remove(c as u64), members[s][c]);
                    members[s][c] = false;
                }
                Step::Raise(c) => {
                    counters[c].add();
                    counts[c] += 1;
                }
                Step::Take(c) => {
                    prop_assert_eq!(counters[c].take(), counts[c] > 0);
                    counts[c] = counts[c].saturating_sub(1);
                }
                Step::Wait(s) => {
                    let mut ready = sets[s].wait(Duration::ZERO).unwrap();
                    ready.sort_unstable();
                    let expected: Vec<u64> =
                        (0..6).filter(|c| members[s][*c as usize] && counts[*c as usize] > 0).collect();
                    prop_assert_eq!(ready, expected);
                }
            }
        }
        prop_assert_eq!(verify(&a.0.ground), Vec::<String>::new());
    }
}

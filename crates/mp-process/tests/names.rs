//! Published objects among relatives, who are killed while they publish, look up and withdraw.
#![cfg(target_os = "linux")] // counts by `common`, which looks at `/proc`

mod common;

use std::time::Duration;

use common::{Chance, alone, at_rest, block, is_as, rounds, soon};
use mp_process::{Builder, Process, StartMethod};
use mp_session::{Object, Role, Session};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

#[test]
fn a_child_finds_what_its_parent_published_and_the_other_way_round() {
    let _alone = alone();
    let session = Session::current().unwrap();
    for b in methods() {
        let object = block(&session, 10);
        session.publish("down", &object).unwrap();
        let child = b.spawn(
            || {
                let session = Session::current().unwrap();
                let found: Object = session.lookup("down").unwrap().unwrap();
                found.words().word(0).store(42, std::sync::atomic::Ordering::SeqCst);
                session.publish("up", &vec![found]).unwrap();
            },
            (),
        );
        child.unwrap().join().unwrap();
        assert_eq!(object.words().word(0).load(std::sync::atomic::Ordering::SeqCst), 42);
        // It stays when its publisher is gone.
        let up: Vec<Object> = session.lookup("up").unwrap().unwrap();
        assert_eq!(up, [object]);
        assert!(session.unpublish("up").unwrap() && session.unpublish("down").unwrap());
    }
}

fn busy(shared: Object, seed: u64) {
    let session = Session::current().unwrap();
    let mut chance = Chance::quiet(seed);
    loop {
        let name = format!("name {}", chance.below(4));
        match chance.below(4) {
            0 => drop(session.publish(&name, &(shared.clone(), name.clone()))),
            1 => {
                session.unpublish(&name).unwrap();
            }
            _ => {
                if let Some((found, says)) = session.lookup::<(Object, String)>(&name).unwrap() {
                    assert_eq!((found.id(), says), (shared.id(), name));
                }
            }
        }
    }
}

#[test]
fn kills_in_the_middle_leave_each_name_published_or_not() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let mut chance = Chance::new("names");
    let shared = block(&session, 100);
    methods().for_each(|b| b.spawn(|| (), ()).unwrap().join().unwrap());
    let before = at_rest(&session);
    for round in 0..rounds(25) {
        for b in methods() {
            let children: Vec<_> = (0..3)
                .map(|i| b.clone().spawn(busy, (shared.clone(), chance.below(1 << 40) + i)).unwrap())
                .collect();
            std::thread::sleep(Duration::from_micros(chance.below(4_000)));
            for child in &children {
                child.kill().unwrap();
            }
            for child in children {
                child.wait().unwrap();
            }
            assert!(soon(|| session.notice_deaths().is_ok() && session.stats().members == 1));
            let names = session.published().unwrap();
            assert!(names.len() <= 4, "{names:?}");
            for name in names {
                let (found, says) = session.lookup::<(Object, String)>(&name).unwrap().unwrap();
                assert_eq!((found.id(), &says), (shared.id(), &name));
                drop(found);
                assert!(session.unpublish(&name).unwrap());
                assert_eq!(
                    session.lookup::<(Object, String)>(&name).unwrap(),
                    None,
                    "twice, in round {round}"
                );
            }
            assert!(is_as(&session, before), "round {round}: {:?}", session.objects());
            assert_eq!(shared.holders(Role::First), 1);
        }
    }
}

//! What comes back from a child, by every start method.

use std::time::{Duration, Instant};

use mp_process::{Builder, Departure, Error, Process, Run, StartMethod};
use serde::{Deserialize, Serialize};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

#[test]
fn values_come_back() {
    for b in methods() {
        assert_eq!(b.clone().spawn(|a: u32, b: u32| a + b, (2, 3)).unwrap().join().unwrap(), 5);
        let long: Vec<u64> = (0..100_000).collect();
        let child =
            b.clone().spawn(|v: Vec<u64>| v.into_iter().rev().collect::<Vec<_>>(), (long.clone(),)).unwrap();
        let back = child.join().unwrap();
        assert!(back.iter().rev().eq(long.iter()));
        assert_eq!(child.join().unwrap().len(), back.len(), "as often as one likes");
        assert_eq!(b.spawn(|| (), ()).unwrap().join(), Ok(()));
    }
}

#[derive(Serialize, Deserialize)]
struct Greeter {
    name: String,
}

impl Run for Greeter {
    type Output = Result<String, std::fmt::Error>;
    fn run(self) -> Self::Output {
        Ok(format!("hello {} from {}", self.name, mp_process::current_process().name))
    }
}

#[test]
fn structs_run() {
    for b in methods() {
        let child = b.name("greeter-7").run(Greeter { name: "bob".into() }).unwrap();
        assert_eq!(child.name(), "greeter-7");
        assert_eq!(child.join().unwrap(), "hello bob from greeter-7");
    }
}

#[test]
fn errors_panics_codes_and_signals_are_told_apart() {
    for b in methods() {
        let failed = b.clone().spawn(|| std::fs::read_to_string("/no/such/file"), ()).unwrap();
        let error = failed.join().unwrap_err();
        assert!(matches!(&error, Error::Failed(f) if f.type_name.contains("io")), "{error:?}");
        assert_eq!(failed.exitcode(), Some(1));

        let panicked = b
            .clone()
            .stderr(mp_process::Stream::Null)
            .spawn(|x: u8| assert_eq!(x, 1, "not one"), (2,))
            .unwrap();
        match panicked.join().unwrap_err() {
            Error::Panicked(report) => {
                assert!(report.message.contains("not one"), "{report:?}");
                assert!(report.location.unwrap().contains("ends.rs"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(panicked.exitcode(), Some(101));

        let exited = b.clone().spawn(exit, (7,)).unwrap();
        let end: Result<(), Error> = exited.join();
        assert!(matches!(end, Err(Error::Exited { code: 7, .. })), "{end:?}");
        assert_eq!(exited.exitcode(), Some(7));
        assert_eq!(b.clone().spawn(exit, (0,)).unwrap().join(), Ok(()));

        let sleeper = b.clone().spawn(long_sleep, ()).unwrap();
        assert!(sleeper.is_alive() && sleeper.exitcode().is_none());
        assert_eq!(sleeper.join_timeout(Duration::from_millis(20)).unwrap(), None);
        sleeper.terminate().unwrap();
        let end = sleeper.join().unwrap_err();
        assert!(matches!(&end, Error::Died { who, .. } if who.pid == sleeper.pid()), "{end}");
        assert!(!sleeper.is_alive());
        assert_eq!((sleeper.exitcode(), sleeper.departure()), (Some(-15), Some(Departure::Signalled(15))));
        sleeper.terminate().unwrap(); // has ended: no error, and nobody else is hit

        let killed = b.spawn(long_sleep, ()).unwrap();
        killed.kill().unwrap();
        assert_eq!(killed.wait().unwrap(), Departure::Signalled(9));
    }
}

fn exit(code: i32) {
    std::process::exit(code)
}

fn long_sleep() {
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn an_early_death_is_an_error_at_once() {
    for b in methods() {
        // Dies before its function: it may not even open the files of its libraries.
        let child = b.current_dir("/no/such/directory").spawn(|| 1_u8, ()).unwrap();
        let asked = Instant::now();
        let error = child.join().unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(5));
        assert!(error.to_string().contains("/no/such/directory"), "{error}");
    }
}

#[test]
fn a_child_is_what_the_builder_says() {
    for b in methods() {
        let child = b
            .clone()
            .env("MP_TEST_VARIABLE", "set")
            .env_remove("PATH")
            .spawn(|| (std::env::var("MP_TEST_VARIABLE").ok(), std::env::var_os("PATH").is_none()), ())
            .unwrap();
        assert_eq!(child.join().unwrap(), (Some("set".to_owned()), true));
        // One variable, however it is spelled, where the system thinks so.
        let spelled = b.clone().env("Mp_Test_Variable", "1").env_remove("MP_TEST_VARIABLE");
        let left = spelled.spawn(|| std::env::var("mP_tEST_vARIABLE").is_ok(), ()).unwrap().join().unwrap();
        assert!(!left);
        let both = b.clone().env("Mp_Test_Variable", "1").env("MP_TEST_VARIABLE", "2");
        let first = both.spawn(|| std::env::var("Mp_Test_Variable").unwrap(), ()).unwrap().join().unwrap();
        assert_eq!(first, if cfg!(windows) { "2" } else { "1" });
        let dir = std::env::temp_dir().canonicalize().unwrap();
        let there = b
            .clone()
            .current_dir(&dir)
            .spawn(|| std::env::current_dir().map(|d| d.canonicalize().unwrap_or(d)), ());
        assert_eq!(there.unwrap().join().unwrap(), dir);
    }
}

#[test]
fn names_and_parents() {
    for b in methods() {
        let child = b
            .spawn(
                || {
                    let parent = mp_process::parent_process().map(|p| (p.pid(), p.is_alive()));
                    let grandchild = Process::spawn(|| mp_process::current_process().name, ())?;
                    Ok::<_, Error>((mp_process::current_process().name, parent, grandchild.join()?))
                },
                (),
            )
            .unwrap();
        let name = child.name().to_owned();
        assert!(name.starts_with("Process-"), "{name}");
        let (inside, parent, grandchild) = child.join().unwrap();
        assert_eq!(inside, name);
        assert_eq!(parent, Some((std::process::id(), true)));
        assert_eq!(grandchild, format!("{name}:1"));
    }
}

#[test]
fn sixteen_threads_agree_on_the_end() {
    for b in methods() {
        let child = b.spawn(|| 42_u8, ()).unwrap();
        let threads: Vec<_> = (0..16)
            .map(|i| {
                let child = child.clone();
                std::thread::spawn(move || {
                    if i % 2 == 0 {
                        while child.is_alive() {
                            std::thread::yield_now();
                        }
                    }
                    (child.join().unwrap(), child.exitcode())
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), (42, Some(0)));
        }
    }
}

#[test]
fn a_daemon_may_have_no_children_unless_it_is_allowed() {
    for b in methods() {
        let start = || Process::spawn(|| (), ()).map(|c| c.join().is_ok());
        let refused = b.clone().daemon(true).spawn(start, ()).unwrap().join().unwrap_err();
        assert!(
            matches!(&refused, Error::Failed(f) if matches!(f.source.as_deref(), Some(Error::Daemon { .. }))),
            "{refused}"
        );
        assert!(b.daemon(true).may_have_children(true).spawn(start, ()).unwrap().join().unwrap());
    }
}

#[test]
fn handles_travel_in_arguments_and_results() {
    use mp_session::{Blueprint, Kind, Object, Session, Shape};
    for b in methods() {
        let session = Session::current().unwrap();
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 64 };
        let object = Object::create(&session, plan, |_, _| {}).unwrap();
        let child = b
            .spawn(
                |o: Object| {
                    o.words().word(0).fetch_add(5, std::sync::atomic::Ordering::SeqCst);
                    Ok::<_, Error>((o.clone(), o))
                },
                (object.clone(),),
            )
            .unwrap();
        let (first, second) = child.join().unwrap();
        assert!(first == object && second == object);
        assert_eq!(object.words().word(0).load(std::sync::atomic::Ordering::SeqCst), 5);
        drop((first, second, child));
        assert_eq!(object.holders(mp_session::Role::First), 1, "nothing of it is left behind");
    }
}

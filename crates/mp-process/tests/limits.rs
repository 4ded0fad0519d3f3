//! Limits of the system and of the session: each is an error that says which, and afterwards everything works.
//!
//! What a limit would do to the other tests is done in helpers: runs of this program with `MP_TEST_HELPER` set, which the
//! test harness is told to confine to one test.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{alone, at_rest, block, held, is_as, soon};
use mp_process::{Builder, Departure, Error, Limit, Process, StartMethod};
use mp_session::{Message, Session, ThreadId};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

fn works() -> bool {
    methods().all(|b| b.spawn(|a: u8| a + 1, (1,)).and_then(|c| c.join()) == Ok(2))
}

/// Runs the test of that name in a process of its own, with `MP_TEST_HELPER` set and whatever else `set` does to it.
fn helper(test: &str, set: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("MP_TEST_HELPER", test);
    set(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test}: {}\n{said}", output.status);
    assert!(said.contains("1 passed"), "{said}");
}

/// Whether this is a helper run for that test.
fn helping(test: &str) -> bool {
    std::env::var("MP_TEST_HELPER").is_ok_and(|t| t == test)
}

fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, value: u64) -> &mut Command {
    let set = move || {
        let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        // SAFETY: a plain call with a live struct.
        if unsafe { libc::setrlimit(resource, &limit) } == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe { command.pre_exec(set) }
}

fn is_limit(error: &Error, named: &str) -> bool {
    matches!(error, Error::LimitReached { limit, .. } if limit.contains(named))
}

/// In a child with few descriptors: children until there are none left, then again with room.
fn few_descriptors(method: String) -> Result<(), String> {
    let b = || Process::builder().start_method(method.parse().unwrap());
    for _ in 0..60 {
        b().spawn(|| (), ()).and_then(|c| c.join()).map_err(|e| format!("in turn: {e}"))?;
    }
    let session = Session::current().unwrap();
    let living: Vec<_> = (0..40)
        // No daemons: those watch their parent, and would notice deaths for it.
        .map(|_| b().spawn(sleep, ()))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("at once: {e}"))?;
    let mut files: Vec<std::fs::File> = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    // Nothing is left to open. What needs no descriptor works on.
    let message = Message::encode(&session, &(block(&session, 100), 7_u8)).map_err(|e| e.to_string())?;
    message.decode::<(mp_session::Object, u8)>().map_err(|e| e.to_string())?;
    let before = session.stats().deaths;
    living[0].kill().map_err(|e| e.to_string())?;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let word = block(&session, 0);
    let noticed = session
        .wait(word.words().waiters(mp_session::Role::First), Some(until), &|| ThreadId::NONE, || {
            Ok((session.stats().deaths > before).then_some(()))
        })
        .map_err(|e| e.to_string())?;
    if noticed.is_none() {
        return Err("a death was not noticed".into());
    }
    living[0].wait().map_err(|e| format!("join without descriptors: {e}"))?;
    if living[1].wait_timeout(std::time::Duration::from_millis(20)).map_err(|e| e.to_string())?.is_some() {
        return Err("joined one that lives".into());
    }
    let spawned = Process::builder().start_method(StartMethod::Spawn).spawn(|| 5_u8, ());
    match spawned.and_then(|c| c.join()) {
        // The child has descriptors of its own.
        Ok(5) => {}
        Err(e) if is_limit(&e, "descriptors") => {}
        other => return Err(format!("start without descriptors: {other:?}")),
    }
    let own_streams = b().stdout(mp_process::Stream::Null).spawn(|| 5_u8, ());
    match own_streams.and_then(|c| c.join()) {
        Ok(5) => {}
        Err(e) if is_limit(&e, "descriptors") => {}
        other => return Err(format!("start with streams without descriptors: {other:?}")),
    }
    drop(files);
    living.iter().try_for_each(|c| c.kill()).map_err(|e| e.to_string())?;
    for child in living {
        child.wait().map_err(|e| e.to_string())?;
    }
    b().stdout(mp_process::Stream::Null)
        .spawn(|| (), ())
        .and_then(|c| c.join())
        .map_err(|e| format!("afterwards: {e}"))
}

fn sleep() {
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn thirty_two_descriptors_are_enough() {
    let _alone = alone();
    let session = Session::current().unwrap();
    for by in StartMethod::available() {
        let child =
            Process::builder().limit(Limit::OpenFiles, 32).spawn(few_descriptors, (by.to_string(),)).unwrap();
        child.join().unwrap();
    }
    assert!(works());
    let _ = session;
}

/// Uses up all descriptors before the first process is started.
#[test]
fn no_descriptor_for_a_fork_server() {
    let _alone = alone();
    let child = Process::builder().limit(Limit::OpenFiles, 32).spawn(
        || {
            let mut files = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                files.push(file);
            }
            let error = Process::spawn(|| (), ()).map(drop).unwrap_err();
            drop(files);
            (error.to_string(), is_limit(&error, "descriptors"), works())
        },
        (),
    );
    let (error, names_it, works_afterwards) = child.unwrap().join().unwrap();
    assert!(names_it && works_afterwards, "{error}");
}

#[test]
fn no_further_process() {
    let _alone = alone();
    // SAFETY: a plain call.
    let root = unsafe { libc::getuid() } == 0;
    // The limit counts all processes of the user: root is not limited, and a user of the tests' own has none yet.
    let (user, most) = if root { (Some(54_321), 5) } else { (None, 1) };
    for by in StartMethod::available() {
        let mut b = Process::builder().limit(Limit::Processes, most);
        if let Some(user) = user {
            b = b.uid(user).gid(user);
        }
        let child = b.spawn(
            |by: String| {
                let b = || Process::builder().start_method(by.parse().unwrap());
                let mut living = Vec::new();
                let error = loop {
                    match b().daemon(true).spawn(sleep, ()) {
                        Ok(child) => living.push(child),
                        Err(e) => break e,
                    }
                    assert!(living.len() < 20, "no limit");
                };
                let again = b().spawn(|| (), ()).map(drop).unwrap_err();
                living.iter().for_each(|c| c.kill().unwrap());
                let first = living.len();
                living.into_iter().for_each(|c| assert!(c.wait().unwrap() != Departure::Exited(0)));
                let named = is_limit(&error, "RLIMIT_NPROC") && is_limit(&again, "RLIMIT_NPROC");
                let afterwards = first == 0 || b().spawn(|| 3, ()).and_then(|c| c.join()) == Ok(3);
                (error.to_string(), first, named, afterwards)
            },
            (by.to_string(),),
        );
        let (error, first, named, afterwards) = child.unwrap().join().unwrap();
        assert!(named && afterwards && (first > 0 || !root), "{by}: {error}, {first} before");
    }
}

#[test]
fn no_room_to_found_a_session() {
    let _alone = alone();
    const NAME: &str = "no_room_to_found_a_session";
    if helping(NAME) {
        let error = Process::spawn(|| (), ()).map(drop).unwrap_err();
        let named = std::env::var("MP_TEST_EXPECT").unwrap();
        assert!(is_limit(&error, &named), "{error:?}");
        return;
    }
    helper(NAME, |c| {
        c.env("MP_TEST_EXPECT", "RLIMIT_FSIZE");
        limit(c, libc::RLIMIT_FSIZE, 1 << 20)
    });
    for mib in [300, 1025] {
        helper(NAME, |c| {
            c.env("MP_TEST_EXPECT", "RLIMIT_AS");
            limit(c, libc::RLIMIT_AS, mib << 20)
        });
    }
}

#[test]
fn a_smaller_session_fits() {
    let _alone = alone();
    const NAME: &str = "a_smaller_session_fits";
    if helping(NAME) {
        assert!(works());
        return;
    }
    helper(NAME, |c| limit(c, libc::RLIMIT_AS, 8 << 30));
    helper(NAME, |c| limit(c, libc::RLIMIT_FSIZE, 3 << 30));
    helper(NAME, |c| {
        c.env("MP_SESSION_MIB", "64");
        limit(c, libc::RLIMIT_FSIZE, 64 << 20);
        limit(c, libc::RLIMIT_AS, 2 << 30)
    });
}

#[test]
fn a_child_whose_files_may_not_grow() {
    let _alone = alone();
    for b in methods() {
        let child = b.limit(Limit::FileSize, 0).spawn(
            |v: Vec<u8>| Process::spawn(|v: Vec<u8>| v.len(), (v,)).and_then(|c| c.join()).map(|n| n + 1),
            (vec![1; 3 << 20],),
        );
        assert_eq!(child.unwrap().join().unwrap(), (3 << 20) + 1);
    }
}

#[test]
fn a_session_full_of_processes() {
    let _alone = alone();
    const NAME: &str = "a_session_full_of_processes";
    if !helping(NAME) {
        return helper(NAME, |c| c.env("MP_SESSION_MIB", "64"));
    }
    let session = Session::current().unwrap();
    assert!(works());
    let before = at_rest(&session);
    for round in 0..2 {
        for b in methods() {
            let mut living = Vec::new();
            let error = loop {
                match b.clone().daemon(true).spawn(sleep, ()) {
                    Ok(child) => living.push(child),
                    Err(e) => break e,
                }
            };
            assert!(is_limit(&error, "processes of the session"), "{error}");
            assert_eq!(living.len(), 63);
            // Room is found also where nobody has joined, and the handles are gone.
            living.iter().for_each(|c| c.kill().unwrap());
            if round == 0 {
                living.iter().for_each(|c| assert_eq!(c.wait().unwrap(), Departure::Signalled(9)));
            }
            drop(living);
            assert!(soon(works));
            assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
        }
    }
}

#[test]
fn a_session_full_of_threads() {
    let _alone = alone();
    const NAME: &str = "a_session_full_of_threads";
    if !helping(NAME) {
        return helper(NAME, |c| c.env("MP_SESSION_MIB", "64"));
    }
    let session = Session::current().unwrap();
    assert!(works());
    let before = session.stats().threads;
    let (go, wait) = (std::sync::Barrier::new(301), std::sync::Barrier::new(301));
    let refused = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..300)
            .map(|_| {
                scope.spawn(|| {
                    let id = session.thread_id();
                    go.wait();
                    wait.wait();
                    id.err()
                })
            })
            .collect();
        go.wait();
        // The children's threads find no place.
        let error = methods()
            .next()
            .unwrap()
            .stderr(mp_process::Stream::Null)
            .spawn(|| 1_u8, ())
            .and_then(|c| c.join());
        wait.wait();
        let refused: Vec<Error> = threads.into_iter().filter_map(|t| t.join().unwrap()).collect();
        (refused, error)
    });
    assert!(refused.0.len() >= 44 && refused.0.iter().all(|e| is_limit(e, "threads of the session")));
    assert!(refused.1.is_err(), "{:?}", refused.1);
    assert!(works());
    assert!(soon(|| session.stats().threads == before));
}

#[test]
fn a_budget_that_is_used_up() {
    let _alone = alone();
    const NAME: &str = "a_budget_that_is_used_up";
    if !helping(NAME) {
        return helper(NAME, |c| c.env("MP_SESSION_BUDGET_MIB", "8"));
    }
    let session = Session::current().unwrap();
    assert!(works());
    let before = at_rest(&session);
    for b in methods() {
        let refused = b.clone().spawn(|v: Vec<u8>| v.len(), (vec![0_u8; 16 << 20],)).map(drop).unwrap_err();
        assert!(is_limit(&refused, "budget"), "{refused}");
        // The child's result does not fit: said as an error of the child.
        let result = b.clone().spawn(|| vec![1_u8; 16 << 20], ()).unwrap().join().unwrap_err();
        assert!(result.to_string().contains("budget"), "{result}");
        let mut kept = Vec::new();
        while let Ok(message) = Message::encode(&session, &vec![0_u8; 100_000]) {
            kept.push(message);
        }
        while let Ok(message) = Message::encode(&session, &0_u8) {
            kept.push(message);
        }
        let full = b.clone().spawn(|| 1_u8, ()).map(|c| c.join());
        if let Err(e) | Ok(Err(e)) = &full {
            assert!(e.to_string().contains("budget"), "{e}");
        }
        drop(kept);
        assert!(works());
        // The ledger keeps the chunks that it grew by.
        let now = held(&session);
        assert_eq!((now.1, now.2, now.3), (before.1, before.2, before.3));
    }
}

#[test]
fn a_child_begins_clean() {
    let _alone = alone();
    // Descriptors of all kinds here, one of them not close-on-exec, as a C library might have opened.
    let _file = std::fs::File::open("/dev/zero").unwrap();
    // SAFETY: a plain call; the descriptor is never closed.
    let leaky = unsafe { libc::open(c"/dev/full".as_ptr(), libc::O_RDONLY) };
    assert!(leaky > 2);
    // SAFETY: the set is initialised before it is read; only this thread's mask changes.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
    for b in methods() {
        let child = b.spawn(
            || {
                let files: BTreeSet<String> = common::descriptors();
                (files, common::signals_held())
            },
            (),
        );
        let (files, (blocked, ignored)) = child.unwrap().join().unwrap();
        assert_eq!(blocked, 0);
        let pipe = 1 << (libc::SIGPIPE - 1);
        assert_eq!(ignored & pipe, pipe, "by Rust's runtime");
        // This program may have been started with more of them ignored, as nohup does.
        assert_eq!(ignored & !common::signals_held().1, 0, "nothing is ignored that we do not ignore");
        assert!(files.contains("0 -> /dev/null"), "{files:?}");
        let beyond: Vec<_> =
            files.iter().filter(|f| !["0", "1", "2"].contains(&f.split(' ').next().unwrap())).collect();
        assert!(
            beyond.len() == 2 && beyond.iter().all(|f| f.contains("memfd:")),
            "session and liveness alone: {files:?}"
        );
    }
}

//! Tables and budgets that run out, one by one: an error that names the limit, and afterwards everything works.
#![cfg(target_os = "linux")] // limits are set by `setrlimit` and control groups

mod common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{alone, at_rest, block, held, soon};
use mp_process::{Error, Process, StartMethod};
use mp_session::{Message, Object, Role, Session};

mp_process::enable_in_tests!();

fn works() -> bool {
    StartMethod::available().iter().all(|m| {
        let joined = Process::builder().start_method(*m).spawn(|a: u8| a + 1, (1,)).and_then(|c| c.join());
        if joined != Ok(2) {
            eprintln!("{m}: {joined:?}");
        }
        joined == Ok(2)
    })
}

fn limit_of(error: &Error) -> &str {
    match error {
        Error::LimitReached { limit, .. } => limit,
        _ => panic!("{error:?}"),
    }
}

/// Runs the test of that name in a process of its own, with `MP_TEST_HELPER` set and whatever else `set` does to it.
fn helper(test: &str, set: impl FnOnce(&mut Command)) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("MP_TEST_HELPER", test);
    set(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {}\n{said}", output.status);
}

fn helping(test: &str) -> bool {
    std::env::var("MP_TEST_HELPER").is_ok_and(|t| t == test)
}

fn root() -> bool {
    // SAFETY: a plain call.
    unsafe { libc::getuid() == 0 }
}

/// Creates until it is an error.
fn until_full(mut make: impl FnMut() -> Result<Object, Error>) -> (Vec<Object>, Error) {
    let mut kept = Vec::new();
    loop {
        match make() {
            Ok(object) => kept.push(object),
            Err(error) => return (kept, error),
        }
    }
}

#[test]
fn a_session_full_of_objects() {
    let _alone = alone();
    const NAME: &str = "a_session_full_of_objects";
    if !helping(NAME) {
        return helper(NAME, |c| {
            c.env("MP_SESSION_MIB", "16");
        });
    }
    let session = Session::current().unwrap();
    assert!(works());
    at_rest(&session);
    for _ in 0..3 {
        let (kept, error) = until_full(|| {
            let plan = mp_session::Blueprint {
                kind: mp_session::Kind::BLOCK,
                fingerprint: 0,
                shape: mp_session::Shape::Plain,
                size: 0,
            };
            Object::create(&session, plan, |_, _| {})
        });
        assert!(limit_of(&error).contains("objects of the session"), "{error}");
        assert!(kept.len() > 1000, "{}", kept.len());
        // What needs a new object says the same; what needs none goes on.
        let started = Process::spawn(|| 1_u8, ()).and_then(|c| c.join());
        assert!(started.unwrap_err().to_string().contains("objects of the session"));
        let again = kept[0].try_clone_counted().unwrap();
        assert_eq!(again.holders(Role::First), 2);
        drop((kept, again));
        assert!(works());
    }
    assert!(soon(|| session.notice_deaths().is_ok() && held(&session).1 == 0), "{:?}", session.objects());
}

#[test]
fn a_session_full_of_bytes() {
    let _alone = alone();
    const NAME: &str = "a_session_full_of_bytes";
    if !helping(NAME) {
        // Each in a session of its own: memory that was cut into small blocks stays so.
        for size in ["5000", "300000"] {
            helper(NAME, |c| {
                c.env("MP_SESSION_MIB", "32").env("MP_TEST_SIZE", size);
            });
        }
        return;
    }
    let size: usize = std::env::var("MP_TEST_SIZE").unwrap().parse().unwrap();
    let session = Session::current().unwrap();
    assert!(works());
    for _ in 0..3 {
        let mut kept = Vec::new();
        let error = loop {
            match Message::encode(&session, &vec![0_u8; size]) {
                Ok(message) => kept.push(message),
                Err(error) => break error,
            }
        };
        let limit = limit_of(&error);
        assert!(limit.contains("session") || limit.contains("budget"), "{error}");
        drop(kept);
        assert!(works(), "after blocks of {size}");
        // Another member finds what this one gave back.
        let child = Process::spawn(
            |size: usize| Message::encode(&Session::current().unwrap(), &vec![0_u8; size]).map(drop),
            (size,),
        );
        child.unwrap().join().unwrap();
    }
}

/// A file's size is limited to less than the session already has: nothing of mp raises `SIGXFSZ`, whose default is death.
#[test]
fn no_signal_for_files_that_may_not_grow() {
    let _alone = alone();
    const NAME: &str = "no_signal_for_files_that_may_not_grow";
    if !helping(NAME) {
        return helper(NAME, |_| {});
    }
    let session = Session::current().unwrap();
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain call with a live struct. (The harness's output goes to a pipe, which has no size.)
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    let kept: Vec<Object> = (0..500).map(|i| block(&session, i * 1000)).collect();
    drop(kept);
    assert!(works());
    session.publish("name", &vec![1_u8; 1 << 20]).unwrap();
    // A door's name has no size either.
    drop(mp_session::Door::open(&session, &format!("small-{}", std::process::id())).unwrap());
}

/// Private memory runs out (`RLIMIT_DATA`): the session's own does not count, and the child's end is told as what it is.
#[test]
fn little_private_memory() {
    let _alone = alone();
    for method in StartMethod::available() {
        let b = || Process::builder().start_method(*method).stderr(mp_process::Stream::Null);
        let limited = b().limit(mp_process::Limit::Data, 48 << 20);
        let used = limited.clone().spawn(
            || {
                let session = Session::current().unwrap();
                // More than the limit, in the session.
                let kept: Vec<Object> = (0..100).map(|_| block(&session, 1 << 20)).collect();
                kept.len()
            },
            (),
        );
        assert_eq!(used.unwrap().join().unwrap(), 100);
        // Beyond it, in private: Rust aborts, and nobody else is harmed.
        let beyond = limited.spawn(|| vec![1_u8; 200 << 20].len(), ());
        assert!(matches!(beyond.unwrap().join(), Err(Error::Died { .. } | Error::Exited { .. })));
        assert!(works());
    }
}

/// A control group of the test's own, if one can be made here.
struct Group(PathBuf);

impl Group {
    fn make(controller: &str) -> Option<Group> {
        let base = [format!("/sys/fs/cgroup/{controller}"), "/sys/fs/cgroup".into()];
        let base = base.iter().map(Path::new).find(|b| b.join("cgroup.procs").exists())?;
        let path = base.join(format!("mp-test-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Group(path))
    }

    fn set(&self, file: &str, value: &str) -> bool {
        std::fs::write(self.0.join(file), value).is_ok()
    }

    /// Has the command's process enter it before it executes.
    fn hold(&self, command: &mut Command) {
        let file = std::ffi::CString::new(self.0.join("cgroup.procs").into_os_string().into_encoded_bytes())
            .unwrap();
        let enter = move || {
            // SAFETY: plain calls, allowed between fork and exec; "0" means whoever writes.
            unsafe {
                let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                let wrote = libc::write(fd, c"0".as_ptr().cast(), 1);
                libc::close(fd);
                if wrote == 1 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            }
        };
        // SAFETY: as said there.
        unsafe { command.pre_exec(enter) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let gone = soon(|| std::fs::remove_dir(&self.0).is_ok());
        assert!(gone || std::thread::panicking(), "{} stays", self.0.display());
    }
}

#[test]
fn a_control_group_full_of_processes() {
    let _alone = alone();
    const NAME: &str = "a_control_group_full_of_processes";
    if !helping(NAME) {
        let group = Group::make("pids").filter(|g| g.set("pids.max", "12"));
        let Some(group) = group.filter(|_| root()) else {
            eprintln!("skipped: pids.max (how to enable: run as root where control groups can be made)");
            return;
        };
        return helper(NAME, |c| group.hold(c));
    }
    for method in StartMethod::available() {
        let mut living = Vec::new();
        let error = loop {
            let b = Process::builder().start_method(*method).daemon(true);
            match b.stderr(mp_process::Stream::Null).spawn(std::thread::park, ()) {
                Ok(child) => living.push(child),
                Err(error) => break error,
            }
            assert!(living.len() < 40, "no limit");
        };
        assert!(limit_of(&error).contains("pids.max"), "{error}");
        living.iter().for_each(|c| c.kill().unwrap());
        living.into_iter().for_each(|c| drop(c.wait()));
        assert!(soon(works));
    }
}

/// The budget of a session is what its control group leaves: over it is an error and no kill.
#[test]
fn a_control_group_with_little_memory() {
    let _alone = alone();
    const NAME: &str = "a_control_group_with_little_memory";
    if !helping(NAME) {
        let group = Group::make("memory")
            .filter(|g| g.set("memory.limit_in_bytes", "100663296") || g.set("memory.max", "100663296"));
        let Some(group) = group.filter(|_| root()) else {
            eprintln!(
                "skipped: a memory control group (how to enable: run as root where control groups can be made)"
            );
            return;
        };
        return helper(NAME, |c| group.hold(c));
    }
    let session = Session::current().unwrap();
    let mut kept = Vec::new();
    let error = loop {
        match Message::encode(&session, &vec![7_u8; 1 << 20]) {
            Ok(message) => kept.push(message),
            Err(error) => break error,
        }
        assert!(kept.len() < 96, "more than there is");
    };
    assert!(limit_of(&error).contains("budget"), "{error}");
    assert!(kept.len() > 16, "{} MiB of 96", kept.len());
    drop(kept);
    assert!(works());
}

//! Systems that withhold something: calls, `/proc`, a writable root; and what the session costs a core dump or a locked program.
#![cfg(target_os = "linux")] // seccomp, mount namespaces, core dumps

mod common;

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output};

use common::{alone, block};
use mp_process::{Departure, Error, Process, StartMethod};
use mp_session::{Object, Role, Session};

mp_process::enable_in_tests!();

fn run(test: &str, set: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("MP_TEST_HELPER", test);
    set(&mut command);
    command.output().unwrap()
}

fn helper(test: &str, set: impl FnOnce(&mut Command)) {
    let output = run(test, set);
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

/// Values, errors, handles, deaths and waits, by every start method.
fn all_is_well() {
    let session = Session::current().unwrap();
    for method in StartMethod::available() {
        let b = || Process::builder().start_method(*method);
        assert_eq!(b().spawn(|a: u8| a + 1, (1,)).unwrap().join(), Ok(2), "{method}");
        let object = block(&session, 10);
        let child = b().spawn(hold, (object.clone(),)).unwrap();
        let held =
            || Ok((object.words().word(0).load(std::sync::atomic::Ordering::SeqCst) == 1).then_some(()));
        let until = Some(std::time::Instant::now() + std::time::Duration::from_secs(20));
        let waiters = object.words().waiters(Role::First);
        let nobody = || mp_session::ThreadId::NONE;
        assert!(session.wait(waiters, until, &nobody, held).unwrap().is_some(), "{method}");
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap(), Departure::Signalled(9), "{method}");
        let released = || Ok((object.holders(Role::First) == 1).then_some(()));
        assert!(session.wait(waiters, until, &nobody, released).unwrap().is_some(), "{method}");
    }
}

fn hold(object: Object) {
    object.words().word(0).store(1, std::sync::atomic::Ordering::SeqCst);
    object.session().wake_all(object.words().waiters(Role::First));
    std::thread::park();
}

/// Has the kernel answer these calls with that error, for this process and all that it starts.
fn deny(calls: &[libc::c_long], error: i32) {
    let load = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 }; // the call's number
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let refuse = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | error as u32 };
    let mut program = vec![load];
    for call in calls {
        program.push(libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: *call as u32 });
        program.push(refuse);
    }
    program.push(allow);
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain calls; the program lives until they return.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    };
    assert!(set, "{}", std::io::Error::last_os_error());
}

/// A sandbox that knows fewer calls: slower ways, the same results.
#[test]
fn calls_that_a_sandbox_denies() {
    let _alone = alone();
    const NAME: &str = "calls_that_a_sandbox_denies";
    const CALLS: [(&str, libc::c_long); 5] = [
        ("futex_waitv", libc::SYS_futex_waitv),
        ("pidfd_open", libc::SYS_pidfd_open),
        ("close_range", libc::SYS_close_range),
        ("get_robust_list", libc::SYS_get_robust_list),
        ("clone3", libc::SYS_clone3),
    ];
    if helping(NAME) {
        let denied = std::env::var("MP_TEST_DENIED").unwrap();
        let numbers: Vec<libc::c_long> =
            CALLS.iter().filter(|(name, _)| denied.contains(name)).map(|(_, number)| *number).collect();
        for error in [libc::ENOSYS, libc::EPERM] {
            if denied.ends_with("(EPERM)") == (error == libc::EPERM) {
                deny(&numbers, error);
            }
        }
        all_is_well();
        return;
    }
    let mut cases: Vec<String> = CALLS.iter().map(|(name, _)| (*name).to_owned()).collect();
    cases.push(CALLS.map(|(name, _)| name).join(" "));
    cases.push("futex_waitv pidfd_open (EPERM)".into());
    for case in cases {
        helper(NAME, |c| {
            c.env("MP_TEST_DENIED", &case);
        });
    }
}

/// Without memory objects there is no session, and that is said at once.
#[test]
fn a_sandbox_without_memory_objects() {
    let _alone = alone();
    const NAME: &str = "a_sandbox_without_memory_objects";
    if helping(NAME) {
        deny(&[libc::SYS_memfd_create], libc::EPERM);
        let error = Session::current().map(drop).unwrap_err();
        assert!(matches!(&error, Error::Os { what, .. } if what.contains("session memory")), "{error:?}");
        assert_eq!(Process::spawn(|| (), ()).map(drop).unwrap_err(), error);
        return;
    }
    helper(NAME, |_| {});
}

/// In a mount namespace of the test's own.
fn apart(command: &mut Command, then: impl Fn() -> i32 + Send + Sync + 'static) {
    let enter = move || {
        // SAFETY: plain calls with strings that end in NUL, allowed between fork and exec.
        let done = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    std::ptr::null(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && then() == 0
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: as said there.
    unsafe { command.pre_exec(enter) };
}

fn can_mount(what: &str) -> bool {
    let mut command = Command::new("/bin/true");
    apart(&mut command, || 0);
    let can = root() && command.status().is_ok_and(|s| s.success());
    if !can {
        eprintln!("skipped: {what} (how to enable: run as root where mount namespaces are allowed)");
    }
    can
}

#[test]
fn a_root_that_is_read_only() {
    let _alone = alone();
    const NAME: &str = "a_root_that_is_read_only";
    if helping(NAME) {
        let path = std::env::temp_dir().join("mp-cannot");
        assert!(std::fs::write(path, "x").is_err(), "it is writable");
        all_is_well();
        let door = mp_session::Door::open(&Session::current().unwrap(), "door").map(drop).unwrap_err();
        assert!(matches!(&door, Error::Os { kind, .. } if kind == "ReadOnlyFilesystem"), "{door:?}");
        return;
    }
    if can_mount("a read-only root") {
        helper(NAME, |c| {
            c.env("TMPDIR", "/").env_remove("XDG_RUNTIME_DIR").env_remove("MP_DOOR_DIR");
            apart(c, || {
                let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
                // SAFETY: strings that end in NUL.
                unsafe {
                    libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null())
                }
            });
        });
    }
}

#[test]
fn a_system_without_proc() {
    let _alone = alone();
    const NAME: &str = "a_system_without_proc";
    if helping(NAME) {
        assert!(std::fs::metadata("/proc/self").is_err(), "there is one");
        all_is_well();
        return;
    }
    if can_mount("no /proc") {
        helper(NAME, |c| {
            apart(c, || {
                // SAFETY: strings that end in NUL.
                unsafe {
                    libc::mount(c"none".as_ptr(), c"/proc".as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null())
                }
            });
        });
    }
}

/// What the kernel notes about the session's mapping in this process.
fn session_mapping() -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = smaps.find("mp-session").expect("the session is mapped");
    smaps[start..].lines().find(|l| l.starts_with("VmFlags")).expect("flags").to_owned()
}

/// A mark that stands nowhere in the program: made when it is needed.
fn mark() -> Vec<u8> {
    (0..64_u8).map(|i| i.wrapping_mul(37) ^ 0x5A).collect()
}

#[test]
fn a_core_dump_holds_nothing_of_the_session() {
    let _alone = alone();
    const NAME: &str = "a_core_dump_holds_nothing_of_the_session";
    if helping(NAME) {
        let session = Session::current().unwrap();
        assert!(session_mapping().contains(" dd"), "{}", session_mapping());
        let object = block(&session, 4096);
        let (bytes, _) = object.bytes().unwrap();
        for i in 0..64_u8 {
            // SAFETY: the object is ours alone, and longer. The mark stands in no other memory than the session's.
            unsafe { bytes.as_ptr().add(usize::from(i)).write_volatile(i.wrapping_mul(37) ^ 0x5A) };
        }
        std::process::abort();
    }
    let place = std::env::temp_dir().join(format!("mp-core-{}", std::process::id()));
    std::fs::create_dir(&place).unwrap();
    let output = run(NAME, |c| {
        c.current_dir(&place);
        let unlimited = || {
            let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: a plain call with a live struct.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) };
            Ok(()) // not root: with the limit there is
        };
        // SAFETY: setrlimit may be called between fork and exec.
        unsafe { c.pre_exec(unlimited) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", String::from_utf8_lossy(&output.stderr));
    let core = std::fs::read_dir(&place)
        .unwrap()
        .filter_map(Result::ok)
        .find(|e| e.file_name().to_string_lossy().starts_with("core"));
    match core {
        Some(core) => {
            let size = core.metadata().unwrap().len();
            assert!(size < 1 << 30, "{size} bytes");
            let core = std::fs::read(core.path()).unwrap();
            // Blocks start at multiples of 64, and so do the pieces of a core.
            let mark = mark();
            assert!(!core.chunks(64).any(|piece| piece == mark), "the session's memory is in it");
        }
        None => eprintln!("skipped: the core itself (how to enable: kernel.core_pattern=core)"),
    }
    std::fs::remove_dir_all(&place).unwrap();
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_program_that_locks_all_its_memory() {
    let _alone = alone();
    const NAME: &str = "a_program_that_locks_all_its_memory";
    if helping(NAME) {
        // SAFETY: a plain call.
        assert_eq!(unsafe { libc::mlockall(libc::MCL_FUTURE) }, 0, "{}", std::io::Error::last_os_error());
        if std::env::var_os("MP_TEST_LIMITED").is_some() {
            let error = Session::current().map(drop).unwrap_err();
            let named =
                matches!(&error, Error::LimitReached { limit, .. } if limit.contains("RLIMIT_MEMLOCK"));
            assert!(named, "{error:?}");
            return;
        }
        let session = Session::current().unwrap();
        assert!(session.stats().bytes_total > 1 << 30);
        all_is_well();
        assert!(resident_kib() < 1 << 20, "{} KiB", resident_kib());
        // And what is used is locked.
        assert!(session_mapping().contains(" lo"), "{}", session_mapping());
        return;
    }
    if !root() {
        eprintln!("skipped: mlockall (how to enable: run as root)");
        return;
    }
    helper(NAME, |_| {});
    let home = std::env::temp_dir().join(format!("mp-locked-{}", std::process::id()));
    std::fs::create_dir(&home).unwrap();
    let program = home.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [&home, &program] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    // Another user may lock so much and no more.
    let output = Command::new(&program)
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .env("MP_TEST_HELPER", NAME)
        .env("MP_TEST_LIMITED", "1")
        .current_dir(&home)
        .uid(54_321)
        .gid(54_321)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

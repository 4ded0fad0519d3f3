//! Who is no member stays none: foreign forks, programs in between, other sessions, other users.
#![cfg(target_os = "linux")] // looks at `/proc`; forks behind the library's back

mod common;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering::*;

use common::{alone, at_rest, block, descriptors, held, is_as, soon};
use mp_process::{Builder, Process, StartMethod};
use mp_session::{Door, Error, Object, Role, Session};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

fn helping(test: &str) -> bool {
    std::env::var("MP_TEST_HELPER").is_ok_and(|t| t == test)
}

/// The arguments that run one test of this program.
const ONE: [&str; 2] = ["--nocapture", "--test-threads=1"];

fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{said}", output.status);
    said.into_owned()
}

/// A copy that a foreign `fork` made ends by `exit`, with every exit handler, or executes another program; the parent's session, door and
/// children do not notice.
#[test]
fn a_foreign_fork_exits_and_executes_and_harms_nobody() {
    let _alone = alone();
    const NAME: &str = "a_foreign_fork_exits_and_executes_and_harms_nobody";
    if !helping(NAME) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .args(ONE)
            .env("MP_TEST_HELPER", NAME)
            .output();
        succeeded(&output.unwrap());
        return;
    }
    let session = Session::current().unwrap();
    let object = block(&session, 100);
    let door = Door::open(&session, &format!("fork-{}", std::process::id())).unwrap();
    let child = Process::builder().daemon(true).spawn(wait_for_one, (object.clone(),)).unwrap();
    assert!(soon(|| object.words().word(1).load(SeqCst) == 1));
    // Without the threads: the child's own begin when they do.
    let held = || {
        let (bytes, objects, members, _) = held(&session);
        (bytes, objects, members)
    };
    let before = held();
    for way in 0..3 {
        // SAFETY: the copy has this thread alone, and uses nothing that another thread may have locked save malloc, which
        // glibc makes usable in it.
        let copy = unsafe { libc::fork() };
        if copy == 0 {
            let foreign = matches!(session.publish("from the copy", &1_u8), Err(Error::ForeignFork))
                && matches!(object.try_clone_counted(), Err(Error::ForeignFork))
                && matches!(Door::open(&session, "copy"), Err(Error::ForeignFork));
            match (foreign, way) {
                (true, 0) => std::process::exit(0), // with the handlers
                (true, 1) => {
                    drop((object, door, child));
                    std::process::exit(0)
                }
                (true, _) => {
                    let _ = Command::new("/bin/true").exec();
                }
                _ => {}
            }
            // SAFETY: ends the copy.
            unsafe { libc::_exit(1) };
        }
        let mut status = 0;
        // SAFETY: our own child, and a live status.
        assert_eq!(unsafe { libc::waitpid(copy, &mut status, 0) }, copy);
        assert_eq!(status, 0, "way {way}");
        assert!(door.path().exists(), "the copy took the door's name away");
        session.notice_deaths().unwrap();
        assert_eq!(held(), before);
        assert!(child.is_alive());
    }
    object.words().word(0).store(1, SeqCst);
    session.wake_all(object.words().waiters(Role::First));
    child.join().unwrap();
    assert_eq!(methods().next().unwrap().spawn(|| 3, ()).unwrap().join().unwrap(), 3);
}

fn wait_for_one(object: Object) {
    object.words().word(1).fetch_add(1, SeqCst);
    let session = Session::current().unwrap();
    let ready = || Ok((object.words().word(0).load(SeqCst) == 1).then_some(()));
    session.wait(object.words().waiters(Role::First), None, &|| mp_session::ThreadId::NONE, ready).unwrap();
}

/// mp program -> sh -> mp program: the last founds a session of its own, and has nothing of the first's.
#[test]
fn a_program_in_between_passes_nothing_on() {
    let _alone = alone();
    const NAME: &str = "a_program_in_between_passes_nothing_on";
    let ours = |text: &str| text.contains("mp-session") || text.contains("mp-liveness");
    if helping(NAME) {
        let inherited: Vec<String> = descriptors().into_iter().filter(|d| ours(d)).collect();
        let variables: Vec<String> = std::env::vars()
            .map(|(key, _)| key)
            .filter(|k| k.starts_with("MP_") && k != "MP_TEST_HELPER")
            .collect();
        assert!(Session::existing().is_none() && Session::attach().unwrap().is_none());
        let session = Session::current().unwrap();
        assert!(session.parent().is_none());
        // And it works.
        assert_eq!(methods().map(|b| b.spawn(|| 2, ()).unwrap().join().unwrap()).sum::<i32>(), 4);
        println!("found: {inherited:?} {variables:?} {:x}", session.id());
        return;
    }
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    // From this process, and from a child of each kind.
    let through_a_shell = || {
        let program = std::env::current_exe().unwrap();
        let script = format!("'{}' --exact {NAME} {}; exit $?", program.display(), ONE.join(" "));
        let output = Command::new("sh")
            .args(["-c", &script])
            .env("MP_TEST_HELPER", NAME)
            .stdin(Stdio::null())
            .output();
        succeeded(&output.unwrap())
    };
    let mut said = vec![through_a_shell()];
    said.extend(methods().map(|b| b.spawn(through_a_shell, ()).unwrap().join().unwrap()));
    for said in said {
        let found = said.lines().find_map(|l| Some(l.split_once("found: ")?.1)).unwrap_or("nothing");
        let id = found.strip_prefix("[] [] ").unwrap_or_else(|| panic!("it had {found}"));
        assert_ne!(id, format!("{:x}", session.id()));
    }
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

/// Two programs on one machine, side by side: neither sees anything of the other, and the end of one is nothing to the other.
#[test]
fn two_sessions_do_not_meet() {
    let _alone = alone();
    const NAME: &str = "two_sessions_do_not_meet";
    if helping(NAME) {
        let session = Session::current().unwrap();
        session.publish("mine", &std::process::id()).unwrap();
        let child = Process::builder().daemon(true).spawn(wait_for_one, (block(&session, 0),)).unwrap();
        assert!(soon(|| session.stats().members == 2));
        println!("found: {:x} {}", session.id(), child.pid());
        let _ = std::io::stdin().read(&mut [0]); // until it is killed
        return;
    }
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    let mut others: Vec<_> = (0..2)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", NAME]).args(ONE).env("MP_TEST_HELPER", NAME);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut ids = vec![format!("{:x}", session.id())];
    for other in &mut others {
        let mut line = String::new();
        let mut lines = std::io::BufReader::new(other.stdout.as_mut().unwrap());
        while !line.contains("found: ") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut lines, &mut line).unwrap() > 0, "it ended");
        }
        ids.push(line.split_once("found: ").unwrap().1.split(' ').next().unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(session.lookup::<u32>("mine").unwrap(), None);
    let deaths = session.deaths();
    others[0].kill().unwrap();
    others[0].wait().unwrap();
    session.notice_deaths().unwrap();
    assert_eq!(session.deaths(), deaths);
    assert!(is_as(&session, before));
    assert!(others[1].try_wait().unwrap().is_none(), "the other lives on");
    others[1].kill().unwrap();
    others[1].wait().unwrap();
}

/// A program that got rights from its file does not follow what its starter wrote into its environment.
#[test]
fn a_set_user_id_program_refuses_a_session_from_its_environment() {
    let _alone = alone();
    const NAME: &str = "a_set_user_id_program_refuses_a_session_from_its_environment";
    // SAFETY: a plain call.
    if unsafe { libc::getuid() } != 0 {
        eprintln!("skipped: a set-user-id program (how to enable: run as root)");
        return;
    }
    let home = std::env::temp_dir().join(format!("mp-setuid-{}", std::process::id()));
    std::fs::create_dir(&home).unwrap();
    let program = home.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for (path, mode) in [(&home, 0o755), (&program, 0o4755)] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let session = Session::current().unwrap();
    let place = session.reserve("setuid").unwrap();
    let output = Command::new(&program)
        .args(["--exact", NAME])
        .env("MP_SESSION", place.ticket().unwrap().to_text())
        .uid(54_321)
        .gid(54_321)
        .current_dir(&home)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let nosuid = said.contains("take over") || output.status.success();
    if nosuid {
        eprintln!(
            "skipped: a set-user-id program (how to enable: a file system without nosuid for temporary files)"
        );
    } else {
        assert!(said.contains("a session from the environment refused"), "{said}");
        assert_eq!(output.status.code(), Some(70));
    }
    assert!(place.give_up().unwrap());
    std::fs::remove_dir_all(&home).unwrap();
}

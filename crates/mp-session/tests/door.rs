//! Doors: programs that are no relatives come into a session, and others are kept out.
//!
//! The stranger is this very program, started without anything of the session; `MP_TEST_ROLE` tells it what to do.
#![cfg(target_os = "linux")] // the tests look at the process table and at descriptors; macOS is not run

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::*;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use mp_session::{Blueprint, Door, Error, Joining, Kind, Object, Role, Session, Shape, ThreadId};

const LONG: Duration = Duration::from_secs(20);

/// The tests count what the session holds: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn block(session: &Session) -> Object {
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 100 };
    Object::create(session, plan, |_, _| {}).unwrap()
}

fn soon(mut so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + LONG;
    while !so() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Waits as any program would until the object's first word is at least that.
fn wait_for(object: &Object, value: u64) -> bool {
    let ready = || Ok((object.words().word(0).load(SeqCst) >= value).then_some(()));
    let until = Some(Instant::now() + LONG);
    let waiters = object.words().waiters(Role::First);
    object.session().wait(waiters, until, &|| ThreadId::NONE, ready).unwrap().is_some()
}

fn raise(object: &Object) {
    object.words().word(0).fetch_add(1, SeqCst);
    object.session().wake_all(object.words().waiters(Role::First));
}

/// Where this run's doors are.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let chosen = std::env::var_os("MP_DOOR_DIR").map(PathBuf::from);
        mp_sys::private_directory(chosen.as_deref()).unwrap()
    })
}

fn name(what: &str) -> String {
    format!("test-{what}-{}", std::process::id())
}

/// A run of this program that is no relative; killed with the test.
struct Stranger {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Stranger {
    fn start(program: &Path, role: &str, door: &str, set: impl FnOnce(&mut Command)) -> Stranger {
        let mut command = Command::new(program);
        command
            .args(["--exact", "a_role", "--nocapture", "--test-threads=1"])
            .env("MP_TEST_ROLE", role)
            .env("MP_TEST_DOOR", door)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        set(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Stranger { child, lines }
    }

    fn new(role: &str, door: &str) -> Stranger {
        Stranger::start(&std::env::current_exe().unwrap(), role, door, |_| {})
    }

    /// What it says next; the harness's own words are passed over.
    fn says(&mut self) -> String {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() != 0 {
            if let Some(at) = line.find("says: ") {
                return line[at + 6..].trim_end().to_owned();
            }
            line.clear();
        }
        String::from("(nothing)")
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it go on, and waits for its end.
    fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(what: impl std::fmt::Display) {
    println!("says: {what}");
    std::io::stdout().flush().unwrap();
}

/// Waits until the test lets this process go on.
fn until_told() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// What a stranger does.
#[test]
fn a_role() {
    let Ok(role) = std::env::var("MP_TEST_ROLE") else { return };
    let door = std::env::var("MP_TEST_DOOR").unwrap();
    match role.as_str() {
        "visit" => {
            let session = match Joining::at(&door).named("visitor").join() {
                Ok(session) => session,
                Err(error) => return say(format!("{error:?}")),
            };
            assert!(session.parent().is_none() && session.name() == "visitor");
            assert!(matches!(Session::join(&door), Err(Error::Other(_))), "it has a session already");
            let shared: Object = session.lookup("shared").unwrap().unwrap();
            raise(&shared);
            say(format!("in, founder's program: {}", session.is_founders_program()));
            until_told();
            session.publish("reply", &"from outside".to_owned()).unwrap();
            raise(&shared);
        }
        "busy" => {
            let session = Session::join(&door).unwrap();
            let shared: Object = session.lookup("shared").unwrap().unwrap();
            let mut kept = Vec::new();
            for i in 0_u64.. {
                kept.push(block(&session));
                kept.extend(shared.try_clone_counted());
                let _ = session.publish(&format!("name {}", i % 3), &(shared.clone(), i));
                let _ = session.lookup::<(Object, u64)>(&format!("name {}", i % 3)).unwrap();
                let _ = session.unpublish(&format!("name {}", i % 3));
                kept.truncate(i as usize % 40);
            }
        }
        "only mine" => say(format!("{:?}", Joining::at(&door).same_program().join().map(drop))),
        "hold" => {
            let held = Door::open(&Session::current().unwrap(), &door).unwrap();
            say(held.path().display());
            until_told();
            for refused in held.take_refused() {
                say(refused.error);
            }
            if std::env::var_os("MP_TEST_EXIT").is_some() {
                std::process::exit(0); // without a drop
            }
        }
        "hello" => {
            // Says its greeting by hand, hears that it is welcome, and does not come.
            let mut stream = UnixStream::connect(directory().join(format!("{door}.door"))).unwrap();
            stream.write_all(&hello(1)).unwrap();
            let mut answer = [0; 256];
            stream.read_exact(&mut answer).unwrap();
            say(answer[8]);
            until_told();
        }
        _ => panic!("no such role"),
    }
}

/// A greeting as the essay of `handshake` describes it, of this process and of mp's present version.
fn hello(layout: u32) -> [u8; 128] {
    let mut bytes = [0; 128];
    bytes[..8].copy_from_slice(b"MPDOOR\x00\x01");
    bytes[8..12].copy_from_slice(&layout.to_le_bytes());
    bytes[12..16].copy_from_slice(&64_u32.to_le_bytes());
    bytes[16..32].copy_from_slice(&mp_sys::image_id());
    bytes[32..36].copy_from_slice(&std::process::id().to_le_bytes());
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    bytes[40..40 + version.len()].copy_from_slice(version);
    bytes
}

/// What the session holds once every death was noticed.
fn rests_at(session: &Session, objects: u64) -> bool {
    soon(|| {
        session.notice_deaths().unwrap();
        session.stats().members == 1 && session.stats().objects == objects
    })
}

#[test]
fn a_stranger_comes_in_shares_and_leaves() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = session.stats();
    let door = Door::open(&session, &name("share")).unwrap();
    let shared = block(&session);
    session.publish("shared", &shared).unwrap();
    let mut stranger = Stranger::new("visit", &name("share"));
    assert_eq!(stranger.says(), "in, founder's program: true");
    assert!(wait_for(&shared, 1));
    assert_eq!(session.stats().members, 2);
    assert!(soon(|| door.admitted() == 1));
    drop(door);
    assert!(matches!(Session::join(&name("share")), Err(Error::Other(_))));
    // Who is inside stays when the door closes.
    stranger.child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    assert!(wait_for(&shared, 2));
    stranger.leave();
    assert_eq!(session.lookup::<String>("reply").unwrap().as_deref(), Some("from outside"));
    for published in ["shared", "reply"] {
        assert!(session.unpublish(published).unwrap());
    }
    assert!(rests_at(&session, before.objects + 1), "{:?}", session.stats());
    assert_eq!(shared.holders(Role::First), 1);
    assert!(!directory().join(format!("{}.door", name("share"))).exists());
}

#[test]
fn a_killed_stranger_is_noticed_and_its_place_is_free() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = session.stats();
    let _door = Door::open(&session, &name("kill")).unwrap();
    let shared = block(&session);
    session.publish("shared", &shared).unwrap();
    let mut stranger = Stranger::new("visit", &name("kill"));
    assert!(stranger.says().starts_with("in"));
    let deaths = session.deaths();
    stranger.kill();
    // Nobody is its parent; a sleeper notices all the same.
    let ready = || Ok((session.deaths() > deaths).then_some(()));
    let waiters = shared.words().waiters(Role::Second);
    let until = Some(Instant::now() + LONG);
    assert!(session.wait(waiters, until, &|| ThreadId::NONE, ready).unwrap().is_some());
    let (who, how) = shared.departed(Role::First).unwrap();
    assert_eq!((who.pid, how.to_string().as_str()), (stranger.child.id(), "disappeared"));
    assert!(session.unpublish("shared").unwrap());
    assert!(rests_at(&session, before.objects + 1), "{:?}", session.stats());
}

/// Like this program, but not the same: another build id, or, where there is none, another file.
struct AnotherProgram(PathBuf);

impl AnotherProgram {
    fn make() -> AnotherProgram {
        let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
        if let Some(at) = bytes.windows(note.len()).position(|w| w == note) {
            bytes[at + note.len()] ^= 0xFF;
        }
        let path = std::env::temp_dir().join(name("another"));
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        AnotherProgram(path)
    }
}

impl Drop for AnotherProgram {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn another_program_shares_data_where_it_may_come_in() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let another = AnotherProgram::make();
    let shared = block(&session);
    session.publish("shared", &shared).unwrap();
    {
        let _open = Door::open(&session, &name("any")).unwrap();
        let mut stranger = Stranger::start(&another.0, "visit", &name("any"), |_| {});
        assert_eq!(stranger.says(), "in, founder's program: false");
        assert!(wait_for(&shared, 1));
        let mut picky = Stranger::start(&another.0, "only mine", &name("any"), |_| {});
        assert!(picky.says().starts_with("Err(ImageMismatch"));
    }
    {
        let door = Door::open_to_this_program(&session, &name("mine")).unwrap();
        let mut stranger = Stranger::start(&another.0, "visit", &name("mine"), |_| {});
        assert!(stranger.says().starts_with("ImageMismatch"));
        let refused = door.take_refused();
        assert!(
            matches!(refused[..], [ref r] if matches!(r.error, Error::ImageMismatch { .. })
            && r.pid == Some(stranger.child.id())),
            "{refused:?}"
        );
        let mut same = Stranger::new("visit", &name("mine"));
        assert!(same.says().starts_with("in"));
    }
    assert!(session.unpublish("shared").unwrap());
    assert!(soon(|| session.notice_deaths().is_ok() && session.stats().members == 1));
}

#[test]
fn a_door_has_one_holder_and_no_litter() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let (held, path) = (name("held"), directory().join(format!("{}.door", name("held"))));
    // Ended without a drop, killed, and closed.
    for way in ["exit", "kill", "drop"] {
        let exits = way == "exit";
        let program = std::env::current_exe().unwrap();
        let mut holder = Stranger::start(&program, "hold", &held, |c| {
            if exits {
                c.env("MP_TEST_EXIT", "1");
            }
        });
        assert_eq!(holder.says(), path.display().to_string());
        let error = Door::open(&session, &held).map(drop).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        match way {
            "kill" => {
                holder.kill();
                assert!(path.exists(), "left behind");
            }
            _ => holder.leave(),
        }
        assert_eq!(path.exists(), way == "kill");
        // Nobody is behind it, and the next door of that name replaces what is left.
        let mut stranger = Stranger::new("visit", &held);
        assert!(stranger.says().starts_with("Closed"), "{way}");
        drop(Door::open(&session, &held).unwrap());
        assert!(!path.exists());
    }
    for bad in ["", ".hidden", "a/b", "a b", &"x".repeat(65)] {
        let error = Door::open(&session, bad).map(drop).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{bad:?}: {error}");
    }
}

#[test]
fn silence_and_nonsense_delay_nobody() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let door = Door::open(&session, &name("noise")).unwrap();
    session.publish("shared", &block(&session)).unwrap();
    let connect = || UnixStream::connect(door.path()).unwrap();
    // More than the door has room for: silent, slow, and full of nonsense.
    let silent: Vec<UnixStream> = (0..40).map(|_| connect()).collect();
    let slow: Vec<UnixStream> = (0..10)
        .map(|i| {
            let mut stream = connect();
            stream.write_all(&hello(1)[..i * 12]).unwrap();
            stream
        })
        .collect();
    for fill in [0_u8, 0xFF, b'M'] {
        let mut stream = connect();
        let _ = stream.write_all(&vec![fill; 100_000]);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[8] != 0, "let in with {fill}");
    }
    let mut wrong = connect();
    wrong.write_all(&hello(77)).unwrap();
    let mut answer = [0; 256];
    wrong.read_exact(&mut answer).unwrap();
    assert_eq!(answer[8], 1, "another layout");
    let begun = Instant::now();
    let mut honest = Stranger::new("visit", &name("noise"));
    assert!(honest.says().starts_with("in"));
    assert!(begun.elapsed() < Duration::from_secs(4), "before anybody's patience is at its end");
    honest.leave();
    drop((silent, slow));
    let refused = door.take_refused();
    for wanted in ["TimedOut", "Forged", "Layout"] {
        assert!(
            refused.iter().any(|r| format!("{:?}", r.error).starts_with(wanted)),
            "{wanted}: {refused:?}"
        );
    }
    session.unpublish("shared").unwrap();
    session.unpublish("reply").unwrap();
    assert!(soon(|| session.notice_deaths().is_ok() && session.stats().members == 1));
}

/// A stranger that was promised a place and dies, or does not come: the place is given back.
#[test]
fn a_place_that_nobody_takes_is_given_up() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let door = Door::open(&session, &name("promise")).unwrap();
    for late in [false, true] {
        let mut stranger = Stranger::new("hello", &name("promise"));
        assert_eq!(stranger.says(), "0", "welcome");
        assert_eq!(session.stats().members, 2);
        if !late {
            stranger.kill();
        }
        assert!(soon(|| session.stats().members == 1), "{:?}", session.stats());
        let refused = door.take_refused();
        let expected = if late { "TimedOut" } else { "Disconnected" };
        assert!(format!("{:?}", refused[0].error).starts_with(expected), "{refused:?}");
    }
    assert_eq!(door.admitted(), 0);
}

/// The process that holds the door is killed when a stranger has been promised a place, or is inside.
#[test]
fn a_stranger_without_a_parent_outlives_the_door() {
    let _alone = alone();
    let mut holder = Stranger::new("hold", &name("orphan"));
    let path = PathBuf::from(holder.says());
    let mut promised = Stranger::new("hello", &name("orphan"));
    assert_eq!(promised.says(), "0");
    holder.kill();
    assert!(path.exists());
    promised.leave();
    drop(Door::open(&Session::current().unwrap(), &name("orphan")).unwrap());
    assert!(!path.exists());
}

#[test]
fn another_user_is_refused() {
    let _alone = alone();
    if mp_sys::current_user() != 0 {
        eprintln!("skipped: another user's door (how to enable: run as root)");
        return;
    }
    const SOMEBODY: u32 = 54_321;
    let home = std::env::temp_dir().join(name("somebody"));
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let program = home.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [&home, &program] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let doors = home.join("doors");
    let as_somebody = |c: &mut Command| {
        c.env("MP_DOOR_DIR", &doors).current_dir(&home).uid(SOMEBODY).gid(SOMEBODY);
    };
    let mut holder = Stranger::start(&program, "hold", "door", as_somebody);
    let path = PathBuf::from(holder.says());
    assert!(path.starts_with(&doors), "{}", path.display());
    // Permissions do not keep root out, the kernel's word does.
    let mut answer = [0; 256];
    let mut stream = UnixStream::connect(&path).unwrap();
    let _ = stream.write_all(&hello(1));
    stream.read_exact(&mut answer).unwrap();
    assert!(answer[8] == 4 && String::from_utf8_lossy(&answer).contains("it is user 0's"), "{answer:?}");
    drop(holder.child.stdin.take());
    assert!(holder.says().contains("a stranger refused: it is user 0's, this session is user 54321's"));
    drop(holder);
    // And root's process does not look behind a directory that is not root's.
    let mut visitor = Stranger::start(&std::env::current_exe().unwrap(), "visit", "door", |c| {
        c.env("MP_DOOR_DIR", &doors);
    });
    assert!(visitor.says().starts_with("Refused"));
    std::fs::remove_dir_all(&home).unwrap();
}

#[test]
fn a_full_session_says_so_to_strangers() {
    let _alone = alone();
    let session = Session::current().unwrap();
    if session.stats().bytes_total > 256 << 20 {
        // In a run with a small session.
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_full_session_says_so_to_strangers", "--nocapture"])
            .env("MP_SESSION_MIB", "64")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let door = Door::open(&session, &name("full")).unwrap();
    session.publish("shared", &block(&session)).unwrap();
    let mut places = Vec::new();
    let full = loop {
        match session.reserve("place") {
            Ok(place) => places.push(place),
            Err(e) => break e,
        }
    };
    assert!(matches!(&full, Error::LimitReached { limit, .. } if limit.contains("processes of the session")));
    let mut stranger = Stranger::new("visit", &name("full"));
    let told = stranger.says();
    assert!(told.starts_with("LimitReached") && told.contains("processes of the session"), "{told}");
    assert!(matches!(door.take_refused()[0].error, Error::LimitReached { .. }));
    places.into_iter().for_each(|p| assert!(p.give_up().unwrap()));
    let mut stranger = Stranger::new("visit", &name("full"));
    assert!(stranger.says().starts_with("in"));
}

/// Strangers that are busy in every way are killed at any moment, coming in included.
#[test]
fn rounds_of_killed_strangers_leave_nothing() {
    let _alone = alone();
    let session = Session::current().unwrap();
    drop((0..300).map(|_| block(&session)).collect::<Vec<_>>()); // the ledger grows now
    let door = Door::open(&session, &name("rounds")).unwrap();
    let shared = block(&session);
    session.publish("shared", &shared).unwrap();
    let files = || -> BTreeSet<String> {
        let names = std::fs::read_dir("/proc/self/fd").unwrap();
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    // The door's thread has its place in the session once it has seen somebody.
    let mut first = Stranger::new("busy", &name("rounds"));
    assert!(soon(|| door.admitted() == 1));
    first.kill();
    for published in session.published().unwrap() {
        assert!(published == "shared" || session.unpublish(&published).unwrap());
    }
    assert!(rests_at(&session, 2), "{:?}", session.stats());
    let (before, open) = (session.stats(), files().len());
    let rounds = std::env::var("MP_TEST_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(60);
    let mut chance = std::time::SystemTime::now().elapsed().map_or(1, |d| d.as_nanos() as u64) | 1;
    for round in 0..rounds {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut stranger = Stranger::new("busy", &name("rounds"));
        std::thread::sleep(Duration::from_micros(chance >> 33 & 0x7FFF));
        stranger.kill();
        drop(stranger);
        let clean = soon(|| {
            session.notice_deaths().unwrap();
            for published in session.published().unwrap() {
                if published != "shared" {
                    session.unpublish(&published).unwrap();
                }
            }
            let now = session.stats();
            (now.members, now.threads, now.objects, now.bytes_in_use)
                == (before.members, before.threads, before.objects, before.bytes_in_use)
        });
        assert!(clean, "round {round}: {:?}, at first {before:?}", session.stats());
    }
    assert!(soon(|| files().len() == open), "{:?}", files());
    assert_eq!(shared.holders(Role::First), 2, "ours and the publication's");
    eprintln!("{} of {rounds} came in before they were killed", door.admitted());
    assert!(session.unpublish("shared").unwrap());
}

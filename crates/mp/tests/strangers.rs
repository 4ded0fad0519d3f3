//! Programs that are no relatives, with all that mp has: queues, locks, and children of a stranger's own.
#![cfg(target_os = "linux")] // doors; macOS is not run

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mp::StartMethod;
use mp::prelude::*;
use mp::session::{Door, Joining, Session};

mp::enable_in_tests!();

type Shared = (Sender<u64>, Receiver<String>, Mutex<u64>);

fn door() -> String {
    std::env::var("MP_TEST_DOOR").unwrap_or_else(|_| format!("strangers-{}", std::process::id()))
}

/// The stranger: this program, or a copy with another build id, started with nothing of the session.
#[test]
fn the_stranger() {
    if std::env::var_os("MP_TEST_DOOR").is_none() {
        return;
    }
    let session = Joining::at(&door()).named("stranger").join().unwrap();
    let (numbers, words, sum): Shared = session.lookup("shared").unwrap().unwrap();
    numbers.put(7).unwrap();
    assert_eq!(words.get().unwrap(), "come in");
    // Children of its own, of its own program, in the session that it came into.
    for method in StartMethod::available() {
        let add = |sum: Mutex<u64>, numbers: Sender<u64>| {
            *sum.lock().map_err(mp::Error::msg)? += 1;
            numbers.put(1)
        };
        let child = Process::builder().start_method(*method).spawn(add, (sum.clone(), numbers.clone()));
        child.unwrap().join().unwrap();
    }
    // It holds a lock and a place in a queue when it is killed.
    let _held = sum.lock().unwrap();
    numbers.put(99).unwrap();
    std::thread::park();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path) -> Killed {
    let mut command = Command::new(program);
    command.args(["--exact", "the_stranger", "--test-threads=1"]).env("MP_TEST_DOOR", door());
    Killed(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

/// A copy of this program whose build id, or whose file, is another.
fn another_program() -> PathBuf {
    let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    if let Some(at) = bytes.windows(note.len()).position(|w| w == note) {
        bytes[at + note.len()] ^= 0xFF;
    }
    let path = std::env::temp_dir().join(format!("mp-stranger-{}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    path
}

#[test]
fn a_stranger_takes_part_in_everything_and_is_missed_when_it_is_killed() {
    if std::env::var_os("MP_TEST_DOOR").is_some() {
        return;
    }
    let session = Session::current().unwrap();
    let _door = Door::open(&session, &door()).unwrap();
    let another = another_program();
    for program in [&std::env::current_exe().unwrap(), &another] {
        let (numbers, from) = queue::unbounded::<u64>().unwrap();
        let (to, words) = queue::unbounded::<String>().unwrap();
        let sum = Mutex::new(0_u64).unwrap();
        session.publish("shared", &(numbers, words, sum.clone())).unwrap();
        let mut stranger = start(program);
        assert_eq!(from.get().unwrap(), 7);
        to.put("come in".to_owned()).unwrap();
        for _ in StartMethod::available() {
            assert_eq!(from.get().unwrap(), 1);
        }
        assert_eq!(from.get().unwrap(), 99);
        assert!(session.unpublish("shared").unwrap());
        let killed = Instant::now();
        stranger.0.kill().unwrap();
        // Who waits for what it held, or would have sent, is told who it was.
        let died = sum.lock().unwrap_err();
        assert!(died.to_string().contains("stranger"), "{died}");
        drop(died);
        let gone = from.get().unwrap_err();
        assert!(
            matches!(&gone, mp::Error::Disconnected { who: Some(who), .. } if who.pid == stranger.0.id()),
            "{gone}"
        );
        assert!(killed.elapsed() < Duration::from_secs(10));
    }
    std::fs::remove_file(&another).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while session.stats().members > 1 || session.stats().objects > 0 {
        mp::process::__private::dismiss_spare().unwrap();
        session.notice_deaths().unwrap();
        assert!(Instant::now() < until, "{:?} {:?}", session.stats(), session.objects());
        std::thread::sleep(Duration::from_millis(2));
    }
}

//! Named memory, and CPython's beside it.

use std::io::Write;
use std::process::{Command, Stdio};

use mp_shared::{Error, SharedMemory};

fn name(what: &str) -> String {
    format!("mp{}{what}", std::process::id())
}

fn is_os(error: &Error, wanted: &str) -> bool {
    matches!(error, Error::Os { kind, .. } if kind == wanted)
}

#[test]
fn a_name_is_made_once_and_found_until_its_last_user_is_gone() {
    let name = name("a");
    let memory = SharedMemory::create_named(Some(&name), 5000).unwrap();
    assert!(memory.size() >= 5000 && memory.name() == Some(name.as_str()));
    assert!(memory.read(0, 5000).unwrap().iter().all(|b| *b == 0));
    let error = SharedMemory::create_named(Some(&name), 10).unwrap_err();
    assert!(is_os(&error, "AlreadyExists") && error.to_string().contains(&name), "{error}");
    let other = SharedMemory::attach(&name).unwrap();
    other.write(4998, b"xy").unwrap();
    assert_eq!((memory.read(4997, 3).unwrap(), memory.size()), (b"\0xy".to_vec(), other.size()));
    other.words()[3].store(77, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(memory.read(24, 8).unwrap(), 77_u64.to_ne_bytes());
    assert!(memory == other && memory != SharedMemory::new(1).unwrap());
    drop((memory, other));
    assert!(is_os(&SharedMemory::attach(&name).unwrap_err(), "NotFound"));
}

#[test]
fn senseless_names_and_sizes_are_refused() {
    for name in ["", "a/b", "a\0b"] {
        let error = SharedMemory::create_named(Some(name), 10).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert!(matches!(SharedMemory::attach(name), Err(Error::InvalidArgument { .. })));
    }
    assert!(matches!(SharedMemory::create_named(None, 0), Err(Error::InvalidArgument { .. })));
    assert!(SharedMemory::create_named(None, usize::MAX).is_err());
    assert!(is_os(&SharedMemory::attach(&name("missing")).unwrap_err(), "NotFound"));
}

#[test]
fn made_up_names_differ() {
    let all: Vec<_> = (0..20).map(|_| SharedMemory::create_named(None, 1).unwrap()).collect();
    let names: std::collections::HashSet<_> = all.iter().map(|m| m.name().unwrap()).collect();
    assert_eq!(names.len(), 20);
    assert!(names.iter().all(|name| name.starts_with("psm_") || name.starts_with("wnsm_")));
}

/// Runs a script in the CPython on the path; `None` when there is none that runs here.
fn python(script: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(if cfg!(windows) { "python" } else { "python3" });
    command.arg("-").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: no CPython on the path");
        return None;
    };
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if text == "too old" {
        println!("skipped: this CPython has no shared_memory");
        return None;
    }
    assert!(output.status.success(), "{output:?}");
    Some(text)
}

const HEAD: &str = "
import sys
if sys.version_info < (3, 8):
    print('too old'); sys.exit()
from multiprocessing import shared_memory, resource_tracker
def attach(name):
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    memory = shared_memory.SharedMemory(name=name)
    # gh-82300: before 3.13 the tracker would take the name away at exit.
    resource_tracker.unregister(memory._name, 'shared_memory')
    return memory
";

#[test]
fn cpython_finds_what_we_make() {
    let memory = SharedMemory::create_named(None, 100).unwrap();
    memory.write(0, b"from rust").unwrap();
    let script = "
memory = attach(sys.argv[1])
print(bytes(memory.buf[:9]).decode(), memory.size)
memory.buf[50:61] = b'from python'
memory.close()
";
    let said = python(&format!("{HEAD}{script}"), &[memory.name().unwrap()]);
    let Some(said) = said else { return };
    assert_eq!(said, format!("from rust {}", memory.size()));
    assert_eq!(memory.read(50, 11).unwrap(), b"from python");
    let name = memory.name().unwrap().to_owned();
    assert!(SharedMemory::attach(&name).is_ok(), "who attaches does not destroy");
}

/// D32: who attaches never destroys.
#[test]
fn we_find_what_cpython_makes_and_leave_it_there() {
    let test = std::env::current_exe().unwrap();
    let script = "
import subprocess
memory = shared_memory.SharedMemory(create=True, size=100)
memory.buf[:11] = b'from python'
for _ in range(2):
    subprocess.run([sys.argv[1], '--exact', 'attached', '--ignored'], env={**__import__('os').environ, 'MP_TEST_NAME': memory.name}, check=True, stdout=subprocess.DEVNULL)
print(bytes(memory.buf[50:59]).decode())
attach(memory.name).close()
memory.close()
resource_tracker.ensure_running()
memory.unlink()
";
    // The second `attach` above has made the tracker forget it before 3.13, so that `unlink` would complain: register it again.
    let script = script.replace(
        "memory.unlink()",
        "if sys.version_info < (3, 13): resource_tracker.register(memory._name, 'shared_memory')\nmemory.unlink()",
    );
    if let Some(said) = python(&format!("{HEAD}{script}"), &[test.to_str().unwrap()]) {
        assert_eq!(said, "from rust");
    }
}

#[test]
#[ignore = "a part that CPython starts for another test"]
fn attached() {
    let Ok(name) = std::env::var("MP_TEST_NAME") else { return };
    let memory = SharedMemory::attach(&name).unwrap();
    let second = SharedMemory::attach(&name).unwrap();
    assert!(memory.size() >= 100);
    assert_eq!(memory.read(0, 11).unwrap(), b"from python");
    second.write(50, b"from rust").unwrap();
}

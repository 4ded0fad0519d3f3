//! What only Linux lets one look at: descriptors, /dev/shm, and a file system that is full.
#![cfg(target_os = "linux")]

mod common;

use std::process::{Command, Stdio};

use mp_process::Process;
use mp_shared::{Array, Error, SharedMemory, Value};

mp_process::enable_in_tests!();

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// D34: no arena, no descriptor for each.
#[test]
fn ten_thousand_arrays_cost_no_descriptor() {
    // In a process of its own: other tests open and close.
    let count = || {
        drop(Value::new(0).unwrap());
        let before = descriptors();
        let arrays: Vec<_> = (0..10_000).map(|_| Array::<f64>::new(10).unwrap()).collect();
        (arrays.len(), descriptors() - before)
    };
    assert_eq!(Process::spawn(count, ()).unwrap().join().unwrap(), (10_000, 0));
}

fn exists(name: &str) -> bool {
    std::path::Path::new("/dev/shm").join(name).exists()
}

/// Makes memory under a name, says so by a byte, and waits to be killed.
fn maker(name: String, seen: Value<u8>) -> mp_shared::Result<()> {
    let memory = SharedMemory::create_named(Some(&name), 100)?;
    memory.write(0, b"made")?;
    seen.set(1)?;
    loop {
        std::thread::park();
    }
}

/// D32 and D33: the last user frees it, whoever that is; no tracker, and nothing left but what nobody could free.
#[test]
fn a_killed_maker_s_memory_goes_with_its_last_user() {
    let name = format!("mp-test-{}-killed", std::process::id());
    let seen = Value::new(0).unwrap();
    let child = Process::spawn(maker, (name.clone(), seen.clone())).unwrap();
    common::until("the memory", || seen.get().unwrap() == 1);
    let memory = SharedMemory::attach(&name).unwrap();
    let second = SharedMemory::attach(&name).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(memory);
    assert!(exists(&name), "there is another user");
    assert_eq!(second.read(0, 4).unwrap(), b"made");
    drop(second);
    assert!(!exists(&name));

    // Killed with nobody else there: the name is left, and can be taken away.
    seen.set(0).unwrap();
    let child = Process::spawn(maker, (name.clone(), seen.clone())).unwrap();
    common::until("the memory", || seen.get().unwrap() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(SharedMemory::attach(&name).unwrap()); // who comes then is not its user but its finder
    SharedMemory::remove(&name).unwrap();
    assert!(!exists(&name));
}

/// D33: exact sizes, reserved pages, for the owner alone.
#[test]
fn sizes_are_exact_and_modes_private() {
    use std::os::unix::fs::MetadataExt;
    let memory = SharedMemory::create_named(None, 1001).unwrap();
    let path = std::path::Path::new("/dev/shm").join(memory.name().unwrap());
    let data = std::fs::metadata(&path).unwrap();
    assert_eq!((data.len(), data.mode() & 0o777, data.blocks() * 512), (1001, 0o600, 4096));
    assert_eq!(SharedMemory::attach(memory.name().unwrap()).unwrap().size(), 1001);
}

#[test]
#[ignore = "a part that another test starts where /dev/shm is small"]
fn in_a_small_place() {
    let room = SharedMemory::create_named(None, 16 << 10).unwrap();
    room.write(0, &[1; 16 << 10]).unwrap();
    let error = SharedMemory::create_named(Some("too-large"), 1 << 20).unwrap_err();
    assert!(matches!(&error, Error::Os { kind, .. } if kind == "StorageFull"), "{error}");
    assert!(!exists("too-large"));
    println!("refused as it should be");
}

/// D33, gh-114389: memory beyond what /dev/shm has is an error when it is made, and no SIGBUS when it is used.
#[test]
fn a_full_place_is_an_error() {
    let script = "mount -t tmpfs -o size=64k none /dev/shm && exec \"$0\" --exact in_a_small_place --ignored --nocapture";
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(program);
    match command.stderr(Stdio::piped()).output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running") => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("refused as it should be"), "{said}");
        }
        other => println!("skipped: no small /dev/shm can be mounted here ({other:?})"),
    }
}

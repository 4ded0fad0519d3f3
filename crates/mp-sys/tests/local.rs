//! Meeting points: names, who may have them, and what passes through.
#![cfg(unix)] // Windows has none

use mp_sys::{
    LocalListener, LocalStream, MemoryObject, current_pid, current_user,
    local::{Awaited, ready},
    private_directory,
};
use std::{
    io::ErrorKind,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::PathBuf,
    time::{Duration, Instant},
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A directory of the test's own, gone with its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mp-sys-{name}-{}", current_pid()));
        Self(private_directory(Some(&path)).expect("a directory"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("to remove the directory");
    }
}

fn await_input(stream: &LocalStream) {
    let awaited = [Awaited { handle: stream.as_handle(), to_write: false }];
    assert_eq!(ready(&awaited, Some(soon())).expect("ready"), [true]);
}

#[test]
fn a_name_is_one_listeners_and_goes_with_it() {
    let directory = Directory::new("names");
    let path = directory.0.join("door");
    assert_eq!(LocalStream::connect(&path, soon()).expect_err("nobody").kind(), ErrorKind::NotFound);
    let listener = LocalListener::bind(&directory.0, "door", soon()).expect("bind");
    assert_eq!(std::fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
    let second = LocalListener::bind(&directory.0, "door", soon()).expect_err("taken");
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    listener.remove(soon()).expect("remove");
    assert!(!path.exists());
}

#[test]
fn what_a_killed_listener_left_is_replaced_and_nothing_else() {
    let directory = Directory::new("left");
    let path = directory.0.join("door");
    // To drop one without its removal leaves what a kill leaves.
    drop(LocalListener::bind(&directory.0, "door", soon()).expect("bind"));
    assert!(path.exists());
    assert_eq!(LocalStream::connect(&path, soon()).expect_err("nobody").kind(), ErrorKind::ConnectionRefused);
    let old = LocalListener::bind(&directory.0, "door", soon()).expect("replaced");
    std::fs::remove_file(&path).expect("somebody removes it");
    let new = LocalListener::bind(&directory.0, "door", soon()).expect("bind");
    old.remove(soon()).expect("what is another's stays");
    LocalStream::connect(&path, soon()).expect("the new one listens");
    new.remove(soon()).expect("remove");
    std::fs::write(&path, "no socket").expect("write");
    LocalListener::bind(&directory.0, "door", soon()).expect_err("a file of somebody's");
    assert_eq!(std::fs::read(&path).expect("still there"), b"no socket");
}

#[test]
fn bytes_and_descriptors_pass_and_the_kernel_says_who() {
    let directory = Directory::new("pass");
    let listener = LocalListener::bind(&directory.0, "door", soon()).expect("bind");
    assert!(listener.accept().expect("nobody yet").is_none());
    let outside = LocalStream::connect(&directory.0.join("door"), soon()).expect("connect");
    ready(&[Awaited { handle: listener.as_handle(), to_write: false }], Some(soon())).expect("ready");
    let inside = listener.accept().expect("accept").expect("somebody");
    for end in [&outside, &inside] {
        let peer = end.peer().expect("peer");
        assert_eq!((peer.uid, peer.pid), (current_user(), Some(current_pid())));
    }
    let mut buf = [0; 10];
    assert_eq!(inside.recv(&mut buf).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    let object = MemoryObject::create(4096).expect("memory");
    assert_eq!(outside.send(b"hello", &[object.as_handle()]).expect("send"), 5);
    await_input(&inside);
    let (len, mut passed) = inside.recv(&mut buf).expect("recv");
    assert_eq!(&buf[..len], b"hello");
    let again = MemoryObject::from_received(passed.pop().expect("a descriptor")).expect("memory");
    assert_eq!(again.size().expect("size"), 4096);
    drop(outside);
    await_input(&inside);
    assert_eq!(inside.recv(&mut buf).expect("the end").0, 0);
    assert_eq!(inside.send(b"x", &[]).expect_err("closed").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn too_many_descriptors_are_closed() {
    let (a, b) = LocalStream::pair().expect("pair");
    let file = std::fs::File::open("/dev/null").expect("open");
    assert_eq!(a.send(b"x", &[file.as_fd(); 5]).expect_err("too many").kind(), ErrorKind::InvalidInput);
    a.send(b"xy", &[file.as_fd(); 4]).expect("four");
    let mut buf = [0; 1];
    assert_eq!(b.recv(&mut buf).expect("recv").1.len(), 4);
    assert!(b.recv(&mut buf).expect("the second byte").1.is_empty());
}

#[test]
fn a_file_that_can_shrink_is_no_memory() {
    let file = std::fs::File::open("/dev/null").expect("open");
    if cfg!(target_os = "linux") {
        MemoryObject::from_received(file.into()).expect_err("no memory");
    }
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let directory = Directory::new("open");
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o750)).expect("chmod");
    let refused = private_directory(Some(&directory.0)).expect_err("not private");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let link = directory.0.join("link");
    std::os::unix::fs::symlink(&directory.0, &link).expect("link");
    assert_eq!(private_directory(Some(&link)).expect_err("a link").kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_listener_that_lets_nobody_in_delays_nobody_past_his_deadline() {
    let directory = Directory::new("slow");
    let _listener = LocalListener::bind(&directory.0, "door", soon()).expect("bind");
    let mut waiting = Vec::new();
    let refused = loop {
        let deadline = Instant::now() + Duration::from_millis(50);
        match LocalStream::connect(&directory.0.join("door"), deadline) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10_000, "no end");
    };
    assert!(matches!(refused.kind(), ErrorKind::TimedOut | ErrorKind::ConnectionRefused), "{refused}");
}

#[test]
fn a_name_may_not_be_too_long() {
    let directory = Directory::new("long");
    let error = LocalListener::bind(&directory.0, &"x".repeat(120), soon()).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

//! Starts that cannot be: each is an error of its own kind, and nothing is left of it, here or in the session.
#![cfg(target_os = "linux")] // looks at the descriptors of this process

mod common;

use common::{alone, at_rest, block, descriptors, held, is_as, soon};
use mp_process::{Builder, Error, OsHandle, Process, StartMethod, Stream};
use mp_session::{Object, Session};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

/// Tries a start with a handle of the session, a descriptor and a pipe on board, and looks what is left.
fn fails<T: Default + PartialEq + std::fmt::Debug>(
    change: impl Fn(Builder) -> Builder,
    start: impl Fn(Builder, Object, OsHandle<std::fs::File>) -> Result<T, Error>,
    expected: impl Fn(&Error) -> bool,
) {
    let _alone = alone();
    let session = Session::current().unwrap();
    for b in methods() {
        b.clone().spawn(|| (), ()).unwrap().join().unwrap();
        let before = at_rest(&session);
        let open = descriptors();
        {
            let object = block(&session, 1000);
            let file = OsHandle(std::fs::File::open("/dev/null").unwrap());
            let error = start(change(b.clone().stdin(Stream::Piped)), object.clone(), file).unwrap_err();
            assert!(expected(&error), "{error:?}");
            // Another process may be the one that clears up after the child.
            assert!(soon(|| object.holders(mp_session::Role::First) == 1), "{object:?}");
        }
        assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
        assert_eq!(descriptors(), open);
        assert_eq!(b.spawn(|| 5_u8, ()).unwrap().join(), Ok(5), "and the next one works");
    }
}

fn nothing(_: Object, _: OsHandle<std::fs::File>) {}

fn run(b: Builder, object: Object, file: OsHandle<std::fs::File>) -> Result<(), Error> {
    let child = b.spawn(nothing, (object, file))?;
    let first = child.join();
    // Whoever asks again is told the same.
    assert_eq!(child.join(), first);
    assert_eq!(child.exitcode(), Some(1));
    first
}

/// An error of the system that the child met on its way, told by the parent.
fn is_os(error: &Error, what: &str, kind: &str) -> bool {
    matches!(error, Error::Failed(f)
        if matches!(f.source.as_deref(), Some(Error::Os { what: w, kind: k, .. }) if w.contains(what) && k == kind))
}

#[test]
fn a_directory_that_is_not_there() {
    fails(|b| b.current_dir("/no/such/directory"), run, |e| is_os(e, "/no/such/directory", "NotFound"));
}

#[test]
fn a_user_that_cannot_be() {
    fails(|b| b.uid(u32::MAX), run, |e| is_os(e, "user", "InvalidInput"));
}

#[test]
fn processors_that_are_not_there() {
    fails(|b| b.affinity([4_000]), run, |e| is_os(e, "affinity", "InvalidInput"));
}

#[test]
fn a_group_that_is_not_there() {
    fails(|b| b.process_group(1), run, |e| is_os(e, "process group", "PermissionDenied"));
}

/// Root may do everything, so one who is not root tries it.
#[test]
fn rights_that_are_missing() {
    let _alone = alone();
    // SAFETY: a plain call.
    let root = unsafe { libc::geteuid() } == 0;
    for by in StartMethod::available() {
        let b = if root { Process::builder().uid(65_534) } else { Process::builder() };
        let try_it = |by: String| {
            let b = Process::builder().start_method(by.parse().unwrap()).nice(-5);
            let child = b.spawn(|| (), ())?;
            child.join().map_err(|e| if is_os(&e, "niceness", "PermissionDenied") { Error::Full } else { e })
        };
        let child = b.spawn(try_it, (by.to_string(),)).unwrap();
        match child.join() {
            Err(Error::Failed(f)) => match f.source.as_deref() {
                Some(Error::Full) => {}
                // The other user may not even read this program: an error as well.
                Some(Error::Os { kind, .. }) => assert_eq!(kind, "PermissionDenied"),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn environments_that_cannot_be() {
    let invalid = |e: &Error| matches!(e, Error::InvalidArgument { .. });
    fails(|b| b.env("NUL\0", "x"), run, invalid);
    fails(|b| b.env("X", "NUL\0"), run, invalid);
    fails(|b| b.env("", "x"), run, invalid);
    fails(|b| b.env("a=b", "x"), run, invalid);
    fails(|b| b.current_dir("NUL\0"), run, invalid);
}

/// Encodes, or does not; never decodes.
struct Odd {
    encodes: bool,
}

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.encodes { serializer.serialize_u8(1) } else { Err(ser::Error::custom("it will not go")) }
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Odd, D::Error> {
        u8::deserialize(deserializer)?;
        Err(de::Error::custom("it will not come"))
    }
}

#[test]
fn arguments_that_do_not_encode() {
    let start = |b: Builder, object, file| {
        b.spawn(|_: Object, _: OsHandle<std::fs::File>, _: Odd| (), (object, file, Odd { encodes: false }))
            .map(drop)
    };
    fails(|b| b, start, |e| matches!(e, Error::Encode { .. }));
}

#[test]
fn arguments_that_do_not_decode() {
    let start = |b: Builder, object, file| {
        let args = (object, file, Odd { encodes: true });
        b.spawn(|_: Object, _: OsHandle<std::fs::File>, _: Odd| (), args)?.join()
    };
    fails(
        |b| b,
        start,
        |e| matches!(e, Error::Failed(f) if matches!(f.source.as_deref(), Some(Error::Decode { .. }))),
    );
}

/// A result that does not encode is the child's error.
#[test]
fn results_that_do_not_encode() {
    let start = |b: Builder, object: Object, file: OsHandle<std::fs::File>| {
        b.spawn(
            |_: Object, _: OsHandle<std::fs::File>| Ok::<_, Error>(Odd { encodes: false }),
            (object, file),
        )?
        .join()
        .map(drop)
    };
    fails(
        |b| b,
        start,
        |e| matches!(e, Error::Failed(f) if matches!(f.source.as_deref(), Some(Error::Encode { .. }))),
    );
}

#[test]
fn a_start_method_that_is_not_there() {
    assert!(matches!("fork-and-pray".parse::<StartMethod>(), Err(Error::InvalidArgument { .. })));
}

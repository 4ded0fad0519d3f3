//! The one error: what it says, and that it survives a journey.

use std::io;

use mp_wire::{BlockedThread, Departure, Error, Failure, Ident, PanicReport, decode, encode};

fn bob() -> Ident {
    Ident::new(123, "bob")
}

fn ring() -> Vec<BlockedThread> {
    let link = |thread: &str, waits_for: &str| BlockedThread {
        process: bob(),
        thread: thread.into(),
        waits_for: waits_for.into(),
    };
    vec![link("one", "Lock \"b\""), link("two", "Lock \"a\"")]
}

/// One of each.
fn all() -> Vec<Error> {
    let text = || "it".to_owned();
    vec![
        Error::TimedOut { what: text() },
        Error::Full,
        Error::Empty,
        Error::Closed { what: text() },
        Error::Disconnected { what: text(), who: Some(bob()), how: Some(Departure::Signalled(9)) },
        Error::Disconnected { what: text(), who: None, how: None },
        Error::Torn { what: text(), who: Some(bob()) },
        Error::OwnerDied { what: text(), who: Some(bob()) },
        Error::Deadlock { cycle: ring() },
        Error::Broken { what: text(), why: text(), who: Some(bob()) },
        Error::NotOwner { what: text(), holder: Some(bob()) },
        Error::Died { who: bob(), how: Departure::Exited(3) },
        Error::Failed(Failure::capture(Error::Full)),
        Error::Panicked(PanicReport { message: text(), ..PanicReport::default() }),
        Error::Exited { who: bob(), code: -1 },
        Error::Stale { what: text() },
        Error::Forged { what: text() },
        Error::WrongKind { expected: text(), found: text() },
        Error::WrongType { what: text() },
        Error::NotInCarrier { what: text() },
        Error::LimitReached { limit: text(), detail: text() },
        Error::Layout { detail: text() },
        Error::ImageMismatch { detail: text() },
        Error::NotInitialised { hint: text() },
        Error::ForeignFork,
        Error::Encode { type_name: text(), detail: text() },
        Error::Decode { type_name: text(), detail: text() },
        Error::InvalidArgument { detail: text() },
        Error::Cancelled,
        Error::PoolBroken { detail: text() },
        Error::Daemon { detail: text() },
        Error::Frozen { what: text() },
        Error::InUse { what: text(), detail: text() },
        Error::Unsupported { what: text() },
        Error::os("opening it", io::Error::from_raw_os_error(2)),
        Error::Other(text()),
    ]
}

#[test]
fn every_error_arrives_as_it_was() {
    for error in all() {
        let mut bytes = Vec::new();
        let encoded = encode(&error, &mut bytes).unwrap();
        assert_eq!(decode::<Error>(encoded.codec, &bytes, encoded.exports).unwrap(), error);
        assert_eq!(Error::from(io::Error::from(error.clone())), error);
    }
}

#[test]
fn errors_name_object_and_cause() {
    let sentence = |error: Error| error.to_string();
    assert_eq!(
        sentence(Error::Deadlock { cycle: ring() }),
        "deadlock: thread one of bob (pid 123) waits for Lock \"b\", held by thread two of bob (pid 123); \
         thread two of bob (pid 123) waits for Lock \"a\", held by thread one of bob (pid 123)"
    );
    let queue = || "queue 'jobs'".to_owned();
    let how = Departure::Signalled(9);
    assert_eq!(
        sentence(Error::Disconnected { what: queue(), who: Some(bob()), how: Some(how) }),
        "queue 'jobs' is disconnected: bob (pid 123) was killed by signal 9 (SIGKILL)"
    );
    assert_eq!(
        sentence(Error::Disconnected { what: queue(), who: None, how: None }),
        "queue 'jobs' is disconnected"
    );
    assert_eq!(
        sentence(Error::Died { who: bob(), how: Departure::Exited(3) }),
        "bob (pid 123) exited with code 3 before it gave a result"
    );
    assert_eq!(
        sentence(Error::OwnerDied { what: "lock".into(), who: Some(bob()) }),
        "lock: its owner bob (pid 123) died holding it"
    );
    assert_eq!(
        sentence(Error::OwnerDied { what: "lock".into(), who: None }),
        "lock: its owner died holding it"
    );
    let failure = Failure { message: "a".into(), chain: vec!["b".into()], ..Failure::default() };
    assert_eq!(format!("{:#}", Error::Failed(failure)), "a: b");
}

#[test]
fn an_error_of_the_system_keeps_kind_number_and_text() {
    // Permission denied, in the numbers of this system.
    let number = if cfg!(windows) { 5 } else { 13 };
    let original = io::Error::from_raw_os_error(number);
    let (kind, text) = (original.kind(), original.to_string());
    let error = Error::os("opening /x", original);
    assert_eq!(error.to_string(), format!("opening /x: {text}"));
    assert_eq!(error.io_kind(), kind);
    assert!(matches!(error, Error::Os { code: Some(code), .. } if code == number));
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::StorageFull, io::ErrorKind::UnexpectedEof] {
        assert_eq!(Error::from(io::Error::from(kind)).io_kind(), kind);
    }
}

#[test]
fn predicates() {
    let timeout = Error::TimedOut { what: "queue".into() };
    assert!(timeout.is_timeout() && timeout.is_transient() && !timeout.is_closed());
    assert!(Error::Full.is_transient() && !Error::Full.is_timeout());
    let gone = Error::Died { who: bob(), how: Departure::Lost };
    assert!(gone.is_death() && gone.who() == Some(&bob()));
    assert!(!Error::Cancelled.is_death() && Error::Cancelled.who().is_none());
}

#[test]
fn an_error_is_small_and_can_go_anywhere() {
    fn anywhere<T: Send + Sync + Clone + std::error::Error + 'static>() {}
    anywhere::<Error>();
    // Results carry it by value on fast paths.
    assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
}

//! What is left of an error of any type.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use mp_wire::{Error, Failure, Output, PanicReport};

/// An error with causes that only its `Display` knows, as anyhow's is.
struct Report(Vec<&'static str>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(&self.0.join(": ")) } else { f.write_str(self.0[0]) }
    }
}

/// An error with causes in the standard way.
#[derive(Debug)]
struct Layer(&'static str, Option<Box<dyn StdError + Send + Sync>>);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

fn layers() -> Layer {
    Layer("top", Some(Box::new(Layer("middle", Some(Box::new(io::Error::other("bottom")))))))
}

#[test]
fn the_alternate_form_becomes_the_chain() {
    let failure = Failure::capture(Report(vec!["cannot start", "no config", "file not found"]));
    assert_eq!(failure.message, "cannot start");
    assert_eq!(failure.chain, ["no config", "file not found"]);
    assert_eq!(format!("{failure:#}"), "cannot start: no config: file not found");
    assert_eq!(failure.to_string(), "cannot start");
    assert!(failure.type_name.ends_with("Report"), "{}", failure.type_name);
    assert!(Failure::capture(Report(vec!["alone"])).chain.is_empty());
}

#[test]
fn an_alternate_form_of_another_kind_is_no_chain() {
    struct Pretty;
    impl fmt::Display for Pretty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if f.alternate() { "{\n  x: 1\n}" } else { "{x: 1}" })
        }
    }
    assert_eq!(Failure::capture(Pretty).chain, Vec::<String>::new());
    assert_eq!(Failure::capture("text: with colons").chain, Vec::<String>::new());
}

#[test]
fn boxed_errors_are_asked_for_their_causes() {
    let boxed: Box<dyn StdError + Send + Sync> = layers().into();
    let failure = Failure::capture(boxed);
    assert_eq!((failure.message.as_str(), failure.chain.join(",")), ("top", "middle,bottom".to_owned()));
    let boxed: Box<dyn StdError> = layers().into();
    assert_eq!(Failure::capture(boxed).chain.len(), 2);
}

#[test]
fn an_io_error_keeps_its_kind_and_number() {
    let failure = Failure::capture(io::Error::from_raw_os_error(2));
    assert!(matches!(failure.source.as_deref(), Some(Error::Os { code: Some(2), .. })));
    let back: io::Error = Error::Failed(failure).into();
    assert_eq!(back.kind(), io::Error::from_raw_os_error(2).kind());

    let failure = Failure::capture(io::Error::new(io::ErrorKind::InvalidData, layers()));
    assert_eq!(failure.message, "top");
    assert_eq!(failure.chain, ["middle", "bottom"]);
}

#[test]
fn an_mp_error_arrives_as_itself_however_it_was_wrapped() {
    let own = Error::Closed { what: "queue".into() };
    let direct = Failure::capture(own.clone());
    let boxed = Failure::capture::<Box<dyn StdError + Send + Sync>>(own.clone().into());
    let through_io = Failure::capture(io::Error::from(own.clone()));
    for failure in [direct, boxed, through_io] {
        assert_eq!(failure.source.as_deref(), Some(&own));
        assert_eq!(failure.message, "queue is closed");
    }
}

#[test]
fn a_failure_of_a_failure_keeps_the_first_words() {
    let inner = Failure::capture(Report(vec!["a", "b"]));
    let outer = Failure::capture(Error::Failed(inner.clone()));
    assert_eq!((outer.message.as_str(), &outer.chain), ("a", &inner.chain));
    assert_eq!(outer.source.as_deref(), Some(&Error::Failed(inner.clone())));
    assert_eq!(Failure::capture(inner.clone()), inner);
}

#[test]
fn a_display_that_misbehaves_does_no_harm() {
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    assert_eq!(Failure::capture(Fails).message, "");

    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("on purpose")
        }
    }
    let failure = Failure::capture(Panics);
    assert!(failure.message.contains("on purpose") && failure.type_name.ends_with("Panics"), "{failure:?}");

    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("for ever ")?;
            }
        }
    }
    assert!(Failure::capture(Endless).message.len() <= 64 * 1024);
}

#[test]
fn an_endless_chain_ends() {
    #[derive(Debug)]
    struct Own;
    impl fmt::Display for Own {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("my own cause")
        }
    }
    impl StdError for Own {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(self)
        }
    }
    let boxed: Box<dyn StdError + Send + Sync> = Own.into();
    assert_eq!(Failure::capture(boxed).chain.len(), 64);
}

#[test]
fn a_panics_payload_is_read() {
    let payload = std::panic::catch_unwind(|| panic!("number {}", 7)).unwrap_err();
    assert_eq!(PanicReport::from_payload(&*payload).message, "number 7");
    let payload = std::panic::catch_unwind(|| std::panic::panic_any(Error::Cancelled)).unwrap_err();
    assert_eq!(PanicReport::from_payload(&*payload).message, "cancelled");
    let report = PanicReport {
        message: "boom".into(),
        location: Some("src/main.rs:1:2".into()),
        backtrace: Some("0: main".into()),
        thread: Some("main".into()),
    };
    assert_eq!(report.to_string(), "panicked in thread 'main' at src/main.rs:1:2: boom");
    assert!(format!("{report:#}").ends_with("boom\n0: main"));
}

#[test]
fn outputs() {
    fn value<T: Output>(output: T) -> Result<T::Value, Failure> {
        output.into_result()
    }
    assert_eq!(value(()), Ok(()));
    assert_eq!(value(Some(3)), Ok(Some(3)));
    assert_eq!(value([1_u8; 32]), Ok([1; 32]));
    assert_eq!(value((1, 'a', "b".to_owned())), Ok((1, 'a', "b".to_owned())));
    assert_eq!(value(Ok::<_, Error>(vec![1.5])), Ok(vec![1.5]));
    assert_eq!(value(std::collections::HashMap::from([(1, 2)])), Ok([(1, 2)].into()));
    assert_eq!(value(Err::<u8, _>(Report(vec!["a", "b"]))).unwrap_err().chain, ["b"]);
    assert_eq!(value(Err::<u8, _>("short")).unwrap_err().message, "short");
}

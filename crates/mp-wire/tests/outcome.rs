//! An outcome can be read whatever the bytes.

use mp_wire::{Departure, Error, Failure, Ident, Outcome, PanicReport};
use proptest::prelude::*;

const MAX_TEXT: usize = 64 * 1024;

fn written(outcome: &Outcome) -> Vec<u8> {
    let mut bytes = Vec::new();
    outcome.encode(&mut bytes);
    bytes
}

fn there_and_back(outcome: &Outcome) -> Outcome {
    let mut bytes = written(outcome);
    let length = bytes.len();
    bytes.extend(b"the value");
    let (back, taken) = Outcome::decode(&bytes);
    assert_eq!(taken, length, "what follows is not the outcome's");
    back
}

fn unreadable(bytes: &[u8]) -> bool {
    let (outcome, taken) = Outcome::decode(bytes);
    match outcome {
        Outcome::Failure(Failure { source: Some(error), .. }) => {
            taken == bytes.len()
                && matches!(&*error, Error::Decode { type_name, .. } if type_name == "Outcome")
        }
        _ => false,
    }
}

fn error() -> impl Strategy<Value = Error> {
    let ident = || (any::<u32>(), ".{0,9}").prop_map(|(pid, name)| Ident { pid, name });
    prop_oneof![
        Just(Error::Full),
        ".{0,30}".prop_map(|what| Error::TimedOut { what }),
        (ident(), any::<i32>()).prop_map(|(who, code)| Error::Died { who, how: Departure::Signalled(code) }),
        any::<Option<i32>>().prop_map(|code| Error::Os {
            what: "x".into(),
            code,
            kind: "Other".into(),
            detail: "y".into()
        }),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    let level = |source: BoxedStrategy<Option<Box<Error>>>| {
        ("\\PC{0,12}", "\\PC{0,40}", proptest::collection::vec("[a-z:é ]{0,8}", 0..6), source)
            .prop_map(|(type_name, message, chain, source)| Failure { type_name, message, chain, source })
    };
    let leaf = level(proptest::option::of(error().prop_map(Box::new)).boxed());
    leaf.prop_recursive(3, 4, 1, move |inner| {
        level(inner.prop_map(|failure| Some(Box::new(Error::Failed(failure)))).boxed())
    })
}

proptest! {
    #[test]
    fn failures_arrive_as_they_were(failure in failure()) {
        let outcome = Outcome::Failure(failure);
        prop_assert_eq!(there_and_back(&outcome), outcome);
    }

    #[test]
    fn panics_arrive_as_they_were(
        message in any::<String>(),
        location in any::<Option<String>>(),
        backtrace in any::<Option<String>>(),
        thread in any::<Option<String>>(),
    ) {
        let outcome = Outcome::Panic(PanicReport { message, location, backtrace, thread });
        prop_assert_eq!(there_and_back(&outcome), outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_an_outcome(tag in 0..4_u8, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        Outcome::decode(&bytes);
        let mut likely = vec![tag];
        likely.extend(bytes);
        let (outcome, taken) = Outcome::decode(&likely);
        prop_assert!(taken <= likely.len());
        // What was read can be written again.
        written(&outcome);
    }

    #[test]
    fn a_damaged_outcome_is_an_outcome(
        failure in failure(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        length in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = written(&Outcome::Failure(failure));
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        Outcome::decode(&bytes);
        Outcome::decode(&bytes[..length.index(bytes.len())]);
    }
}

#[test]
fn a_value_is_one_byte() {
    assert_eq!(written(&Outcome::Value), [0]);
    assert_eq!(Outcome::decode(&[0, 7, 7]), (Outcome::Value, 1));
    assert_eq!(Outcome::Value.into_result(), Ok(()));
}

#[test]
fn every_truncation_says_so() {
    let bytes = written(&Outcome::Failure(Failure::capture(Error::Closed { what: "queue".into() })));
    for length in 0..bytes.len() {
        assert!(unreadable(&bytes[..length]), "{length}");
    }
    assert!(unreadable(&[3]) && unreadable(&[255; 50]));
}

#[test]
fn long_texts_are_cut_between_characters() {
    let failure = Failure {
        type_name: "é".repeat(MAX_TEXT),
        message: format!("x{}", "é".repeat(MAX_TEXT)),
        chain: vec!["y".repeat(MAX_TEXT + 1); 100],
        source: None,
    };
    let Outcome::Failure(back) = there_and_back(&Outcome::Failure(failure)) else { panic!("no failure") };
    assert_eq!(back.type_name.len(), MAX_TEXT);
    assert_eq!(back.message.len(), MAX_TEXT - 1);
    assert_eq!(back.chain.len(), 64);
    assert!(back.chain.iter().all(|link| link.len() == MAX_TEXT));
}

#[test]
fn a_long_error_inside_arrives_shortened() {
    let long = Failure {
        message: "m".repeat(MAX_TEXT),
        chain: vec!["c".repeat(MAX_TEXT); 64],
        ..Failure::default()
    };
    let outer = Failure::capture(Error::Failed(long));
    let Outcome::Failure(back) = there_and_back(&Outcome::Failure(outer)) else { panic!("no failure") };
    let Some(Error::Failed(inner)) = back.source.as_deref() else {
        panic!("the error inside is gone: {back:?}")
    };
    assert_eq!((inner.message.len(), inner.chain.len()), (1024, 64));
    assert_eq!(back.message.len(), MAX_TEXT);
}

#[test]
fn text_that_is_not_utf8_is_read_with_replacements() {
    let mut bytes = written(&Outcome::Panic(PanicReport { message: "abc".into(), ..PanicReport::default() }));
    bytes[5] = 0xFF;
    let (Outcome::Panic(report), _) = Outcome::decode(&bytes) else { panic!("no panic") };
    assert_eq!(report.message, "\u{FFFD}bc");
}

#[test]
fn an_unreadable_error_inside_leaves_the_texts() {
    let mut bytes = written(&Outcome::Failure(Failure::capture(Error::Full)));
    *bytes.last_mut().unwrap() = 0x7F;
    let (Outcome::Failure(failure), taken) = Outcome::decode(&bytes) else { panic!("no failure") };
    assert_eq!((failure.message.as_str(), taken), ("full", bytes.len()));
    assert!(
        matches!(failure.source.as_deref(), Some(Error::Decode { type_name, .. }) if type_name == "Error")
    );
}

/// A task that starts a task that starts a task ...: the error of the last one passes through all of them.
#[test]
fn failures_through_many_processes_fit_into_a_small_stack() {
    let work = || {
        let mut failure = Failure::capture("the first words");
        for _ in 0..100 {
            let outcome = Outcome::Failure(Failure::capture(Error::Failed(failure)));
            let Outcome::Failure(back) = there_and_back(&outcome) else { panic!("no failure") };
            failure = back;
        }
        assert_eq!(failure.message, "the first words");
        let mut depth = 0;
        let mut inner = &failure;
        while let Some(Error::Failed(next)) = inner.source.as_deref() {
            inner = next;
            depth += 1;
        }
        // The outermost level is the outcome's own.
        assert_eq!(depth, Failure::MAX_DEPTH + 1);
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(work).unwrap().join().unwrap();
}

//! Children that are copies of their parent: the start method that the caller answers for.

#![cfg(unix)]

use std::io::Write;
use std::sync::OnceLock;

use mp_process::{CancelToken, Departure, Error, Process, StartMethod, Stream};
use mp_session::Session;

mod common;

mp_process::enable_in_tests!();

static MADE: OnceLock<String> = OnceLock::new();
static TOKEN: OnceLock<CancelToken> = OnceLock::new();

/// Runs what must hold in a process of its own with one thread: those that run tests have several.
fn in_a_process_of_one_thread(what: fn() -> Result<(), Error>, name: &str) {
    // All have one session, and one of them counts what is in it.
    let _one = common::alone();
    // Which of them is told by name: a function pointer does not travel.
    let child = Process::builder().start_method(StartMethod::Spawn).spawn(scenario, (name.to_owned(),));
    child.unwrap().join().unwrap_or_else(|error| panic!("{name}: {error}"));
    // It is in the list below, or nothing was tested.
    assert!(
        SCENARIOS.iter().any(|(known, scenario)| *known == name && std::ptr::fn_addr_eq(*scenario, what))
    );
}

type Scenario = fn() -> Result<(), Error>;
const SCENARIOS: [(&str, Scenario); 4] =
    [("memory", memory), ("ends", ends), ("generations", generations), ("rounds", rounds)];

fn scenario(name: String) -> Result<(), Error> {
    SCENARIOS.iter().find(|(known, _)| *known == name).unwrap().1()
}

fn memory() -> Result<(), Error> {
    MADE.get_or_init(|| "made by the parent".into());
    let old = TOKEN.get_or_init(|| CancelToken::new().unwrap());
    let sent = CancelToken::new()?;
    let look = |sent: CancelToken| -> Result<(Option<String>, bool, u32, String), Error> {
        let old = TOKEN.get().unwrap();
        // Its parent's, in every way.
        let foreign = matches!(old.wait_timeout(std::time::Duration::ZERO), Err(Error::ForeignFork));
        sent.cancel();
        let parent = mp_process::parent_process().unwrap();
        Ok((MADE.get().cloned(), foreign, parent.pid(), mp_process::current_process().name))
    };
    // Under a token of the parent's, which is not to be the child's.
    let (made, foreign, parent, name) = old.scope(|| {
        // SAFETY: one thread, and nothing of what the copy has minds being there twice.
        let child = unsafe { Process::builder().name("copy").fork(look, (sent.clone(),)) }?;
        assert_eq!(child.start_method(), StartMethod::Fork);
        child.join()
    })?;
    assert_eq!((made.as_deref(), foreign), (Some("made by the parent"), true));
    assert_eq!((parent, name.as_str()), (std::process::id(), "copy"));
    assert!(sent.is_cancelled() && !old.is_cancelled());
    assert!(!old.wait_timeout(std::time::Duration::ZERO)?, "the parent's handle is the parent's still");
    Ok(())
}

#[test]
fn a_copy_has_its_parent_s_memory_and_a_place_of_its_own() {
    in_a_process_of_one_thread(memory, "memory");
}

fn exit_with_seven() {
    std::process::exit(7)
}

fn panic_on_purpose() {
    panic!("on purpose")
}

fn ends() -> Result<(), Error> {
    // SAFETY: one thread, and nothing of what the copies have minds being there twice.
    unsafe {
        assert_eq!(Process::fork(|a: u8, b: u8| a + b, (2, 3))?.join()?, 5);
        let failed = Process::fork(|| std::fs::read("/no/such/file").map(|_| ()), ())?;
        assert!(matches!(failed.join(), Err(Error::Failed(_))));
        let quiet = Process::builder().stderr(Stream::Null);
        let panicked = quiet.fork(panic_on_purpose, ())?;
        assert!(matches!(panicked.join(), Err(Error::Panicked(_))), "{panicked:?}");
        let exited = Process::fork(exit_with_seven, ())?;
        assert!(matches!(exited.join(), Err(Error::Exited { code: 7, .. })));
        let killed = Process::fork(|| std::thread::sleep(std::time::Duration::from_secs(60)), ())?;
        killed.kill()?;
        assert!(matches!(killed.join(), Err(Error::Died { how: Departure::Signalled(9), .. })));
        let env = Process::builder().env("MP_TEST_COLOUR", "green").current_dir("/");
        let told = env.fork(
            || (std::env::var("MP_TEST_COLOUR").ok(), std::env::current_dir().map_err(|e| e.to_string())),
            (),
        )?;
        assert_eq!(told.join()?, (Some("green".into()), Ok("/".into())));
    }
    assert!(mp_process::active_children().is_empty());
    Ok(())
}

#[test]
fn its_end_is_told_as_any_other() {
    in_a_process_of_one_thread(ends, "ends");
}

/// A copy's children by every method, after its parent had children by every method.
fn below(depth: u32) -> Result<u32, Error> {
    let mut count = 0;
    for method in StartMethod::available() {
        count += Process::builder().start_method(*method).spawn(|| 1_u32, ())?.join()?;
    }
    if depth > 0 {
        // SAFETY: one thread, and nothing of what the copy has minds being there twice.
        count += unsafe { Process::fork(below, (depth - 1,)) }?.join()?;
    }
    Ok(count)
}

fn generations() -> Result<(), Error> {
    assert_eq!(below(3)?, 4 * StartMethod::available().len() as u32);
    Ok(())
}

#[test]
fn copies_have_children_and_copies_of_their_own() {
    in_a_process_of_one_thread(generations, "generations");
}

fn rounds() -> Result<(), Error> {
    let session = Session::current()?;
    let held = || {
        let stats = session.stats();
        (stats.bytes_in_use, stats.objects, stats.members)
    };
    let round = |kill: bool| -> Result<(), Error> {
        let token = CancelToken::new()?;
        let theirs = token.clone();
        let child = move |theirs: CancelToken, kill: bool| -> Result<(), Error> {
            let _own: Vec<_> = (0..10).map(|_| CancelToken::new()).collect::<Result<_, _>>()?;
            theirs.cancel();
            if kill { CancelToken::new()?.wait() } else { Ok(()) }
        };
        // SAFETY: one thread, and nothing of what the copies have minds being there twice.
        let child = unsafe { Process::fork(child, (theirs, kill)) }?;
        token.wait()?;
        if kill {
            child.kill()?;
        }
        assert_eq!(child.join().is_ok(), !kill);
        Ok(())
    };
    for i in 0..20 {
        round(i % 2 == 0)?;
    }
    let before = held();
    for i in 0..60 {
        round(i % 2 == 0)?;
    }
    // What earlier processes left is cleared up by then, too.
    let none_left = common::soon(|| {
        let _ = session.notice_deaths();
        let now = held();
        now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2
    });
    assert!(none_left, "{before:?}, {:?}", held());
    Ok(())
}

#[test]
fn rounds_of_copies_and_kills_leave_nothing() {
    in_a_process_of_one_thread(rounds, "rounds");
}

fn output() -> Result<(), Error> {
    // Not a line: it stays in the buffer.
    print!("once");
    // SAFETY: one thread; the buffer, which would not stand being there twice, is flushed before.
    unsafe { Process::fork(|| print!(" twice"), ()) }?.join()?;
    std::io::stdout().flush().map_err(|e| Error::os("flush", e))
}

#[test]
fn what_was_printed_before_is_not_printed_twice() {
    let _one = common::alone();
    let child = Process::builder().start_method(StartMethod::Spawn).stdout(Stream::Piped);
    let captured = child.spawn(output, ()).unwrap().join_captured().unwrap();
    captured.value.unwrap();
    assert_eq!(String::from_utf8(captured.stdout).unwrap(), "once twice");
}

#[test]
fn it_is_not_chosen_by_accident() {
    assert!(!StartMethod::available().contains(&StartMethod::Fork));
    let refused = mp_process::set_start_method(StartMethod::Fork);
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    let refused = Process::builder().start_method(StartMethod::Fork).spawn(|| (), ());
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
}

/// D15: where there are threads, there is no fork.
#[test]
#[cfg(target_os = "linux")]
fn d15_a_process_with_threads_is_not_copied() {
    // SAFETY: it is refused.
    let refused = unsafe { Process::fork(|| (), ()) };
    let Err(Error::InvalidArgument { detail }) = &refused else { panic!("{refused:?}") };
    assert!(detail.contains("threads cannot be forked"), "{detail}");
}

//! Each way in which a child can end, by every start method: what its parent is told, and what of the child's own clearing up is done.
//! The crate's essay has it as a table.
#![cfg(target_os = "linux")] // signals by number, exit handlers of the C library

use std::cell::Cell;
use std::io::{PipeWriter, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

use anyhow::Context;
use mp_process::{Builder, Departure, Error, OsHandle, Process, StartMethod, Stream};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

/// Methods with nowhere to write complaints to.
fn quiet() -> impl Iterator<Item = Builder> {
    methods().map(|b| b.stderr(Stream::Null))
}

fn signalled(child: &Process<()>, numbers: &[i32]) -> bool {
    let end = child.join();
    assert!(matches!(end, Err(Error::Died { how: Departure::Signalled(_), .. })), "{end:?}");
    numbers
        .iter()
        .any(|n| child.exitcode() == Some(-n) && child.departure() == Some(Departure::Signalled(*n)))
}

/// `value`: the value, exit code 0. As often as one asks.
#[test]
fn returning_a_value() {
    for b in methods() {
        let child = b.spawn(|x: u8| x * 2, (21,)).unwrap();
        assert_eq!((child.join(), child.join(), child.exitcode()), (Ok(42), Ok(42), Some(0)));
    }
}

fn read_config() -> anyhow::Result<u8> {
    std::fs::read_to_string("/no/such/file").context("reading the config").context("starting up")?;
    Ok(1)
}

/// An error value: exit code 1, the whole chain of causes, the same at each join.
#[test]
fn returning_an_error() {
    for b in methods() {
        let child = b.spawn(read_config, ()).unwrap();
        let error = child.join().unwrap_err();
        let Error::Failed(failure) = &error else { panic!("{error:?}") };
        assert_eq!(failure.message, "starting up");
        assert_eq!(failure.chain[0], "reading the config");
        assert!(failure.chain[1].contains("No such file"), "{failure:?}");
        assert!(failure.type_name.contains("anyhow"));
        assert_eq!((child.exitcode(), child.join().unwrap_err()), (Some(1), error));
    }
}

fn deep(n: u32) -> u32 {
    assert!(n > 0, "reached the bottom at {n}");
    std::hint::black_box(deep(n - 1)) + 1
}

/// A panic: exit code 101; message, place, thread and, if it is asked for, backtrace.
#[test]
fn panicking() {
    for b in quiet() {
        for on_a_thread in [false, true] {
            let child = b
                .clone()
                .env("RUST_BACKTRACE", "1")
                .spawn(
                    |on_a_thread: bool| {
                        if !on_a_thread {
                            return deep(3);
                        }
                        let thread = std::thread::Builder::new().name("diver".into());
                        let joined = thread.spawn(|| deep(3)).unwrap().join();
                        // Another thread's panic is that thread's; handed on, it is ours.
                        joined.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
                    },
                    (on_a_thread,),
                )
                .unwrap();
            let Err(Error::Panicked(report)) = child.join() else { panic!("{:?}", child.join()) };
            assert_eq!(report.message, "reached the bottom at 0");
            if !on_a_thread {
                assert!(report.location.as_ref().unwrap().contains("exits.rs"), "{report:?}");
                assert!(report.backtrace.as_ref().unwrap().contains("deep"), "{report:?}");
            }
            assert_eq!(child.exitcode(), Some(101));
        }
    }
}

/// `process::exit`: the code, and no value; from any thread, whatever the function does meanwhile.
#[test]
fn calling_exit() {
    for b in methods() {
        for code in [0, 3, 255] {
            let child = b
                .clone()
                .spawn(
                    |code: i32| {
                        let thread = std::thread::spawn(move || std::process::exit(code));
                        let _ = thread.join();
                        7_u8
                    },
                    (code,),
                )
                .unwrap();
            assert!(matches!(child.join(), Err(Error::Exited { code: c, .. }) if c == code));
            assert_eq!(child.exitcode(), Some(code));
        }
    }
}

extern "C" fn cannot_unwind() {
    let zero = std::hint::black_box(0);
    assert!(zero > 0, "a panic where none may pass");
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        let zero = std::hint::black_box(0);
        assert!(zero > 0, "a second panic on the way out of the first");
    }
}

fn abort() {
    std::process::abort()
}

/// `abort`, and panics that end in it, as each does with `panic = "abort"`: SIGABRT.
#[test]
fn aborting() {
    for b in quiet() {
        assert!(signalled(&b.clone().spawn(abort, ()).unwrap(), &[6]));
        assert!(signalled(&b.clone().spawn(|| cannot_unwind(), ()).unwrap(), &[6]));
        let twice = b.clone().spawn(
            || {
                let _bomb = Bomb;
                cannot_be_less(std::hint::black_box(1));
            },
            (),
        );
        assert!(signalled(&twice.unwrap(), &[6]));
        let hook = b.spawn(
            || {
                std::panic::set_hook(Box::new(|_| std::process::abort()));
                cannot_be_less(std::hint::black_box(1));
            },
            (),
        );
        assert!(signalled(&hook.unwrap(), &[6]));
    }
}

fn cannot_be_less(n: u8) {
    assert!(n > 1, "it is");
}

/// A signal of its own or somebody else's, and memory that is not there.
#[test]
fn being_killed() {
    for b in quiet() {
        for signal in [libc::SIGKILL, libc::SIGUSR1, libc::SIGALRM] {
            let raise = |signal: i32| {
                // SAFETY: a plain call.
                unsafe { libc::raise(signal) };
            };
            assert!(signalled(&b.clone().spawn(raise, (signal,)).unwrap(), &[signal]));
        }
        let crash = b.spawn(
            || {
                // SAFETY: none: this is the crash that is tested. Nothing is mapped there.
                unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
            },
            (),
        );
        assert!(signalled(&crash.unwrap(), &[libc::SIGSEGV]));
    }
}

#[allow(unconditional_recursion, reason = "what is tested")]
fn endless(n: u64) -> u64 {
    let page = std::hint::black_box([n; 512]);
    endless(n + 1) + page[(n % 512) as usize]
}

fn overflow() {
    std::hint::black_box(endless(0));
}

/// Rust's runtime, where it could set itself up, turns it into SIGABRT; it is SIGSEGV otherwise.
#[test]
fn overflowing_the_stack() {
    for b in quiet() {
        let child = b.spawn(overflow, ()).unwrap();
        assert!(signalled(&child, &[libc::SIGABRT, libc::SIGSEGV]));
    }
}

/// The process ends with its function; threads that still run end with it. (Python would wait for them.)
#[test]
fn leaving_a_thread_behind() {
    for b in methods() {
        let begun = Instant::now();
        let child = b
            .spawn(
                || {
                    std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
                    5_u8
                },
                (),
            )
            .unwrap();
        assert_eq!(child.join(), Ok(5));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

static COUNT: AtomicU32 = AtomicU32::new(100);
static EXIT_PIPE: AtomicI32 = AtomicI32::new(-1);

thread_local! {
    static LOCAL: Cell<u32> = const { Cell::new(100) };
}

/// The child has statics and thread-locals of its own, as at the start of the program; the parent's stay what they are.
#[test]
fn statics_and_thread_locals() {
    COUNT.store(7, SeqCst);
    LOCAL.set(7);
    for b in methods() {
        let child = b.spawn(
            || {
                LOCAL.set(LOCAL.get() + 1);
                (COUNT.fetch_add(1, SeqCst), LOCAL.get())
            },
            (),
        );
        assert_eq!(child.unwrap().join(), Ok((100, 101)));
    }
    assert_eq!((COUNT.load(SeqCst), LOCAL.get()), (7, 7));
}

extern "C" fn last_words() {
    let text = b"exit handler";
    // SAFETY: a descriptor that the child has kept open, and a readable buffer.
    unsafe { libc::write(EXIT_PIPE.load(SeqCst), text.as_ptr().cast(), text.len()) };
}

struct Scribe(PipeWriter);

impl Drop for Scribe {
    fn drop(&mut self) {
        let _ = self.0.write_all(b"dropped ");
    }
}

fn speak_at_exit(pipe: OsHandle<PipeWriter>, how: String) {
    let pipe = pipe.into_inner();
    EXIT_PIPE.store(pipe.try_clone().unwrap().into_raw_fd(), SeqCst);
    assert!(EXIT_PIPE.load(SeqCst) != pipe.as_raw_fd());
    let _scribe = Scribe(pipe);
    // SAFETY: a plain call; the function is there as long as the program.
    unsafe { libc::atexit(last_words) };
    print!("no newline");
    match how.as_str() {
        "returns" => {}
        "panics" => cannot_be_less(std::hint::black_box(1)),
        "exits" => std::process::exit(0),
        _ => std::process::abort(),
    }
}

/// Exit handlers run and standard output is flushed, unless the process is killed; values are dropped when the function leaves.
#[test]
fn clearing_up() {
    for b in quiet() {
        for (how, left, out) in [
            ("returns", "dropped exit handler", "no newline"),
            ("panics", "dropped exit handler", "no newline"),
            ("exits", "exit handler", "no newline"),
            ("aborts", "", ""),
        ] {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let b = b.clone().stdout(Stream::Piped);
            let child = b.spawn(speak_at_exit, (OsHandle(writer), how.to_owned())).unwrap();
            let said = child.join_captured().unwrap().stdout;
            let mut text = String::new();
            std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
            assert_eq!((text.as_str(), String::from_utf8_lossy(&said).as_ref()), (left, out), "{how}");
        }
    }
}

/// What is said of an end is the same whoever asks, sixteen at a time, with and without deadlines (gh-130895), also while one waits.
#[test]
fn sixteen_threads_are_told_the_same() {
    for b in methods() {
        let child = b.spawn(|| std::thread::sleep(Duration::from_millis(30)), ()).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|i| {
                    let child = &child;
                    scope.spawn(move || {
                        let end = match i % 4 {
                            0 => child.wait().map(Some),
                            1 => child.wait_timeout(Duration::from_secs(60)),
                            2 => loop {
                                if let Some(end) = child.wait_timeout(Duration::from_millis(1)).unwrap() {
                                    break Ok(Some(end));
                                }
                            },
                            _ => {
                                while child.is_alive() {
                                    std::thread::yield_now();
                                }
                                Ok(child.departure())
                            }
                        };
                        (end, child.exitcode(), child.is_alive())
                    })
                })
                .collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), (Ok(Some(Departure::Exited(0))), Some(0), false));
            }
        });
    }
}

fn is_ready(sentinel: &mp_sys::OsHandle, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: sentinel.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one struct, as said.
    unsafe { libc::poll(&mut poll, 1, milliseconds) == 1 && poll.revents & libc::POLLIN != 0 }
}

/// A descriptor to poll, made on demand, ready at the end and from then on.
#[test]
fn sentinels_are_ready_at_the_end() {
    for b in methods() {
        let child =
            b.stdin(Stream::Piped).spawn(|| std::io::stdin().read_line(&mut String::new()), ()).unwrap();
        let sentinel = child.sentinel().unwrap();
        assert!(!is_ready(&sentinel, 20));
        drop(child.take_stdin());
        assert!(is_ready(&sentinel, 20_000));
        assert_eq!(child.join(), Ok(0));
        assert!(is_ready(&sentinel, 0) && is_ready(&child.sentinel().unwrap(), 0));
    }
}

/// As Python's `repr`.
#[test]
fn a_child_can_be_printed() {
    for b in quiet() {
        let child =
            b.name("printed").daemon(true).spawn(|| std::thread::sleep(Duration::from_secs(60)), ()).unwrap();
        let (pid, parent) = (child.pid(), std::process::id());
        let text = format!("{child:?}");
        assert_eq!(
            text,
            format!(
                "Process {{ name: \"printed\", pid: {pid}, parent: {parent}, state: started, daemon: true }}"
            )
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(format!("{child:?}").contains("state: stopped: killed by signal 9 (SIGKILL)"), "{child:?}");
    }
}

/// A child gives itself another name; its parent's handle keeps the old one.
#[test]
fn names_can_change() {
    for b in methods() {
        let child = b.name("before").spawn(
            || {
                mp_process::set_current_name("after")?;
                let below = Process::spawn(|| mp_process::parent_process().map(|p| p.name().to_owned()), ())?;
                let comm = std::fs::read_to_string("/proc/self/comm")?;
                Ok::<_, Error>((mp_process::current_process().name, below.join()?, comm))
            },
            (),
        );
        let child = child.unwrap();
        let after = "after".to_owned();
        assert_eq!(child.join(), Ok((after.clone(), Some(after), "after\n".to_owned())));
        assert_eq!(child.name(), "before");
    }
}

/// The children that run and whose handles exist; those that have ended, or were let go, are not among them.
#[test]
fn active_children_are_those_that_run() {
    let child = Process::builder().start_method(StartMethod::Spawn).may_have_children(true).spawn(
        || {
            let sleep =
                || Process::builder().daemon(true).spawn(|| std::thread::sleep(Duration::from_secs(60)), ());
            let pids = || {
                let mut pids: Vec<u32> = mp_process::active_children().iter().map(Process::pid).collect();
                pids.sort_unstable();
                pids
            };
            assert!(pids().is_empty());
            let (a, b, let_go) = (sleep()?, sleep()?, sleep()?);
            let ended = Process::spawn(|| (), ())?;
            ended.join()?;
            drop(let_go);
            let mut both = [a.pid(), b.pid()];
            both.sort_unstable();
            assert_eq!(pids(), both);
            a.kill()?;
            a.wait()?;
            assert_eq!(pids(), [b.pid()]);
            mp_process::active_children()[0].terminate()?;
            assert_eq!(b.wait()?, Departure::Signalled(15));
            assert!(pids().is_empty());
            Ok::<_, Error>(())
        },
        (),
    );
    child.unwrap().join().unwrap();
}

//! What only Linux has: forks of siblings, descriptors over channels, death with the parent, closed ranges.

#[cfg(not(target_os = "linux"))]
use crate::Named;

#[cfg(not(target_os = "linux"))]
pub(crate) const TESTS: &[Named] = &[];
#[cfg(not(target_os = "linux"))]
pub(crate) const ROLES: &[Named] = &[];

#[cfg(target_os = "linux")]
pub(crate) use linux::{ROLES, TESTS};

#[cfg(target_os = "linux")]
mod linux {
    use crate::{
        Named,
        common::{self, Kid, Words, soon, told},
    };
    use mp_sys::{
        Beacon, Bell, Channel, Child, Exit, Forked, MemoryObject, ProcessState, Watch, Woken, beacon_link,
        park, spawn,
    };
    use std::{
        io::{ErrorKind, Write},
        os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        sync::{
            Mutex,
            atomic::{AtomicU32, Ordering},
        },
    };

    pub(crate) const TESTS: &[Named] = &[
        ("a_sibling_is_its_grandparents_child", a_sibling_is_its_grandparents_child),
        ("a_channel_carries_descriptors", a_channel_carries_descriptors),
        ("a_channel_refuses_what_does_not_fit", a_channel_refuses_what_does_not_fit),
        ("a_fork_is_told_from_the_original", a_fork_is_told_from_the_original),
        ("a_daemon_dies_with_its_parent", a_daemon_dies_with_its_parent),
        ("strangers_descriptors_are_closed", strangers_descriptors_are_closed),
        ("a_stolen_status_is_lost_not_waited_for", a_stolen_status_is_lost_not_waited_for),
        ("a_process_outlives_its_first_thread", a_process_outlives_its_first_thread),
        ("an_exec_marks_the_beacon", an_exec_marks_the_beacon),
        ("a_child_is_set_up", a_child_is_set_up),
    ];

    pub(crate) const ROLES: &[Named] = &[
        ("server", server),
        ("daemon's parent", daemons_parent),
        ("daemon", daemon),
        ("open", list_open),
        ("first thread ends", first_thread_ends),
        ("exec", exec),
        ("set up", set_up),
    ];

    /// Forks a sibling for each message: the first byte says what the sibling does.
    fn server() {
        // SAFETY: the parent told us a number that it named for us.
        let channel = unsafe { Channel::from_inherited(told().expect("told")[0]) }.expect("inherited");
        let mut buf = [0; 16];
        loop {
            let (len, _) = channel.recv(&mut buf).expect("recv");
            if len == 0 {
                return;
            }
            let note = AtomicU32::new(0);
            // SAFETY: this process never starts a thread.
            match unsafe { mp_sys::fork_sibling(&note) }.expect("fork_sibling") {
                Forked::Parent(pid) => {
                    assert_eq!(note.load(Ordering::Relaxed), pid, "written by the kernel");
                    channel.send(&pid.to_le_bytes(), &[]).expect("send");
                }
                Forked::Child => sibling(buf[0]),
            }
        }
    }

    fn sibling(what: u8) -> ! {
        match what {
            0 => mp_sys::exit_now(40),
            // What the C library does with the id it keeps of this thread.
            // SAFETY: ends this process.
            1 => unsafe {
                libc::raise(libc::SIGUSR1);
            },
            2 => {
                let sum = Mutex::new(0);
                std::thread::scope(|s| {
                    for i in 0..8 {
                        let sum = &sum;
                        s.spawn(move || *sum.lock().expect("lock") += i);
                    }
                });
                assert_eq!(*sum.lock().expect("lock"), 28);
                mp_sys::exit_now(41);
            }
            _ => {
                // A beacon of its own, and the end without an unlink: the kernel finds the right list.
                let beacon = Beacon::default();
                // SAFETY: it stays until the end.
                let linked = unsafe { beacon_link(&beacon) };
                let word = beacon.word.load(Ordering::Acquire);
                let own = u64::from(word & 0x3fff_ffff) == mp_sys::current_thread_id();
                mp_sys::exit_now(if !linked || own { 42 } else { 1 });
            }
        }
        mp_sys::exit_now(1)
    }

    fn a_sibling_is_its_grandparents_child() {
        if common::emulated() {
            eprintln!("skipped: the emulator does not tell where the thread's id lives");
            return;
        }
        let (here, there) = Channel::pair().expect("pair");
        let number = there.as_inherited();
        let kid = Kid(spawn(&common::request(&["role", "server"], &[number], &[number])).expect("spawn"));
        drop(there);
        let ends = [Exit::Code(40), Exit::Signal(libc::SIGUSR1), Exit::Code(41), Exit::Code(42)];
        for (what, end) in (0..).zip(ends) {
            here.send(&[what], &[]).expect("send");
            let mut pid = [0; 4];
            assert_eq!(here.recv(&mut pid).expect("recv").0, 4);
            // SAFETY: by the purpose of `fork_sibling` it is our child.
            let sibling = Kid(unsafe { Child::from_pid(u32::from_le_bytes(pid)) });
            assert_eq!(sibling.0.wait(soon()).expect("wait"), Some(end), "{what}");
        }
        drop(here);
        assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(0)));
    }

    fn a_channel_carries_descriptors() {
        let (one, other) = Channel::pair().expect("pair");
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        let many = vec![writer.as_fd(); Channel::MAX_FDS];
        one.send(b"with", &many).expect("send");
        one.send(b"without", &[]).expect("send");
        drop(writer);
        let mut buf = [0; 64];
        let (len, fds) = other.recv(&mut buf).expect("recv");
        assert_eq!((&buf[..len], fds.len()), (&b"with"[..], Channel::MAX_FDS));
        for fd in &fds {
            // SAFETY: a plain call.
            assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
        }
        std::fs::File::from(fds.into_iter().next().expect("one")).write_all(b"!").expect("write");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).expect("read");
        assert_eq!(text, "!");
        let (len, fds) = other.recv(&mut buf).expect("recv");
        assert_eq!((&buf[..len], fds.len()), (&b"without"[..], 0));
        drop(one);
        assert_eq!(other.recv(&mut buf).expect("the end").0, 0);
        assert_eq!(other.send(b"x", &[]).expect_err("closed").kind(), ErrorKind::BrokenPipe);
    }

    fn a_channel_refuses_what_does_not_fit() {
        let (one, other) = Channel::pair().expect("pair");
        assert_eq!(one.send(b"", &[]).expect_err("empty").kind(), ErrorKind::InvalidInput);
        let fds = vec![one.as_fd(); Channel::MAX_FDS + 1];
        assert_eq!(one.send(b"x", &fds).expect_err("too many").kind(), ErrorKind::InvalidInput);
        one.send(b"longer than the buffer", &[one.as_fd()]).expect("send");
        assert_eq!(other.recv(&mut [0; 4]).expect_err("cut").kind(), ErrorKind::InvalidData);
        assert!(one.send(&vec![0; 64 << 20], &[]).is_err());
    }

    fn a_fork_is_told_from_the_original() {
        let guard = mp_sys::on_fork_wipe_page().expect("guard");
        assert!(guard.is_original());
        // SAFETY: the child only loads a word and ends.
        match unsafe { mp_sys::fork() }.expect("fork") {
            Forked::Child => mp_sys::exit_now(i32::from(guard.is_original())),
            Forked::Parent(pid) => {
                // SAFETY: our child, not reaped yet.
                let child = unsafe { Child::from_pid(pid) };
                assert_eq!(child.wait(soon()).expect("wait"), Some(Exit::Code(0)));
            }
        }
        assert!(guard.is_original());
    }

    const BEACON: usize = 4096;

    fn daemon() {
        let told = told().expect("told");
        let words = Words::inherited(told[0]);
        mp_sys::die_with_parent(told[1] as u32).expect("ask");
        // SAFETY: it stays mapped until this process is killed.
        let linked = unsafe { beacon_link(words.at::<Beacon>(BEACON)) };
        words.set(0, if linked { 1 } else { 2 });
        words.stay();
    }

    fn daemons_parent() {
        let number = told().expect("told")[0];
        let words = Words::inherited(number);
        let parent = u64::from(mp_sys::current_pid());
        let _child =
            spawn(&common::request(&["role", "daemon"], &[number, parent], &[number])).expect("spawn");
        words.stay();
    }

    fn a_daemon_dies_with_its_parent() {
        let words = Words::create();
        let number = words.object.as_inherited();
        let kid =
            Kid(spawn(&common::request(&["role", "daemon's parent"], &[number], &[number])).expect("spawn"));
        while words.bell(0).word.load(Ordering::Acquire) == 0 {
            assert_ne!(park(words.bell(0), 0, &[], soon()), Woken::TimedOut);
        }
        if words.bell(0).word.load(Ordering::Acquire) == 2 {
            eprintln!("skipped: no robust list here to tell of the daemon's death");
            return;
        }
        let beacon = words.at::<Beacon>(BEACON);
        let alive = beacon.word.load(Ordering::Acquire);
        kid.0.signal(mp_sys::Signal::Kill).expect("kill");
        let watch = Watch { word: &beacon.word, value: alive, process: None };
        let bell = Bell { ..words.bell(1) };
        assert_eq!(park(bell, 0, &[watch], soon()), Woken::Watched(0));
    }

    fn list_open() {
        let keep = told().expect("told");
        mp_sys::close_all_except(&keep).expect("close");
        let open = |fd: u64| {
            // SAFETY: a plain call.
            unsafe { libc::fcntl(fd as i32, libc::F_GETFD) >= 0 }
        };
        assert!((0..3).all(open), "the standard streams stay");
        for fd in 3..1024 {
            assert_eq!(open(fd), keep.contains(&fd), "{fd}");
        }
    }

    fn strangers_descriptors_are_closed() {
        let object = MemoryObject::create(1 << 16).expect("create");
        let high = |at_least: i32| {
            // SAFETY: the kernel makes a descriptor for us; it is not close-on-exec, as a stranger's.
            let fd = unsafe { libc::fcntl(object.as_inherited() as i32, libc::F_DUPFD, at_least) };
            assert!(fd >= at_least);
            // SAFETY: as above.
            unsafe { OwnedFd::from_raw_fd(fd) }
        };
        let strangers: Vec<OwnedFd> = [3, 50, 200, 201].map(high).into();
        let keep = [strangers[3].as_raw_fd() as u64, object.as_inherited()];
        let kid = Kid(spawn(&common::request(&["role", "open"], &keep, &keep)).expect("spawn"));
        assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(0)));
        let kid = Kid(spawn(&common::request(&["role", "open"], &[], &[])).expect("spawn"));
        assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(0)));
        drop(strangers);
    }

    fn a_stolen_status_is_lost_not_waited_for() {
        for deadline in [None, soon()] {
            let child = spawn(&common::request(&["role", "exit"], &[3], &[])).expect("spawn");
            let mut status = 0;
            // SAFETY: a writable word. This is the foreign `waitpid` that takes what is not its own.
            let pid = unsafe { libc::waitpid(child.pid() as i32, &mut status, 0) };
            assert_eq!(pid, child.pid() as i32);
            child.signal(mp_sys::Signal::Kill).expect("to nobody");
            assert_eq!(child.wait(deadline).expect("wait"), Some(Exit::Lost));
        }
        // Taken away while waited for.
        let words = Words::create();
        let number = words.object.as_inherited();
        let child = spawn(&common::request(&["role", "stay"], &[number], &[number])).expect("spawn");
        words.wait_for(0, 1);
        std::thread::scope(|s| {
            let thief = s.spawn(|| {
                let mut status = 0;
                // SAFETY: as above.
                unsafe { libc::waitpid(child.pid() as i32, &mut status, 0) }
            });
            child.signal(mp_sys::Signal::Kill).expect("kill");
            let end = child.wait(soon()).expect("wait");
            let stolen = thief.join().expect("join") == child.pid() as i32;
            assert_eq!(end, Some(if stolen { Exit::Lost } else { Exit::Signal(9) }));
        });
    }

    fn first_thread_ends() {
        let words = Words::inherited(told().expect("told")[0]);
        std::thread::spawn(move || {
            words.wait_for(0, 1);
            mp_sys::exit_now(5);
        });
        // SAFETY: ends this thread; nothing on its stack is used by another.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }

    fn a_process_outlives_its_first_thread() {
        let words = Words::create();
        let number = words.object.as_inherited();
        let kid = Kid(
            spawn(&common::request(&["role", "first thread ends"], &[number], &[number])).expect("spawn")
        );
        let (pid, start) = (kid.0.pid(), mp_sys::start_time(kid.0.pid()).expect("start time"));
        // Until the line of the process says zombie, as it will; it does not mean the process.
        let deadline = soon().expect("a deadline");
        let stat = format!("/proc/{pid}/stat");
        while !std::fs::read_to_string(&stat).expect("stat").contains(") Z ") {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert_eq!(mp_sys::process_state(pid, start).expect("state"), ProcessState::Running);
        words.set(0, 1);
        assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(5)));
    }

    fn exec() {
        let number = told().expect("told")[0];
        let words = Words::inherited(number);
        // SAFETY: it stays mapped until this image ends.
        if !unsafe { beacon_link(words.at::<Beacon>(BEACON)) } {
            mp_sys::exit_now(7);
        }
        words.set(1, words.at::<Beacon>(BEACON).word.load(Ordering::Acquire));
        let error = std::os::unix::process::CommandExt::exec(
            std::process::Command::new("/proc/self/exe").args(["role", "exit"]).env("MP_SYS_TOLD", "6"),
        );
        panic!("{error}");
    }

    fn an_exec_marks_the_beacon() {
        let words = Words::create();
        let number = words.object.as_inherited();
        let kid = Kid(spawn(&common::request(&["role", "exec"], &[number], &[number])).expect("spawn"));
        match kid.0.wait(soon()).expect("wait") {
            Some(Exit::Code(7)) => eprintln!("skipped: no robust list here"),
            end => {
                assert_eq!(end, Some(Exit::Code(6)));
                assert!(Beacon::is_dead(words.at::<Beacon>(BEACON).word.load(Ordering::Acquire)));
            }
        }
    }

    fn set_up() {
        mp_sys::set_process_title("a rather long n\u{e4}me").expect("title");
        let comm = std::fs::read_to_string("/proc/self/comm").expect("comm");
        assert_eq!(comm.trim_end(), "a rather long n");
        mp_sys::set_process_group(0).expect("group");
        // SAFETY: plain calls.
        assert_eq!(unsafe { libc::getpgrp() }, unsafe { libc::getpid() });
        let cpus = mp_sys::affinity().expect("affinity");
        assert!(!cpus.is_empty());
        mp_sys::set_affinity(&cpus[..1]).expect("affinity");
        assert_eq!(mp_sys::affinity().expect("affinity"), cpus[..1]);
        assert_eq!(mp_sys::cpu_count(), 1);
        assert!(mp_sys::set_affinity(&[]).is_err());
        mp_sys::nice(1).expect("nice");
        mp_sys::set_rlimit(mp_sys::Limit::OpenFiles, 64, 64).expect("limit");
        mp_sys::set_umask(0o077);
        mp_sys::ignore_interrupt().expect("ignore");
        mp_sys::reset_signals().expect("reset");
        // SAFETY: ignored, as both are now.
        unsafe { (libc::raise(libc::SIGINT), libc::raise(libc::SIGPIPE)) };
        let (reader, writer) = std::io::pipe().expect("pipe");
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("null"));
        mp_sys::replace_stdio([null(), writer.into(), null()]).expect("replace");
        println!("through the pipe");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).expect("read");
        mp_sys::exit_now(if line == "through the pipe\n" { 9 } else { 1 });
    }

    fn a_child_is_set_up() {
        let kid = Kid(spawn(&common::request(&["role", "set up"], &[], &[])).expect("spawn"));
        assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(9)));
    }
}

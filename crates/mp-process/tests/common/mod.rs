//! What the tests about violence share: a generator of chances, looks at the process table, and signals.

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(unreachable_pub, reason = "a module of several programs")]

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mp_session::{Blueprint, Kind, Object, Session, Shape, Stats};

/// A generator whose seed is printed, so that a failure can be repeated.
pub struct Chance(u64);

impl Chance {
    /// Seeded by `MP_TEST_SEED`, else by the clock.
    pub fn new(what: &str) -> Chance {
        let given = std::env::var("MP_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let clock = || {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(1, |d| d.as_nanos() as u64)
        };
        let seed = given.unwrap_or_else(clock);
        eprintln!("{what}: MP_TEST_SEED={seed}");
        Chance(seed | 1)
    }

    pub fn quiet(seed: u64) -> Chance {
        Chance(seed | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
}

/// `MP_TEST_ROUNDS`, else so many.
pub fn rounds(otherwise: u64) -> u64 {
    std::env::var("MP_TEST_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(otherwise)
}

pub fn block(session: &Session, size: u64) -> Object {
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size };
    Object::create(session, plan, |_, _| {}).unwrap()
}

/// Tests that count what this process as a whole has, or the session, go one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the session holds when all that earlier tests left has been cleared away, and this process's ledger has grown.
pub fn at_rest(session: &Session) -> (u64, u64, u32, u32) {
    mp_process::__private::dismiss_spare().unwrap();
    drop((0..400).map(|_| block(session, 0)).collect::<Vec<_>>());
    let alone = soon(|| {
        let _ = session.notice_deaths();
        session.stats().members == 1
    });
    assert!(alone, "{:?} {:?}", session.stats(), session.objects());
    held(session)
}

/// Waits until the session holds what it held `before`, if it must by the deaths that are noticed by now. Threads of earlier
/// tests may have ended since.
pub fn is_as(session: &Session, before: (u64, u64, u32, u32)) -> bool {
    mp_process::__private::dismiss_spare().unwrap();
    soon(|| {
        let _ = session.notice_deaths();
        let now = held(session);
        (now.0, now.1, now.2) == (before.0, before.1, before.2) && now.3 <= before.3
    })
}

/// What the session holds, without what only ever grows: bytes, objects, processes, threads.
pub fn held(session: &Session) -> (u64, u64, u32, u32) {
    let Stats { bytes_in_use, objects, members, threads, .. } = session.stats();
    (bytes_in_use, objects, members, threads)
}

/// Looks again until it is so; `false` when ten seconds were not enough.
pub fn soon(so: impl FnMut() -> bool) -> bool {
    within(Duration::from_secs(10), so)
}

pub fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The descriptors of this process that are open beyond the look itself.
pub fn descriptors() -> BTreeSet<String> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = std::fs::read_link(entry.path()).ok()?.display().to_string();
            let number = entry.file_name().into_string().ok()?;
            (!target.starts_with("/proc/")).then(|| format!("{number} -> {target}"))
        })
        .collect()
}

/// State letter and parent of a process.
pub fn state_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether it runs code: not gone, and no zombie.
pub fn runs(pid: u32) -> bool {
    state_of(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The children of a process, zombies included.
pub fn children_of(pid: u32) -> BTreeSet<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|child| state_of(*child).is_some_and(|(_, parent)| parent == pid))
        .collect()
}

/// The sets of blocked and of ignored signals. The C library ignores two of its own, 32 and 33, between fork and exec, and its
/// `posix_spawn` leaves them so: they are no program's business.
pub fn signals_held() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    (of("SigBlk:"), of("SigIgn:") & 0x7FFF_FFFF)
}

/// What lies in `/dev/shm`.
pub fn shm() -> BTreeSet<String> {
    let Ok(dir) = std::fs::read_dir("/dev/shm") else { return BTreeSet::new() };
    dir.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("mp"))
        .collect()
}

/// Sends a signal to a process that the caller knows not to be reaped, or to be nobody's again.
pub fn signal(pid: u32, number: i32) {
    // SAFETY: a plain call.
    unsafe { libc::kill(pid.cast_signed(), number) };
}

//! For tests that need a second process: the test starts its own binary again, told to run the same test, and told some
//! numbers; the test looks at what it was told to know which of the two it is.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use mp_sys::{Bell, Child, Inherited, Mapping, MemoryObject, Program, Signal, SpawnRequest, Stdio, Woken};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

const VARIABLE: &str = "MP_SYS_TOLD";

/// Longer than anything here takes; a test that waits this long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn soon() -> Option<Instant> {
    Some(Instant::now() + LONG)
}

/// Whether this is an emulator of another processor's Linux programs: it has no robust lists, and a few other gaps.
pub(crate) fn emulated() -> bool {
    let beacon = mp_sys::Beacon::default();
    // SAFETY: unlinked by this thread, at once.
    let linked = unsafe { mp_sys::beacon_link(&beacon) };
    if linked {
        // SAFETY: linked just now.
        unsafe { mp_sys::beacon_unlink(&beacon) };
    }
    cfg!(all(target_os = "linux", target_env = "gnu")) && !linked
}

/// What this process was told, if it is the second one.
pub(crate) fn told() -> Option<Vec<u64>> {
    let text = std::env::var(VARIABLE).ok()?;
    Some(text.split(',').filter(|n| !n.is_empty()).map(|n| n.parse().expect("a number")).collect())
}

/// A child that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Kid(pub(crate) Child);

impl Drop for Kid {
    fn drop(&mut self) {
        if let Err(error) = self.0.signal(Signal::Kill).and_then(|()| self.0.wait(soon())) {
            eprintln!("a child was not ended: {error}");
        }
    }
}

pub(crate) fn request<'a>(args: &[&str], told: &[u64], inherit: &[Inherited]) -> SpawnRequest<'a> {
    let told: String = told.iter().map(|n| format!("{n},")).collect();
    SpawnRequest {
        program: Program::SelfImage,
        args: args.iter().map(Into::into).collect(),
        env: std::env::vars_os()
            .filter(|(key, _)| key != VARIABLE)
            .chain([(VARIABLE.into(), told.into())])
            .collect(),
        inherit: inherit.to_vec(),
        stdio: [Stdio::Null, Stdio::Null, Stdio::Inherit],
        cwd: None,
        new_process_group: false,
        hold_interrupt: false,
    }
}

/// Runs `test` of this binary in a second process.
pub(crate) fn again(test: &str, told: &[u64], inherit: &[Inherited]) -> Kid {
    Kid(mp_sys::spawn(&request(&["--exact", test, "--nocapture"], told, inherit)).expect("spawn"))
}

/// A piece of shared memory, seen as words.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) object: MemoryObject,
    pub(crate) map: Mapping,
    session: u128,
}

pub(crate) const WORDS_LEN: usize = 1 << 16;

impl Words {
    pub(crate) fn create() -> Self {
        let object = MemoryObject::create(WORDS_LEN as u64).expect("create");
        let words = Self::new(object);
        words.map.commit(0, WORDS_LEN).expect("commit");
        let session = mp_sys::random_u128().expect("random");
        words.pair(0).store(session as u64, Ordering::Release);
        words.pair(1).store((session >> 64) as u64, Ordering::Release);
        Self { session, ..words }
    }

    pub(crate) fn inherited(number: Inherited) -> Self {
        // SAFETY: the parent told us a number that it named for us.
        let words = Self::new(unsafe { MemoryObject::from_inherited(number) }.expect("inherited"));
        let session = u128::from(words.pair(0).load(Ordering::Acquire))
            | u128::from(words.pair(1).load(Ordering::Acquire)) << 64;
        Self { session, ..words }
    }

    fn new(object: MemoryObject) -> Self {
        let map = object.map(WORDS_LEN).expect("map");
        Self { object, map, session: 0 }
    }

    /// Any type of atomics, at an offset that fits it.
    pub(crate) fn at<T>(&self, offset: usize) -> &T {
        assert!(offset + size_of::<T>() <= WORDS_LEN && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: in range, aligned, all zero or valid; only used for types made of atomics.
        unsafe { &*self.map.as_ptr().add(offset).cast() }
    }

    fn pair(&self, index: usize) -> &std::sync::atomic::AtomicU64 {
        self.at(WORDS_LEN - 16 + index * 8)
    }

    pub(crate) fn bell(&self, index: u32) -> Bell<'_> {
        Bell { word: self.at(index as usize * 4), session: self.session, thread: index }
    }

    /// Sets the word and rings.
    pub(crate) fn set(&self, index: u32, value: u32) {
        self.bell(index).word.store(value, Ordering::Release);
        mp_sys::ring(self.bell(index));
    }

    /// Waits until the word has this value. For one waiter at a time.
    pub(crate) fn wait_for(&self, index: u32, value: u32) {
        let deadline = soon();
        loop {
            let seen = self.bell(index).word.load(Ordering::Acquire);
            if seen == value {
                return;
            }
            let woken = mp_sys::park(self.bell(index), seen, &[], deadline);
            assert_ne!(woken, Woken::TimedOut, "word {index} stayed {seen}, not {value}");
        }
    }

    /// For a process that is to be killed: it stays until then, but not for ever.
    pub(crate) fn stay(&self) -> ! {
        let never = AtomicU32::new(0);
        let bell = Bell { word: &never, session: self.session, thread: mp_sys::current_pid() };
        while mp_sys::park(bell, 0, &[], soon()) != Woken::TimedOut {}
        panic!("nobody killed this process");
    }
}

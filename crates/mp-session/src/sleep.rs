//! One sleep: on the thread's bell, with an eye on the deaths of others.
//!
//! A sleeper watches the beacons of other processes while it sleeps, the owner's first; where there are many, the beacons of those who
//! watch them ([`crate::posts`]). The kernel marks a beacon and wakes one of its watchers; that one looks who died, sweeps
//! ([`crate::sweep`]), and rings everybody.
//!
//! *news-swallowed*: the kernel wakes one watcher, and that one is stopped (SIGSTOP) before it could pass the news on. (One that
//! was stopped before has left the kernel's queue; one that is killed wakes a watcher of its own, who looks at all.) For
//! this instant no sleep with watches lasts longer than `BACKSTOP` without a look at the beacons, which costs microseconds.
//!
//! *ended-not-swept*: the end of a process wakes its watchers for as long as its place is not swept, say by somebody who is at it: they
//! nap instead of looking again and again.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::ground::Ground;
use crate::ids::ThreadId;
use crate::posts::{FEW, Post};
use crate::primitive::{self, AtomicU32, Ordering::*, raw};
use crate::thread::Me;
use crate::wait::ASLEEP;

/// Beacons that one sleep watches at most, but for those of posts.
const WATCHED: usize = 31;
const _: () = assert!(WATCHED > FEW as usize);
/// How long a sleep goes on without looking around itself, where watching cannot be complete.
const SLICE: Duration = Duration::from_millis(50);
/// The same where it is complete: for *news-swallowed*.
const BACKSTOP: Duration = Duration::from_secs(1);
/// The same while somebody seems to be dying and the evidence is not complete.
const SUSPICION: Duration = Duration::from_millis(1);

impl Me<'_> {
    /// Sleeps once, watching the others, and sweeps whom it finds dead.
    pub(crate) fn park(&self, deadline: Option<Instant>, owner: ThreadId) {
        let mut watched = Watched { complete: true, ..Watched::default() };
        watched.owner(self, owner);
        if !(self.inner.has_posts(self) && watched.posts(self)) {
            watched.everybody(self);
        }
        self.park_with(watched, deadline);
    }

    /// Sleeps once at a post, watching the members of its block.
    pub(crate) fn watch_block(&self, block: usize) {
        let mut watched = Watched { complete: true, ..Watched::default() };
        for m in self.inner.in_block(block) {
            watched.member(self, m, usize::MAX);
        }
        self.park_with(watched, None);
    }

    fn park_with(&self, mut watched: Watched, deadline: Option<Instant>) {
        let ground = &self.inner.ground;
        if watched.someone_died {
            let slot = self.slot();
            if self.inner.notice_deaths(self) {
                return;
            }
            // Dying, or being swept by somebody else: do not believe it yet, do not sleep long either.
            watched.suspicion = true;
            if slot.bell.load(Acquire) != ASLEEP {
                return;
            }
        }
        let slice = match (watched.suspicion, watched.complete) {
            (true, _) => Some(SUSPICION),
            (false, false) => Some(SLICE),
            (false, true) if watched.threads.is_empty() && watched.processes.is_empty() => None,
            (false, true) => Some(BACKSTOP),
        };
        let watches: Vec<mp_sys::Watch<'_>> = watched
            .threads
            .iter()
            .map(|(t, value)| mp_sys::Watch {
                word: &ground.thread(*t).beacon.word,
                value: *value,
                process: None,
            })
            .chain(watched.processes.iter().map(|p| mp_sys::Watch {
                word: raw(&QUIET_WORD),
                value: 0,
                process: Some(p),
            }))
            .collect();
        match primitive::park(self.inner.bell(self.index), ASLEEP, &watches, slice, deadline) {
            mp_sys::Woken::Rung => {}
            mp_sys::Woken::Watched(_) => {
                // *ended-not-swept*: a beacon is looked at before each sleep, but a process that has ended wakes every
                // sleep at once until whoever sweeps it is done.
                if !self.inner.notice_deaths(self) && mp_sys::ProcessWatch::WAKES {
                    primitive::park(self.inner.bell(self.index), ASLEEP, &[], Some(SUSPICION), deadline);
                }
            }
            // A slice that ended, unless the caller's deadline did, in which case it costs one look.
            mp_sys::Woken::TimedOut => {
                if slice.is_some() {
                    self.inner.notice_deaths(self);
                }
            }
        }
    }
}

static QUIET_WORD: AtomicU32 = AtomicU32::new(0);

/// The deaths that a sleep is going to be told of.
#[derive(Default)]
struct Watched {
    threads: Vec<(u32, u32)>,
    processes: Vec<std::sync::Arc<mp_sys::ProcessWatch>>,
    someone_died: bool,
    suspicion: bool,
    complete: bool,
}

impl Watched {
    /// Whom this sleep waits for in particular.
    fn owner(&mut self, me: &Me<'_>, owner: ThreadId) {
        let ground = &me.inner.ground;
        if let Some(t) = owner.index().filter(|t| *t < ground.layout.thread_count) {
            // A thread of our own process may end as well; only our own beacon is of no use to us.
            if t != me.index {
                self.add(ground, t);
            }
        }
    }

    /// Those who watch everybody else. `false`: not everybody is watched.
    fn posts(&mut self, me: &Me<'_>) -> bool {
        for block in 0..me.inner.posts() {
            match me.inner.post(me, block) {
                Post::Held(t) if t == me.index => {}
                Post::Held(t) => self.add(&me.inner.ground, t),
                Post::Empty => {}
                Post::Vacant => return false,
            }
        }
        true
    }

    /// All other members.
    fn everybody(&mut self, me: &Me<'_>) {
        let members = me.inner.ground.members_used();
        // Round from our own place, so that with many processes each is watched by those before it.
        for step in 1..members.max(1) {
            let m = (me.inner.member.index + step) % members;
            if me.inner.may_die(m) {
                self.member(me, m, WATCHED);
            }
        }
    }

    /// A member that may die, unless `most` are watched already.
    fn member(&mut self, me: &Me<'_>, m: u32, most: usize) {
        let ground = &me.inner.ground;
        let speaks = me.inner.speaker(m).is_some();
        let speaker = if speaks { ground.member(m).beacon.load(Acquire) } else { 0 };
        if self.threads.len() + self.processes.len() >= most {
            self.complete = false;
            // Not watched, but seen if it is dead already.
            self.someone_died |=
                speaker != 0 && mp_sys::Beacon::is_dead(ground.thread(speaker - 1).beacon.word.load(Acquire));
        } else if speaker != 0 {
            self.add(ground, speaker - 1);
        } else {
            match me.inner.process_watch(m) {
                Ok(watch) if mp_sys::ProcessWatch::WAKES => self.processes.push(watch),
                // Gone, and nobody has cleared up after it.
                Err(e) if e.kind() == ErrorKind::NotFound && ground.member(m).pid.load(Acquire) != 0 => {
                    self.someone_died = true;
                }
                _ => self.complete = false,
            }
        }
        if me.inner.is_abandoned(m) {
            self.someone_died = true;
        }
    }

    fn add(&mut self, ground: &Ground, t: u32) {
        let value = ground.thread(t).beacon.word.load(Acquire);
        if mp_sys::Beacon::is_dead(value) {
            self.someone_died = true;
        } else if value != 0 && !self.threads.iter().any(|(known, _)| *known == t) {
            self.threads.push((t, value));
        } else if value == 0 {
            self.complete = false;
        }
    }
}

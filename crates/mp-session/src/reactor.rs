//! The reactor: the one thread of a process that waits for many things on behalf of tasks, and wakes them.
//!
//! It is an observer ([`crate::observers`]) like a wait set, with a difference: it does not look whether things are ready, because it does not
//! have them. A task that finds a thing not ready registers where its news comes from, and its waker; then it looks once more. From then on the
//! reactor passes the news on, and the task looks.
//!
//! | step | task | reactor |
//! |---|---|---|
//! | 1 | registers subscriptions and waker, under the lock | |
//! | 2 | looks: ready? then it is done, and takes the registration back | |
//! | 3 | | takes the groups and what was told of (5 in the essay on observers), under the lock |
//! | 4 | | wakes the tasks, without the lock |
//! | 5 | looks, as 2 | |
//!
//! What changes before 2 is seen there; what changes later is told, and the task looks after 4. A registration that is taken back (a
//! future dropped, say because another one was faster) leaves nothing: its subscriptions end, and no wake-up was its own to be lost.
//!
//! The thread is started by the first registration. When there has been none for `LINGERS` it ends, and the next one starts it anew. It runs
//! no code but that of wakers. As every sleeper it sweeps the dead that it hears of.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::observers::{GROUPS, Observer};
use crate::primitive::Ordering::*;
use crate::session::{Inner, Session};
use crate::subscriptions::Subscriptions;
use crate::thread::Me;
use crate::waitable::Waitable;

/// How long the thread stays without anything to wait for.
const LINGERS: Duration = Duration::from_millis(500);
/// How often it looks whether there still is something.
const LOOKS: Duration = Duration::from_secs(2);

/// What the tasks of this process wait for.
#[derive(Debug, Default)]
pub(crate) struct Reactor {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there is a thread.
    runs: bool,
    observer: Option<Observer>,
    /// By index; the group is the index modulo `GROUPS`.
    registrations: Vec<Option<Registration>>,
    vacant: Vec<usize>,
}

#[derive(Debug)]
struct Registration {
    subscriptions: Subscriptions,
    waker: Waker,
}

impl State {
    fn is_empty(&self) -> bool {
        self.vacant.len() == self.registrations.len()
    }

    /// The wakers of those that were told of, in these groups, or of all.
    fn collect(&self, inner: &Inner, groups: u64, all: bool, wakers: &mut Vec<Waker>) {
        let mut groups = if all { u64::MAX } else { groups };
        while groups != 0 {
            let group = groups.trailing_zeros() as usize;
            groups &= groups - 1;
            let of_group = self.registrations.iter().skip(group).step_by(GROUPS as usize).flatten();
            wakers.extend(
                of_group.filter(|r| r.subscriptions.take_told(inner) || all).map(|r| r.waker.clone()),
            );
        }
    }
}

impl Session {
    /// Has the waker woken whenever the thing may have become ready. Returns the registration's number.
    pub(crate) fn register<W: Waitable + ?Sized>(&self, thing: &W, waker: &Waker) -> Result<usize> {
        self.me()?;
        let mut state = self.0.reactor.state.lock();
        let observer = match state.observer {
            Some(observer) => observer,
            None => *state.observer.insert(self.0.take_observer()?),
        };
        if !state.runs {
            start(self.0.clone())?;
            state.runs = true;
        }
        let index = state.vacant.last().copied().unwrap_or(state.registrations.len());
        let subscriptions = Subscriptions::to(self, observer, index, thing)?;
        if state.vacant.pop().is_none() {
            state.registrations.push(None);
        }
        state.registrations[index] = Some(Registration { subscriptions, waker: waker.clone() });
        Ok(index)
    }

    /// Asks for news of the thing's descriptors, after it was found not ready.
    pub(crate) fn ask_for<W: Waitable + ?Sized>(&self, index: usize, thing: &W) -> Result<()> {
        match self.0.reactor.state.lock().registrations.get(index) {
            Some(Some(registration)) => registration.subscriptions.ask(thing),
            _ => Ok(()),
        }
    }

    /// Wakes another waker from now on.
    pub(crate) fn reregister(&self, index: usize, waker: &Waker) -> Result<()> {
        self.me()?;
        let waker = waker.clone();
        let mut state = self.0.reactor.state.lock();
        let registration = state.registrations.get_mut(index).and_then(Option::as_mut);
        let old = registration.map(|registration| std::mem::replace(&mut registration.waker, waker));
        drop(state);
        drop(old); // which may run code of the task's, and that may come here
        Ok(())
    }

    /// Takes a registration back. In a foreign fork's child, which has a copy, nothing happens.
    pub(crate) fn deregister<W: Waitable + ?Sized>(&self, index: usize, thing: &W) {
        if !self.is_member() {
            return;
        }
        let mut state = self.0.reactor.state.lock();
        let Some(registration) = state.registrations.get_mut(index).and_then(Option::take) else { return };
        registration.subscriptions.end(&self.0, thing);
        state.vacant.push(index);
        drop(state);
        drop(registration); // as above
    }
}

/// Starts the thread, and waits until it has its place in the session.
fn start(inner: Arc<Inner>) -> Result<()> {
    let (say, said) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("mp-reactor".into())
        .stack_size(256 * 1024) // it may have to sweep
        .spawn(move || {
            let session = Session(inner);
            match session.me() {
                Ok(me) => {
                    let _ = say.send(Ok(())); // who asked waits for it
                    drop(say);
                    run(&session, &me);
                }
                Err(error) => drop(say.send(Err(error))),
            }
        })
        .map_err(|e| Error::os("start the thread that waits for tasks", e))?;
    said.recv().unwrap_or_else(|_| Err(Error::Other("the thread that waits for tasks ended".into())))
}

fn run(session: &Session, me: &Me<'_>) {
    let inner = &session.0;
    let news = &inner.ground.header().news;
    let mut known = news.load(SeqCst);
    let mut empty_since: Option<Instant> = None;
    let mut wakers = Vec::new();
    loop {
        let observer = {
            let mut state = inner.reactor.state.lock();
            let Some(observer) = state.observer else { return };
            empty_since = if state.is_empty() { empty_since.or_else(|| Some(Instant::now())) } else { None };
            if empty_since.is_some_and(|since| since.elapsed() >= LINGERS) {
                (state.runs, state.observer) = (false, None);
                inner.give_observer(observer);
                return;
            }
            let groups = inner.ground.observer(observer.index).ready.swap(0, SeqCst);
            let now = news.load(SeqCst);
            state.collect(inner, groups, now != known, &mut wakers);
            known = now;
            observer
        };
        wakers.drain(..).for_each(Waker::wake);
        let slot = inner.ground.observer(observer.index);
        let idle = || slot.ready.load(SeqCst) == 0 && news.load(SeqCst) == known;
        slot.sleeper.store(u64::from(me.index) + 1, SeqCst);
        let until = Instant::now() + if empty_since.is_some() { LINGERS } else { LOOKS };
        me.wait_as_observer(inner.ground.offset_of(&slot.ready), Some(until), idle);
        slot.sleeper.store(0, SeqCst);
    }
}

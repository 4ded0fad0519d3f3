//! Waiting for many things at once.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use mp_wire::{Error, Result};

use crate::cancel;
use crate::observers::{GROUPS, Observer};
use crate::primitive::{Ordering::*, fence};
use crate::session::Session;
use crate::spin::Spin;
use crate::subscriptions::Subscriptions;
use crate::waitable::{Sources, Waitable};

/// How long a wait goes on without a look at everything: for what a waker did not tell because it was stopped right before.
const LOOK_AT_ALL: Duration = Duration::from_secs(1);

/// Waits until at least one of these is ready, and returns which are, as indices in rising order (Python's `multiprocessing.connection.wait`).
///
/// `None` waits for ever; a timeout of zero only looks. Without anything to wait for it sleeps for the timeout and returns an empty list.
/// To wait for the same things again and again, or for thousands, make a [`WaitSet`].
///
/// # Errors
/// [`Error::InvalidArgument`] for nothing to wait for and no timeout, which would last for ever, and for things of different sessions;
/// [`Error::LimitReached`] when the session has no room for it; [`Error::ForeignFork`] in a process that does not take part; [`Error::Cancelled`]
/// under a token ([`CancelToken::scope`](crate::CancelToken::scope)).
///
/// # Blocking
/// Until one is ready or the time is up.
///
/// # If a process dies
/// Everything is looked at again after each death.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use mp_session::{Waitable, wait};
///
/// fn first_of(a: &impl Waitable, b: &impl Waitable) -> mp_session::Result<Option<usize>> {
///     Ok(wait(&[a, b], Duration::from_secs(1))?.first().copied())
/// }
/// assert!(wait(&[], Duration::from_millis(1))?.is_empty());
/// # Ok::<(), mp_session::Error>(())
/// ```
pub fn wait(things: &[&dyn Waitable], timeout: impl Into<Option<Duration>>) -> Result<Vec<usize>> {
    wait_in(&Session::current()?, things, timeout)
}

/// As [`wait()`], for things of that session.
///
/// # Errors
/// As [`wait()`].
pub fn wait_in(
    session: &Session,
    things: &[&dyn Waitable],
    timeout: impl Into<Option<Duration>>,
) -> Result<Vec<usize>> {
    fence(SeqCst);
    let ready: Vec<usize> = (0..things.len()).filter(|i| things[*i].is_ready()).collect();
    let timeout = timeout.into();
    if !ready.is_empty() || timeout.is_some_and(|t| t.is_zero()) {
        return Ok(ready);
    }
    let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
    if let Some(ready) = poll(things, deadline)? {
        return Ok(ready);
    }
    let mut set = Set::new(session);
    for (index, thing) in things.iter().enumerate() {
        set.add(index as u64, *thing)?;
    }
    let mut ready: Vec<usize> = set.wait_until(deadline)?.into_iter().map(|token| token as usize).collect();
    ready.sort_unstable();
    Ok(ready)
}

/// Where there is nothing but descriptors the system itself waits for all of them. `None`: there are other things.
fn poll(things: &[&dyn Waitable], deadline: Option<Instant>) -> Result<Option<Vec<usize>>> {
    let (mut all, mut of) = (Vec::new(), Vec::new());
    for (index, thing) in things.iter().enumerate() {
        let mut sources = Sources::default();
        thing.sources(&mut sources);
        if sources.descriptors.is_empty() || !sources.words.is_empty() {
            return Ok(None);
        }
        of.extend(sources.descriptors.iter().map(|_| index));
        all.extend(sources.descriptors);
    }
    // A wait that may be cancelled has to be one of the session's.
    if all.is_empty() || cancel::is_cancellable() {
        return Ok(None);
    }
    let ready = mp_sys::poll(&all, deadline).map_err(|e| Error::os("wait for descriptors", e))?;
    let mut ready: Vec<usize> = of.iter().zip(ready).filter(|(_, ready)| *ready).map(|(i, _)| *i).collect();
    ready.dedup();
    Ok(Some(ready))
}

/// Waits for thousands of things at once, again and again (Python's `selectors`, for everything that is [`Waitable`]).
///
/// Each thing has a *token*, a number of the caller's choice, by which [`wait`](WaitSet::wait) names it. The set is *level-triggered*: what
/// is ready is named again by each wait for as long as it is ready. A wait names all that are ready, so none is overlooked for
/// the sake of others; and it costs what is ready and not what is in the set.
///
/// Several sets, in several processes, may wait for the same thing: all are told, and one of them is first.
///
/// A set may be moved to another thread. It holds what it waits for: handles by value (they are cheap to clone) or by reference.
///
/// # If a process dies
/// Everything in the set is looked at after each death. A set whose process dies leaves nothing behind, and one whose process is
/// stopped holds up nobody.
///
/// # Examples
///
/// See `mp_queue` for one with queues.
///
/// ```
/// use std::time::Duration;
/// use mp_session::WaitSet;
///
/// let mut set = WaitSet::new()?;
/// assert!(set.wait(Duration::from_millis(1))?.is_empty());
/// # Ok::<(), mp_session::Error>(())
/// ```
pub struct WaitSet<'a>(Set<Box<dyn Waitable + Send + 'a>>);

impl<'a> WaitSet<'a> {
    /// An empty set for things of this process's session.
    ///
    /// # Errors
    /// What [`Session::current`] returns.
    pub fn new() -> Result<WaitSet<'a>> {
        Ok(WaitSet::new_in(&Session::current()?))
    }

    /// An empty set for things of that session.
    pub fn new_in(session: &Session) -> WaitSet<'a> {
        WaitSet(Set::new(session))
    }

    /// Adds a thing, under a token that is not in the set.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a token that is in the set and for a thing of another session; [`Error::LimitReached`] when the
    /// session has no room for it; [`Error::ForeignFork`] in a process that does not take part.
    pub fn add(&mut self, token: u64, thing: impl Waitable + Send + 'a) -> Result<()> {
        self.0.add(token, Box::new(thing))
    }

    /// Takes the thing with that token out of the set, and drops it. `false`: there is none.
    pub fn remove(&mut self, token: u64) -> bool {
        self.0.remove(token)
    }

    /// How many things are in the set.
    pub fn len(&self) -> usize {
        self.0.by_token.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.by_token.is_empty()
    }

    /// Waits until at least one thing is ready, and returns the tokens of all that are. Empty: the time is up.
    ///
    /// `None` waits for ever; a timeout of zero only looks.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an empty set and no timeout, which would last for ever; [`Error::ForeignFork`] in a process that does not
    /// take part; [`Error::Cancelled`] under a token ([`CancelToken::scope`](crate::CancelToken::scope)).
    ///
    /// # Blocking
    /// Until one is ready or the time is up.
    pub fn wait(&mut self, timeout: impl Into<Option<Duration>>) -> Result<Vec<u64>> {
        // A time beyond what the clock can tell is for ever.
        self.0.wait_until(timeout.into().and_then(|t| Instant::now().checked_add(t)))
    }

    /// How often something was found ready by the look at everything that nobody had told of: for tests.
    #[doc(hidden)]
    pub fn untold(&self) -> u64 {
        self.0.untold
    }
}

impl fmt::Debug for WaitSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A set of things of any type.
pub(crate) struct Set<W: Waitable> {
    session: Session,
    /// Taken when the first thing comes.
    observer: Option<Observer>,
    /// By index; the group of a thing is its index modulo `GROUPS`.
    things: Vec<Option<Thing<W>>>,
    by_token: HashMap<u64, usize>,
    vacant: Vec<usize>,
    /// Those that may be ready: told of, or ready at the last look.
    hot: Vec<usize>,
    /// The session's news that the set has looked after.
    news: u64,
    untold: u64,
}

struct Thing<W> {
    token: u64,
    subscriptions: Subscriptions,
    /// Whether it is among the hot ones.
    hot: bool,
    thing: W,
}

impl<W: Waitable> Set<W> {
    fn new(session: &Session) -> Set<W> {
        Set {
            session: session.clone(),
            observer: None,
            things: Vec::new(),
            by_token: HashMap::new(),
            vacant: Vec::new(),
            hot: Vec::new(),
            news: session.0.ground.header().news.load(SeqCst),
            untold: 0,
        }
    }

    fn observer(&mut self) -> Result<Observer> {
        match self.observer {
            Some(observer) => Ok(observer),
            None => Ok(*self.observer.insert(self.session.0.take_observer()?)),
        }
    }

    fn add(&mut self, token: u64, thing: W) -> Result<()> {
        self.session.me()?;
        if self.by_token.contains_key(&token) {
            return Err(Error::InvalidArgument {
                detail: format!("there is a thing with token {token} in the set"),
            });
        }
        let observer = self.observer()?;
        let index = self.vacant.last().copied().unwrap_or(self.things.len());
        let subscriptions = Subscriptions::to(&self.session, observer, index, &thing)?;
        if self.vacant.pop().is_none() {
            self.things.push(None);
        }
        // Step 3 is the next wait's: a new thing is hot.
        self.things[index] = Some(Thing { token, subscriptions, hot: true, thing });
        self.hot.push(index);
        self.by_token.insert(token, index);
        Ok(())
    }

    fn remove(&mut self, token: u64) -> bool {
        let Some(index) = self.by_token.remove(&token) else { return false };
        if let Some(thing) = self.things[index].take() {
            if self.session.is_member() {
                thing.subscriptions.end(&self.session.0, &thing.thing);
            }
            if thing.hot {
                self.hot.retain(|hot| *hot != index);
            }
        }
        self.vacant.push(index);
        true
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Result<Vec<u64>> {
        let session = self.session.clone();
        let me = session.me()?;
        if deadline.is_none() && self.by_token.is_empty() {
            return Err(Error::InvalidArgument { detail: "waiting for nothing, for ever".into() });
        }
        let observer = self.observer()?;
        let ground = &session.0.ground;
        let (slot, news) = (ground.observer(observer.index), &ground.header().news);
        let mut look_at_all = None;
        loop {
            let ready = self.look(slot.ready.swap(0, SeqCst))?;
            if !ready.is_empty() {
                return Ok(ready);
            }
            let now = Instant::now();
            if deadline.is_some_and(|d| now >= d) {
                return Ok(ready);
            }
            if look_at_all.is_some_and(|at| now >= at) {
                self.heat_all();
                let ready = self.look(0)?;
                if !ready.is_empty() {
                    // Told meanwhile is told.
                    self.untold += u64::from(slot.ready.load(SeqCst) == 0);
                    return Ok(ready);
                }
                look_at_all = None;
            }
            let until = *look_at_all.get_or_insert(now + LOOK_AT_ALL);
            let until = deadline.map_or(until, |d| d.min(until));
            let known = self.news;
            // *cancel-before-sleep*
            cancel::check()?;
            let idle =
                || slot.ready.load(SeqCst) == 0 && news.load(SeqCst) == known && cancel::check().is_ok();
            let mut spin = Spin::begin();
            while idle() && spin.again() {}
            if !idle() {
                spin.succeeded();
                continue;
            }
            spin.failed();
            slot.sleeper.store(u64::from(me.index) + 1, SeqCst);
            me.wait_as_observer(ground.offset_of(&slot.ready), Some(until), idle);
            slot.sleeper.store(0, SeqCst);
        }
    }

    /// Steps 5 and 6, for the groups of that mask, and for everything if there was news.
    fn look(&mut self, groups: u64) -> Result<Vec<u64>> {
        self.heat(groups);
        let news = self.session.0.ground.header().news.load(SeqCst);
        if news != self.news {
            self.news = news;
            self.heat_all();
        }
        fence(SeqCst);
        let (mut ready, mut trouble) = (Vec::new(), Ok(()));
        let things = &mut self.things;
        self.hot.retain(|index| {
            let Some(thing) = &mut things[*index] else { return false };
            thing.hot = thing.thing.is_ready();
            if thing.hot {
                ready.push(thing.token);
            } else if let Err(error) = thing.subscriptions.ask(&thing.thing) {
                trouble = Err(error);
            }
            thing.hot
        });
        trouble.map(|()| ready)
    }

    /// Makes those hot that were told of.
    fn heat(&mut self, mut groups: u64) {
        while groups != 0 {
            let group = groups.trailing_zeros() as usize;
            groups &= groups - 1;
            for index in (group..self.things.len()).step_by(GROUPS as usize) {
                let Some(thing) = &mut self.things[index] else { continue };
                if thing.subscriptions.take_told(&self.session.0) && !thing.hot {
                    thing.hot = true;
                    self.hot.push(index);
                }
            }
        }
    }

    fn heat_all(&mut self) {
        for (index, thing) in self.things.iter_mut().enumerate() {
            if let Some(thing) = thing
                && !thing.hot
            {
                thing.hot = true;
                self.hot.push(index);
            }
        }
    }
}

impl<W: Waitable> Drop for Set<W> {
    fn drop(&mut self) {
        // What a foreign fork's child has is a copy: nothing in it is its own.
        if !self.session.is_member() {
            return;
        }
        for thing in self.things.iter().flatten() {
            thing.subscriptions.end(&self.session.0, &thing.thing);
        }
        if let Some(observer) = self.observer {
            self.session.0.give_observer(observer);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

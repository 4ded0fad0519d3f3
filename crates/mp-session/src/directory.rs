//! Published objects: a small directory of names in the session.
//!
//! What a program's functions share, they pass on as arguments. Two programs that meet have nothing yet to pass anything in, and
//! find each other's objects here. A publication belongs to the session: it outlives its publisher, and keeps what it names alive, until
//! somebody withdraws it.
//!
//! # Words
//!
//! A slot is a [`Cell`](crate::cell) that holds a message with the name and the handle, the name's hash, and the thread that
//! prepares it. While the cell is full, its lap says how far the publication is:
//!
//! | lap modulo 4 | a full cell is | moved by |
//! |---|---|---|
//! | 0 | prepared: not to be seen | anybody, to *shown*, once the directory's word names it; its publisher, or anybody if that is gone, to *retired* |
//! | 1 | shown | who withdraws it, to *retired* |
//! | 2 | retired: not to be seen | anybody, to free, as soon as nobody looks at it |
//! | 3 | (free, after retirement) | whoever wants the slot, to the next lap with 0 |
//!
//! The directory's word, in the header, is `version(32) | slot + 1 (32)`. A name is published by the compare-and-swap that raises the version and
//! names the slot. The publisher has looked through all names since it read the version, so of two that publish one name one wins
//! and the other looks again, and finds it. Whoever reads a word that names a slot first shows that slot, and takes its name out of
//! the word: nobody waits for a publisher that is stopped.
//!
//! # Looking
//!
//! A reader must not take a reference from a slot that is being emptied. It writes the slot's number into its thread's slot
//! (`looking`), and then looks whether the slot still shows; who empties a slot has retired it before, and then looks whether anybody is
//! looking. One of the two sees the other. A reader that is stopped there delays the release of that one object, and nothing else.
//!
//! # Deaths
//!
//! | dies | survivors see |
//! |---|---|
//! | publisher, before its cell is full | a claim, which its sweep undoes ([`crate::cell`]) |
//! | publisher, before the word names it | prepared by somebody gone: retired by whoever tidies, its sweeper at the latest |
//! | publisher, after | published; shown by whoever comes next |
//! | reader, looking | its sweeper takes its `looking` back |
//! | who withdraws, after the retirement | retired: emptied by whoever tidies |
//! | who empties | a taken cell, which its sweep puts back: retired |

use crate::primitive::{Ordering::*, fence};

use mp_wire::{Error, Message as Value, Result};

use crate::cell::{CellState, Claim, Status};
use crate::ids::ThreadId;
use crate::message::Message;
use crate::object::{Object, fingerprint};
use crate::owned::Owned;
use crate::session::Session;
use crate::slots::NameSlot;
use crate::thread::{self, Me};

const PREPARED: u64 = 0;
const SHOWN: u64 = 1;
const RETIRED: u64 = 2;

/// The longest name, in bytes.
const LONGEST: usize = 255;
const SLOT: u64 = 0xFFFF_FFFF;
const VERSION: u64 = 1 << 32;

fn full(state: CellState, stage: u64) -> bool {
    state.status == Status::Full && state.lap % 4 == stage
}

/// One step of a full cell from a stage to a later one.
fn advance(slot: &NameSlot, seen: CellState, by: u64) -> bool {
    let to = CellState { lap: seen.lap + by, ..seen };
    slot.cell.state.compare_exchange(seen.pack(), to.pack(), SeqCst, SeqCst).is_ok()
}

fn hash_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn quoted(name: &str) -> String {
    format!("the published name {name:?}")
}

/// Shows the slot that the directory's word names, if it names one. The word without it.
fn help(me: &Me<'_>) -> u64 {
    let ground = &me.inner.ground;
    let word = &ground.header().directory;
    loop {
        let seen = word.load(SeqCst);
        let Some(index) = ((seen & SLOT) as u32).checked_sub(1).filter(|i| *i < ground.layout.name_count)
        else {
            return seen;
        };
        let slot = ground.name(index);
        let state = slot.cell.state();
        // Read once more: as long as the word names it, a prepared cell here is the one that is meant.
        if word.load(SeqCst) == seen {
            if full(state, PREPARED) {
                advance(slot, state, SHOWN - PREPARED);
            }
            let _ = word.compare_exchange(seen, seen & !SLOT, SeqCst, SeqCst);
        }
    }
}

/// Clears away what is prepared by somebody gone, or retired and looked at by nobody.
pub(crate) fn tidy(me: &Me<'_>) {
    let ground = &me.inner.ground;
    for index in 0..ground.names_used() {
        let slot = ground.name(index);
        let state = slot.cell.state();
        if full(state, PREPARED) && thread::is_gone(ground, ThreadId::from_bits(slot.publisher.load(Acquire)))
        {
            // It may have been published in its last moment; and nobody can any more, after this.
            help(me);
            advance(slot, state, RETIRED - PREPARED);
        }
        let state = slot.cell.state();
        if full(state, RETIRED) {
            empty(me, index, state);
        }
    }
}

fn empty(me: &Me<'_>, index: u32, state: CellState) {
    let ground = &me.inner.ground;
    fence(SeqCst);
    let looked_at = |t| ground.thread(t).looking.load(SeqCst) == u64::from(index) + 1;
    if (0..ground.threads_used()).any(looked_at) {
        return; // whoever looks tidies when it is through
    }
    // Without memory for a record it stays until somebody has some.
    let Ok(record) = me.inner.book.take(ground, &me.inner.magazines) else { return };
    let taken = Claim::take(ground, me.index, &ground.name(index).cell, state, record);
    if let Some(owned) = taken.and_then(|claim| claim.empty_into(record)) {
        me.release(owned, record);
    }
    me.inner.book.give(record);
}

impl Session {
    /// Publishes a handle (or any other value) under a name, for every process of the session, those included that come in by a
    /// [`Door`](crate::Door). It stays until it is withdrawn, also when this process is gone.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the name is taken, empty or longer than 255 bytes; [`Error::LimitReached`] when the directory is
    /// full (1024 names; 128 in a session below 256 MiB); what encoding the value gives.
    ///
    /// # If a process dies
    /// The name is published or not; nothing of it is left otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_session::Session;
    ///
    /// let session = Session::current()?;
    /// session.publish("greeting", &"hello".to_owned())?;
    /// assert_eq!(session.lookup::<String>("greeting")?.as_deref(), Some("hello"));
    /// assert!(session.unpublish("greeting")?);
    /// assert_eq!(session.lookup::<String>("greeting")?, None);
    /// # Ok::<(), mp_session::Error>(())
    /// ```
    pub fn publish<T: Value>(&self, name: &str, value: &T) -> Result<()> {
        if name.is_empty() || name.len() > LONGEST {
            let detail = format!("a name of {} bytes (1 to {LONGEST} are allowed)", name.len());
            return Err(Error::InvalidArgument { detail });
        }
        let me = self.me()?;
        tidy(&me);
        let message = self.write(name, value)?;
        let (index, state) = self.prepare(&me, name, &message)?;
        let slot = self.0.ground.name(index);
        let word = &self.0.ground.header().directory;
        loop {
            let seen = help(&me);
            let refused = match self.find(&me, name) {
                Ok(None) => None,
                Ok(Some(_)) => Some(Error::InvalidArgument { detail: format!("{} is taken", quoted(name)) }),
                Err(error) => Some(error),
            };
            if let Some(error) = refused {
                advance(slot, state, RETIRED - PREPARED);
                tidy(&me);
                return Err(error);
            }
            let next = (seen & !SLOT).wrapping_add(VERSION) | u64::from(index + 1);
            if word.compare_exchange(seen, next, SeqCst, SeqCst).is_ok() {
                help(&me);
                return Ok(());
            }
        }
    }

    /// What is published under the name: handles of this process's own. `None`: nothing.
    ///
    /// # Errors
    /// [`Error::WrongType`] when it is of another type; as [`Message::decode`].
    pub fn lookup<T: Value>(&self, name: &str) -> Result<Option<T>> {
        let me = self.me()?;
        help(&me);
        let Some((_, _, message)) = self.find(&me, name)? else { return Ok(None) };
        let (codec, payload) = message.payload()?;
        let Some((_, kind, bytes)) = split(payload) else { return Err(damaged()) };
        if kind != fingerprint::<T>() {
            return Err(Error::WrongType { what: quoted(name) });
        }
        mp_wire::decode(codec, bytes, message.imports()?).map(Some)
    }

    /// Withdraws what is published under the name. `false`: nothing is.
    ///
    /// Who has looked it up keeps his handles.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn unpublish(&self, name: &str) -> Result<bool> {
        let me = self.me()?;
        help(&me);
        let withdrawn = match self.find(&me, name)? {
            Some((index, state, _)) => advance(self.0.ground.name(index), state, RETIRED - SHOWN),
            None => false,
        };
        tidy(&me);
        Ok(withdrawn)
    }

    /// The names that are published now.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn published(&self) -> Result<Vec<String>> {
        let me = self.me()?;
        help(&me);
        let mut names = Vec::new();
        for index in 0..self.0.ground.names_used() {
            if let Some((_, message)) = self.look_at(&me, index)?
                && let Some((name, _, _)) = split(message.payload()?.1)
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The message: `length of the name(2) | name | fingerprint(8) | value`.
    fn write<T: Value>(&self, name: &str, value: &T) -> Result<Message> {
        let mut bytes = (name.len() as u16).to_le_bytes().to_vec();
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&fingerprint::<T>().to_le_bytes());
        let encoded = mp_wire::encode(value, &mut bytes)?;
        Message::pack(self, encoded.codec, &bytes, encoded.exports)
    }

    /// Fills a free slot, not to be seen yet.
    fn prepare(&self, me: &Me<'_>, name: &str, message: &Message) -> Result<(u32, CellState)> {
        let ground = &self.0.ground;
        let object = message.as_object();
        let record = self.0.book.take(ground, &self.0.magazines)?;
        let owned = Owned { index: object.id().0, role: object.role() };
        // A count of its own for the cell: the handle that we hold stays what it is.
        if let Err(e) = me.retain(owned, record) {
            self.0.book.give(record);
            return Err(e);
        }
        for index in 0..ground.layout.name_count {
            let slot = ground.name(index);
            let seen = slot.cell.state();
            let next = match seen.status {
                Status::Free => CellState { lap: seen.lap.next_multiple_of(4), ..seen },
                Status::Dead => {
                    CellState { lap: (seen.lap + 1).next_multiple_of(4), status: Status::Free, ..seen }
                }
                _ => continue,
            };
            if next != seen
                && slot.cell.state.compare_exchange(seen.pack(), next.pack(), AcqRel, Relaxed).is_err()
            {
                continue;
            }
            // Before the slot is taken, or a claimant that dies in between leaves one that no scan comes to.
            ground.header().names_used.fetch_max(index + 1, AcqRel);
            let Some(claim) = Claim::put(ground, me.index, &slot.cell, next, record) else { continue };
            slot.hash.store(hash_of(name), Relaxed);
            slot.publisher.store(me.id().to_bits(), Relaxed);
            claim.fill(owned.pack(), record);
            self.0.book.give(record);
            return Ok((index, CellState { status: Status::Full, thread: 0, ..next }));
        }
        me.release(owned, record);
        self.0.book.give(record);
        Err(ground.full("published names of the session", format!("{} exist", ground.layout.name_count)))
    }

    /// The slot that shows the name, as it was seen, and its message.
    fn find(&self, me: &Me<'_>, name: &str) -> Result<Option<(u32, CellState, Message)>> {
        let (ground, hash) = (&self.0.ground, hash_of(name));
        for index in 0..ground.names_used() {
            let slot = ground.name(index);
            if full(slot.cell.state(), SHOWN)
                && slot.hash.load(Acquire) == hash
                && let Some((state, message)) = self.look_at(me, index)?
                && split(message.payload()?.1).is_some_and(|(found, _, _)| found == name)
            {
                return Ok(Some((index, state, message)));
            }
        }
        Ok(None)
    }

    /// The message that a slot shows.
    fn look_at(&self, me: &Me<'_>, index: u32) -> Result<Option<(CellState, Message)>> {
        let slot = self.0.ground.name(index);
        let looking = &me.slot().looking;
        looking.store(u64::from(index) + 1, SeqCst);
        fence(SeqCst);
        let state = slot.cell.state();
        let found = full(state, SHOWN)
            .then(|| Object::share(self, self.0.ground.offset_of(&slot.cell.value)))
            .transpose();
        looking.store(0, SeqCst);
        fence(SeqCst);
        if full(slot.cell.state(), RETIRED) {
            tidy(me); // whoever retired it may have seen us looking
        }
        found?.map(|object| Ok((state, Message::from_object(object)?))).transpose()
    }
}

/// Name, fingerprint and value of a message of the directory.
fn split(payload: &[u8]) -> Option<(&str, u64, &[u8])> {
    let (length, rest) = payload.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (kind, rest) = rest.split_first_chunk::<8>()?;
    Some((std::str::from_utf8(name).ok()?, u64::from_le_bytes(*kind), rest))
}

fn damaged() -> Error {
    Error::Layout { detail: "a published object whose parts do not fit into it".into() }
}

#[cfg(test)]
mod tests;

//! The deadlock finder: rings of threads, each of which waits for what the next one holds.
//!
//! A thread that is about to sleep without a deadline, for something that one thread holds at a time, leaves in its slot where the
//! word is that names the holder (`waits_for`). That is one store on a path that makes a system call anyway, and all that the
//! finder costs while it is off. When it is on, the thread then follows the chain: the holder that the word names *now*, what that
//! thread waits for, who holds that. If the chain comes back to where it began, there is a ring.
//!
//! # Why a ring that is found is one
//!
//! The chain is walked twice, and has to be the same both times: the same waits, told by the sequence numbers in the wait
//! records, for which nobody has been woken, and the same words in the locks. Names of threads are not given twice and a
//! sequence number is not either, so each link stood without a break from its first reading to its second, and between the two walks all of them
//! stood at once. Nobody in a ring can leave it but by death, so it stands still.
//!
//! # Why a ring is found
//!
//! Each publishes its link before it looks (sequentially consistent), so whoever publishes last sees all the others. *two-find-one-ring*: several
//! may see it at once, and one of them is to be told. It is the one with the highest ticket, the last to begin waiting; who
//! finds a ring in which another has the highest rings that one's bell, and it looks again (*told-by-another*).
//!
//! # Deaths
//!
//! The finder writes nothing but `waits_for` and bells. A dead thread's link is believed by nobody: a holder that is gone ends the
//! chain, and who waits for it takes over anyway.
//!
//! # What it does not see
//!
//! Waits with a deadline (they end by themselves), locks taken by `acquire` (anybody may release them), and waits for what
//! many can hold or give: permits, messages, the ends of processes.

use crate::primitive::{AtomicU64, Ordering::*};

use mp_wire::{BlockedThread, Error, Result};

use crate::ground::Ground;
use crate::ids::ThreadId;
use crate::label;
use crate::layout::ENTRY_SIZE;
use crate::session::{Inner, Session};
use crate::slots::ThreadSlot;
use crate::table::{self, EntryState, TypeWord};
use crate::thread::{self, Me};
use crate::wait::WAITING;

/// Longer rings exist in theory.
const LONGEST: usize = 1024;
/// In a word that names a holder: it was taken for whoever releases it.
const ANONYMOUS: u64 = 1 << ThreadId::BITS;

/// Says for as long as it lives what the thread waits for.
pub(crate) struct Blocked<'a>(&'a AtomicU64);

impl<'a> Blocked<'a> {
    pub(crate) fn on(me: &Me<'a>, holder: &AtomicU64) -> Blocked<'a> {
        let slot = me.slot();
        slot.waits_for.store(me.inner.ground.offset_of(holder), SeqCst);
        Blocked(&slot.waits_for)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.store(0, Release);
    }
}

/// One thread that waits, as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Link {
    thread: u32,
    /// The wait record: tells this wait from any other.
    wait: u64,
    ticket: u64,
    /// Where the word is that names the holder, and what it says.
    word: u64,
    holder: ThreadId,
}

impl Session {
    /// Turns the finder on or off, for all processes of the session: a thread that would close a ring of waiters gets
    /// [`Error::Deadlock`] in place of sleeping for ever. Setting the environment variable `MP_DEADLOCK` to 1 turns it on from the start.
    ///
    /// While it is on, a wait for a lock that another thread holds costs a look at each thread in the chain before it sleeps;
    /// taking a free lock costs nothing more.
    pub fn find_deadlocks(&self, on: bool) {
        let ground = &self.0.ground;
        ground.header().find_deadlocks.store(u32::from(on), SeqCst);
        if on {
            self.0.ring_everybody(); // who sleeps already looks now
        }
    }
}

impl Me<'_> {
    /// Called before each sleep.
    #[inline]
    pub(crate) fn check_for_deadlock(&self) -> Result<()> {
        if self.inner.ground.header().find_deadlocks.load(Relaxed) == 0 {
            return Ok(());
        }
        self.look_for_ring()
    }

    #[cold]
    fn look_for_ring(&self) -> Result<()> {
        let inner = self.inner;
        if self.slot().waits_for.load(Relaxed) == 0 {
            return Ok(());
        }
        let Some(ring) = inner.ring_from(self.index) else { return Ok(()) };
        // Named before it is read again: somebody who ends meanwhile must not lend his name to the next.
        let cycle: Vec<BlockedThread> = ring.iter().map(|link| inner.describe(*link)).collect();
        if inner.ring_from(self.index).is_none_or(|again| again != ring) {
            return Ok(());
        }
        let last = ring.iter().max_by_key(|link| link.ticket).map_or(self.index, |link| link.thread);
        if last != self.index {
            inner.ring(last); // *told-by-another*
            return Ok(());
        }
        Err(Error::Deadlock { cycle })
    }
}

impl Inner {
    /// The ring that leads from the thread back to itself.
    fn ring_from(&self, first: u32) -> Option<Vec<Link>> {
        let mut ring: Vec<Link> = Vec::new();
        let mut thread = first;
        loop {
            let link = self.link_of(thread)?;
            ring.push(link);
            thread = link.holder.index()?;
            if thread == first {
                return Some(ring);
            }
            // A ring further on, of which we are no part: its own members find it.
            if ring.len() > LONGEST || ring.iter().any(|l| l.thread == thread) {
                return None;
            }
        }
    }

    fn link_of(&self, thread: u32) -> Option<Link> {
        let ground = &self.ground;
        let slot = (thread < ground.layout.thread_count).then(|| ground.thread(thread))?;
        let wait = slot.wait.load(SeqCst);
        let word = slot.waits_for.load(SeqCst);
        let ticket = slot.wait_ticket.load(Relaxed);
        if wait & 0xFF != WAITING || word == 0 || word % 8 != 0 || word >= ground.layout.size {
            return None;
        }
        let holder = holder_in(ground.word(word).load(SeqCst))?;
        (!thread::is_gone(ground, holder)).then_some(Link { thread, wait, ticket, word, holder })
    }

    fn describe(&self, link: Link) -> BlockedThread {
        let ground = &self.ground;
        let process = thread::member_of(ground, link.thread)
            .map_or_else(|| mp_wire::Ident::new(0, ""), |m| ground.member(m).ident());
        BlockedThread {
            process,
            thread: ground.thread(link.thread).describe(),
            waits_for: describe_word(ground, link.word),
        }
    }
}

/// The thread that a holder's word names, if its release is needed.
pub(crate) fn holder_in(word: u64) -> Option<ThreadId> {
    let holder = ThreadId::from_bits(word);
    (word & ANONYMOUS == 0 && !holder.is_none()).then_some(holder)
}

/// The object that a word belongs to, for people.
pub(crate) fn describe_word(ground: &Ground, word: u64) -> String {
    let layout = &ground.layout;
    let index = word.checked_sub(layout.entries).map(|at| at / ENTRY_SIZE);
    match index {
        Some(index) if index < u64::from(layout.entry_count) => describe_entry(ground, index as u32),
        _ if (layout.observers..layout.buckets).contains(&word) => "the first of many things".into(),
        _ => format!("the object at {word:#x}"),
    }
}

/// An object by kind, slot and label: `Lock 12.3 "stock"`.
pub(crate) fn describe_entry(ground: &Ground, index: u32) -> String {
    let entry = ground.entry(index);
    let state = EntryState::unpack(entry.state.load(Acquire));
    let kind = TypeWord::unpack(entry.kind.load(Relaxed)).kind.name();
    let label = if state.status == table::LIVE { label::read(ground, entry) } else { None };
    match label {
        Some(label) => format!("{kind} {index}.{} {label:?}", state.generation),
        None => format!("{kind} {index}.{}", state.generation),
    }
}

impl ThreadSlot {
    /// Writes down what the calling thread is called.
    pub(crate) fn set_name(&self) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("");
        let mut bytes = [0_u8; 16];
        let cut = name.floor_char_boundary(bytes.len());
        bytes[..cut].copy_from_slice(&name.as_bytes()[..cut]);
        for (word, eight) in self.name.iter().zip(bytes.chunks_exact(8)) {
            word.store(u64::from_le_bytes(eight.try_into().unwrap_or_default()), Relaxed);
        }
        self.system_id.store(mp_sys::current_thread_id(), Relaxed);
    }

    /// Its name and the system's number for it.
    pub(crate) fn describe(&self) -> String {
        let bytes: Vec<u8> = self.name.iter().flat_map(|w| w.load(Relaxed).to_le_bytes()).collect();
        let name = String::from_utf8_lossy(&bytes);
        let (name, id) = (name.trim_end_matches('\0'), self.system_id.load(Relaxed));
        if name.is_empty() { format!("{id}") } else { format!("{name} ({id})") }
    }
}

#[cfg(test)]
mod tests;

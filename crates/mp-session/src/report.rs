//! Who holds what and who waits for whom: for post-mortems, and for whoever watches a session.

use crate::primitive::Ordering::*;
use std::collections::BTreeMap;
use std::fmt;

use mp_wire::Ident;

use crate::deadlock::{describe_entry, describe_word, holder_in};
use crate::ids::{MemberId, Role};
use crate::ledger;
use crate::member;
use crate::session::Session;
use crate::slots::{NO_PARENT, SlotState};
use crate::stats::Stats;
use crate::thread;
use crate::wait::{IDLE, WAITING};

/// What a session is doing, as one process saw it: [`Session::report`]. It prints as a page for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What there is, counted.
    pub stats: Stats,
    /// The processes that have a place.
    pub processes: Vec<ProcessReport>,
}

/// A process of a [`Report`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessReport {
    /// Its number and name.
    pub who: Ident,
    /// Its parent, if that has a place still.
    pub parent: Option<Ident>,
    /// How far it is in its life: `reserved`, `live`, `dead`, `being swept`, `gone`.
    pub state: &'static str,
    /// The objects that it holds references to.
    pub holds: Vec<Holding>,
    /// Its threads that take part.
    pub threads: Vec<ThreadReport>,
}

/// References of one process to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holding {
    /// The object: kind, slot and label.
    pub object: String,
    /// In which role.
    pub role: Role,
    /// How many references.
    pub count: usize,
}

/// A thread of a [`ProcessReport`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadReport {
    /// Its name and the system's number for it.
    pub name: String,
    /// What it sleeps for, if it does: an object, or a word of the session.
    pub waits_for: Option<String>,
    /// Who holds that, where one thread does.
    pub held_by: Option<Ident>,
    /// The locks that it holds and that somebody waits for.
    pub blocks: Vec<String>,
    /// What it is in the middle of changing, if anything.
    pub busy: Option<String>,
}

impl Session {
    /// Looks who takes part, who holds what, and who waits for whom. Nothing stands still meanwhile: each line was true when it was
    /// read. It takes no lock and harms nobody, so it can be asked for when something hangs.
    pub fn report(&self) -> Report {
        let ground = &self.0.ground;
        let processes = (0..ground.members_used()).filter_map(|m| self.process_report(m)).collect();
        Report { stats: self.stats(), processes }
    }

    fn process_report(&self, index: u32) -> Option<ProcessReport> {
        let ground = &self.0.ground;
        let slot = ground.member(index);
        let state = match SlotState::load(&slot.state).status {
            member::FREE => return None,
            member::RESERVED => "reserved",
            member::LIVE if self.0.is_dead(index) => "dead",
            member::LIVE => "live",
            member::SWEEPING => "being swept",
            _ => "gone",
        };
        let parent = Some(slot.parent.load(Relaxed)).filter(|bits| *bits != NO_PARENT);
        let parent = parent.and_then(|bits| self.0.slot_of(MemberId::from_bits(bits))).map(|p| p.ident());
        let mut counts: BTreeMap<(u32, bool), usize> = BTreeMap::new();
        for (_, owned) in ledger::records(ground, index) {
            *counts.entry((owned.index, owned.role == Role::Second)).or_default() += 1;
        }
        let holds = counts
            .into_iter()
            .filter(|((object, _), _)| *object < ground.layout.entry_count)
            .map(|((object, second), count)| Holding {
                object: describe_entry(ground, object),
                role: if second { Role::Second } else { Role::First },
                count,
            })
            .collect();
        let threads = (0..ground.threads_used())
            .filter(|t| thread::member_of(ground, *t) == Some(index))
            .map(|t| self.thread_report(t))
            .collect();
        Some(ProcessReport { who: slot.ident(), parent, state, holds, threads })
    }

    fn thread_report(&self, t: u32) -> ThreadReport {
        let ground = &self.0.ground;
        let slot = ground.thread(t);
        let waiting = slot.wait.load(SeqCst) & 0xFF != IDLE;
        let key = slot.wait_key.load(Relaxed);
        let named = |word: u64| word != 0 && word.is_multiple_of(8) && word < ground.layout.size;
        let holder = Some(slot.waits_for.load(Relaxed))
            .filter(|word| waiting && named(*word))
            .and_then(|word| holder_in(ground.word(word).load(Relaxed)));
        ThreadReport {
            name: slot.describe(),
            waits_for: (waiting && key != 0).then(|| describe_word(ground, key)),
            held_by: holder.and_then(|holder| self.ident_of(holder)),
            blocks: self.blocked_by(t),
            busy: slot.intent.read().map(|intent| format!("{:?}", intent.op)),
        }
    }

    /// The locks of thread slot `t` that others wait for.
    fn blocked_by(&self, t: u32) -> Vec<String> {
        let ground = &self.0.ground;
        let mut words: Vec<u64> = (0..ground.threads_used())
            .map(|other| ground.thread(other))
            .filter(|other| other.wait.load(SeqCst) & 0xFF == WAITING)
            .map(|other| other.waits_for.load(Relaxed))
            .filter(|word| *word != 0 && word.is_multiple_of(8) && *word < ground.layout.size)
            .filter(|word| holder_in(ground.word(*word).load(Relaxed)).and_then(|h| h.index()) == Some(t))
            .collect();
        words.sort_unstable();
        words.dedup();
        words.into_iter().map(|word| describe_word(ground, word)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.stats;
        writeln!(
            f,
            "{} processes, {} threads, {} objects, {} bytes in use, {} deaths cleared up after",
            s.members, s.threads, s.objects, s.bytes_in_use, s.deaths
        )?;
        self.processes.iter().try_for_each(|process| write!(f, "{process}"))
    }
}

impl fmt::Display for ProcessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.who, self.state)?;
        if let Some(parent) = &self.parent {
            write!(f, ", child of {parent}")?;
        }
        writeln!(f)?;
        for holding in &self.holds {
            let second = if holding.role == Role::Second { ", second role" } else { "" };
            writeln!(f, "  holds {}{second} ({})", holding.object, holding.count)?;
        }
        self.threads.iter().try_for_each(|thread| write!(f, "{thread}"))
    }
}

impl fmt::Display for ThreadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  thread {}", self.name)?;
        if let Some(what) = &self.waits_for {
            write!(f, " waits for {what}")?;
        }
        if let Some(who) = &self.held_by {
            write!(f, ", held by {who}")?;
        }
        for lock in &self.blocks {
            write!(f, ", keeps others from {lock}")?;
        }
        if let Some(op) = &self.busy {
            write!(f, ", in the middle of {op}")?;
        }
        writeln!(f)
    }
}

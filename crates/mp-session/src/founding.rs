//! The ways into a session: founding one, entering a parent's, playing several members on the heap.

use std::process::Command;
use std::sync::Arc;

use mp_sys::{ForkGuard, LivenessFile, MemoryObject};
use mp_wire::{Error, Result};

use crate::current;
use crate::ground::Ground;
use crate::ids::MemberId;
use crate::layout::Layout;
use crate::member::{self, LIVE};
use crate::primitive::AtomicU64;
use crate::region::Region;
use crate::session::{Inner, SESSION_VAR, SIZE_VAR, Session, Ticket, fork_guard};
use crate::slots::SlotState;

/// A session's memory, mapped but not yet entered: what a fork server holds, so that its children need not map it.
#[derive(Debug)]
pub struct Prepared {
    ground: Ground,
    memory: MemoryObject,
    liveness: LivenessFile,
    fork_guard: ForkGuard,
}

impl Prepared {
    /// Maps the session whose descriptors the ticket names.
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn open(ticket: Ticket) -> Result<Prepared> {
        if mp_sys::gained_rights() {
            // The environment is our starter's, who may be anybody.
            return Err(Error::Refused {
                what: "a session from the environment".into(),
                why: "this program has rights that its starter may not have (set-user-id or the like)".into(),
            });
        }
        // SAFETY: the ticket came from our parent, which arranged for these descriptors to be inherited for us alone;
        // they are checked before use: a wrong number fails to map, or is not a session.
        let memory = unsafe { MemoryObject::from_inherited(ticket.memory) }
            .map_err(|e| Error::os("take over the session's memory", e))?;
        let size = memory.size().map_err(|e| Error::os("size of the session's memory", e))?;
        let mapping = memory.map(size as usize).map_err(|e| Error::os("map the session", e))?;
        let ground = Ground::enter(Region::mapped(mapping)?)?;
        // SAFETY: as above.
        let liveness = unsafe { LivenessFile::from_inherited(ticket.liveness) }
            .map_err(|e| Error::os("take over the liveness file", e))?;
        crate::thread::prepare();
        Ok(Prepared { ground, memory, liveness, fork_guard: fork_guard()? })
    }

    /// Takes the reserved place and makes this the process's session. `start_time` is this process's, if it is known.
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn enter(self, member: MemberId, start_time: Option<u64>) -> Result<Session> {
        // It may have been made by a process of which this one is a copy.
        self.fork_guard.renew();
        Inner::take_place(&self.ground, member, start_time)?;
        let id = self.ground.header().session_id();
        let (memory, liveness) = (Some(self.memory), Some(self.liveness));
        let session = Session::assemble(self.ground, member, id, memory, liveness, Some(self.fork_guard))?;
        current::set(session)
    }

    /// Enters the ticket's session in a copy of one of its members (`fork`), as a member of its own. Handles that the copy has of before
    /// stay its parent's: their calls are [`Error::ForeignFork`], their drops do nothing.
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn enter_copy(ticket: Ticket) -> Result<Session> {
        crate::cancel::leave_all_scopes();
        crate::thread::own_nothing();
        Prepared::open(ticket)?.enter(ticket.member, None)
    }

    /// The identity of the program that founded the session.
    pub fn image_id(&self) -> [u8; 16] {
        self.ground.header().image_id()
    }

    /// One of the words of a place for the layer that starts processes; `None` when the place is another's by now.
    pub fn user_word(&self, member: MemberId, i: usize) -> Option<&AtomicU64> {
        let slot =
            (member.index < self.ground.layout.member_count).then(|| self.ground.member(member.index))?;
        let same = SlotState::load(&slot.state).generation == member.generation;
        slot.user.get(i).filter(|_| same)
    }

    /// Maps a session whose descriptors came through a door.
    pub(crate) fn from_door(memory: MemoryObject, size: u64, liveness: LivenessFile) -> Result<Prepared> {
        let mapping = memory.map(size as usize).map_err(|e| map_error(size, e))?;
        let ground = Ground::enter(Region::mapped(mapping)?)?;
        crate::thread::prepare();
        Ok(Prepared { ground, memory, liveness, fork_guard: fork_guard()? })
    }

    pub(crate) fn session_id(&self) -> u128 {
        self.ground.header().session_id()
    }

    /// Takes a place that a door has reserved: from then on this process is nobody's child in the session.
    pub(crate) fn enter_from_outside(self, member: MemberId) -> Result<Session> {
        Inner::have_no_parent(&self.ground, member)?;
        self.enter(member, None)
    }

    /// The descriptors, to be kept open.
    pub fn descriptors(&self) -> Vec<u64> {
        let (memory, liveness) = (self.memory.as_inherited(), self.liveness.as_inherited());
        Ticket { memory, liveness, member: MemberId { index: 0, generation: 0 } }.descriptors()
    }
}

/// Founder of members that live in one process: see [`Session::on_heap`].
#[doc(hidden)]
#[derive(Debug)]
pub struct HeapSession {
    pub(crate) region: Arc<Ground>,
}

pub(crate) fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The largest region that the limits allow: 64 GiB of addresses, of which nothing is touched yet, down to 1 GiB.
pub(crate) fn make_region() -> Result<(MemoryObject, Region)> {
    let wanted = from_env(SIZE_VAR).map(|mib| (mib << 20).max(Layout::MIN_SIZE));
    let largest = if mp_sys::SPARSE_IS_FREE { 64 } else { 4 };
    let ladder = (0..7).map(|step| (largest << 30) >> step).filter(|size| *size >= 1 << 30);
    let mut last = None;
    for size in wanted.into_iter().chain(ladder.filter(|_| wanted.is_none())) {
        let room = mp_sys::address_space_limit().is_none_or(|l| size < l)
            && mp_sys::file_size_limit().is_none_or(|l| size <= l);
        if !room {
            last = Some(Error::LimitReached {
                limit: "address space or file size of this process (RLIMIT_AS, RLIMIT_FSIZE)".into(),
                detail: format!(
                    "a session of {} MiB does not fit; {SIZE_VAR} asks for a smaller one",
                    size >> 20
                ),
            });
            continue;
        }
        let made = MemoryObject::create(size).and_then(|m| Ok((m.map(size as usize)?, m)));
        match made {
            Ok((mapping, memory)) => return Ok((memory, Region::mapped(mapping)?)),
            Err(e) => last = Some(map_error(size, e)),
        }
    }
    Err(last.unwrap_or_else(|| Error::Other("no size for the session".into())))
}

/// An error that names the limit where it is one.
fn map_error(size: u64, e: std::io::Error) -> Error {
    let mib = size >> 20;
    let limit = match e.kind() {
        std::io::ErrorKind::OutOfMemory => "address space of this process (RLIMIT_AS), or memory",
        // Of a program that locks all its memory.
        std::io::ErrorKind::WouldBlock => "locked memory of this process (RLIMIT_MEMLOCK with mlockall)",
        _ if mp_sys::is_out_of_descriptors(&e) => "open descriptors of this process (RLIMIT_NOFILE)",
        _ => return Error::os(format!("session memory of {mib} MiB"), e),
    };
    let detail = format!("a session of {mib} MiB does not fit; {SIZE_VAR} asks for a smaller one: {e}");
    Error::LimitReached { limit: limit.into(), detail }
}

/// Prepares a command so that the process it starts can [`Session::attach`]. Keep the returned place until the process
/// runs, then hand it the process with [`Place::started`](crate::Place::started).
///
/// # Errors
/// [`Error::LimitReached`] when the session has no place left.
pub fn inherit(command: &mut Command, name: &str) -> Result<crate::Place> {
    let session = Session::current()?;
    let place = session.reserve(name)?;
    let ticket = place.ticket()?;
    command.env(SESSION_VAR, ticket.to_text());
    mp_sys::inherit_descriptors(command, &ticket.descriptors());
    Ok(place)
}

impl HeapSession {
    /// A session in memory of the caller's, all zero, in which this process plays the members: so that somebody else can look
    /// at the memory while it does.
    ///
    /// # Safety
    /// `base` points at `len` readable and writable bytes, aligned to 4096, that stay so for as long as the session and its
    /// members live.
    ///
    /// # Errors
    /// [`Error::Layout`] when the memory is too small.
    #[doc(hidden)]
    pub unsafe fn over(base: std::ptr::NonNull<u8>, len: u64) -> Result<HeapSession> {
        if len < Layout::MIN_SIZE {
            return Err(Error::Layout { detail: format!("{len} bytes are too few for a session") });
        }
        // SAFETY: the caller's promise is the same.
        let region = unsafe { Region::lent(base, len) };
        Ok(HeapSession { region: Arc::new(Ground::found(region, 1, [0; 16], u64::MAX)?) })
    }

    /// The same session once more, to be moved elsewhere.
    #[doc(hidden)]
    #[must_use]
    pub fn alias(&self) -> HeapSession {
        HeapSession { region: self.region.clone() }
    }

    /// Takes a reserved place, as the child does for which it was reserved.
    ///
    /// # Errors
    /// As [`Prepared::enter`].
    #[doc(hidden)]
    pub fn enter(&self, member: MemberId) -> Result<Session> {
        let ground = Ground { region: self.region.region.alias(), layout: self.region.layout };
        Inner::take_place(&ground, member, None)?;
        Session::assemble(ground, member, 1, None, None, None)
    }

    /// What in the session's memory contradicts its rules, a line each, as long as nobody is in the middle of anything: see
    /// `verify.rs`.
    #[doc(hidden)]
    pub fn verify(&self) -> Vec<String> {
        crate::verify::verify(&self.region)
    }

    /// Another member of the same session, played by this process.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when it has no place left.
    pub fn member(&self, name: &str) -> Result<Session> {
        let layout = self.region.layout;
        let ground = Ground { region: self.region.region.alias(), layout };
        let place = member::claim(&ground, LIVE, None, name, |_| true)?;
        Session::assemble(ground, place, 1, None, None, None)
    }
}

//! Places for children: reserving, filling, watching, giving up.

use crate::primitive::{AtomicU64, Ordering::*, fence};
use std::sync::Arc;
use std::time::Instant;

use mp_wire::{Departure, Error, Ident, Result};
use parking_lot::Mutex;

use crate::cell::{Cell, Status};
use crate::children::StartedProcess;
use crate::ids::{MemberId, ThreadId};
use crate::member::{self, LIVE, RESERVED, SWEEPING, end};
use crate::message::Message;
use crate::object::{Object, Taking};
use crate::session::{Session, Ticket};
use crate::slots::{MemberSlot, SlotState};
use crate::sweep;

/// A place in the session for a child process, seen from its parent. Dropping it gives the place up once the child is
/// gone; a child that lives keeps it.
#[derive(Debug)]
pub struct Place {
    session: Session,
    id: MemberId,
    process: Mutex<Option<Arc<StartedProcess>>>,
}

impl Session {
    /// Reserves a place for a child.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session is full of processes.
    pub fn reserve(&self, name: &str) -> Result<Place> {
        let me = self.me()?;
        let ground = &self.0.ground;
        let vacated = |index| {
            let held = self.0.liveness.as_ref().map(|l| l.held_by_other(index));
            !matches!(held, Some(Ok(Some(true))))
        };
        let claim = || member::claim(ground, RESERVED, Some(self.0.member), name, vacated);
        // Places of processes that died unnoticed are places.
        let claimed = claim().or_else(|full| if self.0.notice_deaths(&me) { claim() } else { Err(full) });
        Ok(Place { session: self.clone(), id: claimed?, process: Mutex::new(None) })
    }

    fn own_slot(&self) -> &MemberSlot {
        self.0.ground.member(self.0.member.index)
    }

    /// What the parent sent along for this process, once.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn take_arguments(&self) -> Result<Option<Message>> {
        take(self, &self.own_slot().arguments)
    }

    /// Leaves this process's result for its parent, and wakes it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it has left one already.
    pub fn leave_result(&self, message: &Message) -> Result<()> {
        let slot = self.own_slot();
        put(self, &slot.result, message)?;
        self.finish();
        Ok(())
    }

    /// Waits until the parent has sent arguments, for a process that was started before there were any. `false`: the deadline
    /// came first, or the parent is gone.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn wait_for_arguments(&self, deadline: Option<Instant>) -> Result<bool> {
        let slot = self.own_slot();
        let owner = || self.parent_beacon();
        let come = self.wait(&slot.waiters, deadline, &owner, || {
            if slot.arguments.state().status == Status::Full {
                return Ok(Some(true));
            }
            Ok(self.parent().is_none_or(|(_, lives)| !lives).then_some(false))
        })?;
        Ok(come == Some(true))
    }

    /// Says that nobody will ask how this process ended: whoever sweeps it gives its place away.
    pub fn detach(&self) {
        self.own_slot().end.fetch_or(end::DETACHED, SeqCst);
    }

    /// Says that the result is there, for one that was left in the words of the place, and wakes the parent.
    pub fn finish(&self) {
        let slot = self.own_slot();
        slot.end.fetch_or(end::FINISHED, AcqRel);
        self.wake_all(&slot.waiters);
    }

    /// The parent's id and whether it lives; `None` for the process that founded the session.
    pub fn parent(&self) -> Option<(Ident, bool)> {
        let bits = self.own_slot().parent.load(Relaxed);
        if bits == crate::slots::NO_PARENT {
            return None;
        }
        let id = MemberId::from_bits(bits);
        let slot = self.0.ground.member(id.index.min(self.0.ground.layout.member_count - 1));
        let same = SlotState::load(&slot.state).generation == id.generation;
        if !same {
            return Some((Ident { pid: 0, name: String::new() }, false));
        }
        Some((slot.ident(), self.0.is_live(id.index) && !self.0.is_dead(id.index)))
    }

    /// Waits until this process's parent is gone. `false`: the deadline came first.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn wait_for_parent(&self, deadline: Option<Instant>) -> Result<bool> {
        let owner = || self.parent_beacon();
        let done = self.wait(&self.own_slot().waiters, deadline, &owner, || {
            Ok(self.parent().is_none_or(|(_, lives)| !lives).then_some(()))
        })?;
        Ok(done.is_some())
    }

    fn parent_beacon(&self) -> ThreadId {
        let id = MemberId::from_bits(self.own_slot().parent.load(Relaxed));
        self.0.slot_of(id).map_or(ThreadId::NONE, |slot| beacon_thread(self, slot))
    }

    /// This process's name in the session.
    pub fn name(&self) -> String {
        self.own_slot().name()
    }

    /// Renames this process.
    pub fn set_name(&self, name: &str) {
        self.own_slot().set_name(name);
    }

    /// Six words of this process's slot that its parent can read: for the layer that starts processes.
    pub fn user_word(&self, i: usize) -> Option<&AtomicU64> {
        self.own_slot().user.get(i)
    }
}

fn beacon_thread(session: &Session, slot: &MemberSlot) -> ThreadId {
    match slot.beacon.load(Acquire).checked_sub(1) {
        Some(t) if t < session.0.ground.layout.thread_count => {
            let state = SlotState::load(&session.0.ground.thread(t).state);
            ThreadId::new(t, state.generation)
        }
        _ => ThreadId::NONE,
    }
}

impl Place {
    /// The way in, to be handed to the child.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a session on the heap.
    pub fn ticket(&self) -> Result<Ticket> {
        self.session.ticket(self.id)
    }

    /// Which place it is.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The session it is in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn slot(&self) -> &MemberSlot {
        self.session.0.ground.member(self.id.index)
    }

    fn state(&self) -> Option<SlotState> {
        let state = SlotState::load(&self.slot().state);
        (state.generation == self.id.generation).then_some(state)
    }

    /// Sends the child its arguments.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn put_arguments(&self, message: &Message) -> Result<()> {
        put(&self.session, &self.slot().arguments, message)
    }

    /// Wakes a child that waits for the arguments which were just put there.
    pub fn call(&self) {
        fence(SeqCst);
        self.session.wake_all(&self.slot().waiters);
    }

    /// Hands over the process that was started for this place: it is reaped through it.
    pub fn started(&self, process: Arc<StartedProcess>) {
        self.started_at(process, None);
    }

    /// The same for a process whose start time may be known already; else the system is asked.
    pub fn started_at(&self, process: Arc<StartedProcess>, start_time: Option<u64>) {
        let slot = self.slot();
        let pid = process.pid();
        if slot.pid.load(Acquire) == 0 {
            // The child writes the same when it arrives; until then its death must be noticed as well.
            let start_time = start_time.unwrap_or_else(|| mp_sys::start_time(pid).unwrap_or(0));
            slot.start_time.store(start_time, Relaxed);
            let _ = slot.pid.compare_exchange(0, pid, AcqRel, Relaxed);
        }
        slot.end.fetch_or(end::STARTED, SeqCst);
        self.session.0.announce(self.id.index);
        self.session.0.children.add(self.id.index, process.clone());
        *self.process.lock() = Some(process);
    }

    /// Says which process is going to take the place, which is no child of ours: its death is noticed from now on, and nobody will
    /// ask about it.
    pub(crate) fn expect_stranger(&self, pid: u32) {
        let slot = self.slot();
        slot.start_time.store(mp_sys::start_time(pid).unwrap_or(0), Relaxed);
        slot.pid.store(pid, Release);
        slot.end.fetch_or(end::STARTED | end::DETACHED, SeqCst);
        self.session.0.announce(self.id.index);
    }

    /// The process in this place.
    pub fn process(&self) -> Option<Arc<StartedProcess>> {
        self.process.lock().clone()
    }

    /// The child's pid and name.
    pub fn ident(&self) -> Ident {
        self.slot().ident()
    }

    /// Gives the child another name.
    pub fn set_name(&self, name: &str) {
        self.slot().set_name(name);
    }

    /// Six words of the child's slot for the layer that starts processes.
    pub fn user_word(&self, i: usize) -> Option<&AtomicU64> {
        self.slot().user.get(i)
    }

    /// Whether the child's death was noticed and cleared up after. The system may take a moment longer to finish with it.
    pub fn is_swept(&self) -> bool {
        self.state().is_none_or(|s| s.status == crate::member::GONE)
    }

    /// The wait word at which the child says that it has left its result. Its end needs no wake-up ([`crate::Waitable`]).
    pub fn waiters(&self) -> &AtomicU64 {
        &self.slot().waiters
    }

    /// Whether the child has entered the session.
    pub fn has_arrived(&self) -> bool {
        self.state().is_none_or(|s| s.status != RESERVED)
    }

    /// Waits until the child has left its result, or is gone. `false`: the deadline came first.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn wait_finished(&self, deadline: Option<Instant>) -> Result<bool> {
        let slot = self.slot();
        let owner = || beacon_thread(&self.session, slot);
        let process = self.process();
        let done = self.session.wait(&slot.waiters, deadline, &owner, || {
            let finished = slot.end.load(Acquire) & end::FINISHED != 0
                || self.state().is_none_or(|s| !matches!(s.status, RESERVED | LIVE | SWEEPING));
            // A child that never arrived has no beacon: the process table knows.
            let stillborn = || !self.has_arrived() && process.as_ref().is_some_and(|p| p.ended().is_some());
            Ok((finished || stillborn()).then_some(()))
        })?;
        Ok(done.is_some())
    }

    /// Waits in the session until the child is dead beyond doubt, or almost: the system may take a moment longer. For those who
    /// work under a [`CancelToken`](crate::CancelToken), which a wait for the process itself would not see. `false`: the deadline
    /// came first.
    ///
    /// # Errors
    /// As [`Session::thread_id`], and [`Error::Cancelled`].
    pub fn wait_gone(&self, deadline: Option<Instant>) -> Result<bool> {
        let slot = self.slot();
        let owner = || beacon_thread(&self.session, slot);
        let process = self.process();
        let done = self.session.wait(&slot.waiters, deadline, &owner, || {
            let gone = self.is_swept() || process.as_ref().is_none_or(|p| p.ended().is_some());
            Ok(gone.then_some(()))
        })?;
        Ok(done.is_some())
    }

    /// The result that the child has left, for good measure as often as it is asked for.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn take_result(&self) -> Result<Option<Message>> {
        take(&self.session, &self.slot().result)
    }

    /// Clears up after the child, whose process has ended, and gives the place back.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn settle(&self, how: &Departure) -> Result<()> {
        let me = self.session.me()?;
        let Some(state) = self.state() else {
            // It was nobody's any more, and so a sweeper gave it away.
            if let Some(process) = self.process() {
                self.session.0.children.forget(self.id.index, &process);
            }
            return Ok(());
        };
        let slot = self.slot();
        end::note(&slot.end, how);
        match state.status {
            RESERVED => {
                sweep::give_up_place(&self.session.0, &me, self.id);
            }
            LIVE | SWEEPING => {
                // Reaped by us: there is no better evidence. Its beacon went dark before that.
                self.session.0.sweep_reaped(&me, self.id, how);
            }
            _ => {}
        }
        self.session.0.children.remove(self.id.index);
        Ok(())
    }

    /// Gives the place back to the session, result and all, if the child is gone.
    fn release(&self) {
        let Ok(me) = self.session.me() else { return };
        if self.state().is_some() {
            // Said first: a sweeper that comes after it frees the place, one that came before it left `GONE` for us.
            self.slot().end.fetch_or(end::DETACHED, SeqCst);
        }
        let _guard = self.session.0.sweeping.lock();
        if let Some(state) = self.state() {
            self.session.0.children.remove(self.id.index);
            self.session.0.release_gone(&me, self.id.index, state);
        }
    }

    /// Gives up a place whose process could not be started. `false`: a process has taken it after all.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn give_up(&self) -> Result<bool> {
        let me = self.session.me()?;
        Ok(sweep::give_up_place(&self.session.0, &me, self.id))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.release();
    }
}

fn put(session: &Session, cell: &Cell, message: &Message) -> Result<()> {
    loop {
        let seen = cell.state();
        match seen.status {
            Status::Free => {
                if Object::put_into(session, cell, seen, message.as_object())? {
                    return Ok(());
                }
            }
            Status::Dead => {
                cell.bury(seen);
            }
            _ => {
                return Err(Error::InvalidArgument {
                    detail: "there is a message in this place already".into(),
                });
            }
        }
    }
}

fn take(session: &Session, cell: &Cell) -> Result<Option<Message>> {
    loop {
        let seen = cell.state();
        if seen.status != Status::Full {
            return Ok(None);
        }
        match Object::claim_for_take(session, cell, seen)? {
            Some(Taking::Message(object)) => return Message::from_object(object).map(Some),
            Some(_) => return Ok(None),
            None => {}
        }
    }
}

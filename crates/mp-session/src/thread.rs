//! Threads of the session: a slot for each thread that waits, owns or changes anything.
//!
//! A thread takes a slot when it first needs one and gives it back when it ends. The slot's *beacon* hangs on the
//! kernel's robust list of the thread, so that the kernel itself marks it if the thread dies without giving it back,
//! and wakes a sleeper who watches it.
//!
//! `state` is `FREE -> USED(member) -> FREE`, the generation rising by one each time the slot is freed: by the thread
//! itself, or by the sweeper of its process. A lock or cell that names `(slot, old generation)` names somebody gone.

use crate::primitive::{Ordering::*, fence, unlinked_beacon};
use std::cell::{Cell as StdCell, RefCell};
use std::sync::Arc;

use mp_wire::{Error, Result};

use crate::ground::Ground;
use crate::ids::ThreadId;
use crate::session::Inner;
use crate::slots::{SlotState, ThreadSlot};

pub(crate) const FREE: u16 = 0;
pub(crate) const USED: u16 = 1;

/// The calling thread's place in a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Me<'s> {
    pub(crate) inner: &'s Inner,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl<'s> Me<'s> {
    #[inline]
    pub(crate) fn slot(&self) -> &'s ThreadSlot {
        self.inner.ground.thread(self.index)
    }

    #[inline]
    pub(crate) fn id(&self) -> ThreadId {
        ThreadId::new(self.index, self.generation)
    }
}

/// What the calling thread is to its sessions. In one value, whose end is the thread's leaving: where the system destroys
/// thread-locals one by one in any order, a second one could be back at its first value by then.
struct Part {
    /// How many things this thread owns that must not count as left behind when it ends.
    owning: StdCell<i32>,
    registrations: RefCell<Vec<Registration>>,
}

impl Drop for Part {
    fn drop(&mut self) {
        let owning = self.owning.get() > 0;
        self.registrations.get_mut().drain(..).for_each(|r| r.end(owning));
    }
}

/// A slot taken by this thread in one session.
struct Registration {
    inner: Arc<Inner>,
    index: u32,
    generation: u32,
    linked: bool,
}

thread_local! {
    /// The session used last by this thread: `(instance, slot index, generation)`.
    static LAST: StdCell<(u64, u32, u32)> = const { StdCell::new((0, 0, 0)) };
    static PART: Part = const { Part { owning: StdCell::new(0), registrations: RefCell::new(Vec::new()) } };
}

/// Does ahead what registering does once in each thread, in a process whose forks are to find it done.
pub(crate) fn prepare() {
    // A thread that is ending registers no more.
    let _ = PART.try_with(|_| ());
}

/// Counts what the calling thread owns.
#[inline]
pub(crate) fn own(change: i32) {
    // A thread that has left already has its slots taken care of.
    let _ = PART.try_with(|part| part.owning.set(part.owning.get() + change));
}

/// In a copy of a process: what its thread owned is the original's.
pub(crate) fn own_nothing() {
    let _ = PART.try_with(|part| part.owning.set(0));
}

/// The calling thread in `inner`, registered if this is its first time.
#[inline]
pub(crate) fn me(inner: &Arc<Inner>) -> Result<Me<'_>> {
    if !inner.is_ours() {
        return Err(Error::ForeignFork);
    }
    let (instance, index, generation) = LAST.get();
    if instance == inner.instance {
        return Ok(Me { inner, index, generation });
    }
    me_slow(inner)
}

#[cold]
fn me_slow(inner: &Arc<Inner>) -> Result<Me<'_>> {
    let ended = || Error::Other("this thread is ending and can no longer use the session".into());
    let found = PART
        .try_with(|part| {
            let mut all = part.registrations.try_borrow_mut().ok()?;
            if let Some(r) = all.iter().find(|r| r.inner.instance == inner.instance) {
                return Some(Ok((r.index, r.generation)));
            }
            Some(register(inner).map(|r| {
                let found = (r.index, r.generation);
                all.push(r);
                found
            }))
        })
        .map_err(|_| ended())?
        .ok_or_else(ended)?;
    let (index, generation) = found?;
    LAST.set((inner.instance, index, generation));
    Ok(Me { inner, index, generation })
}

fn register(inner: &Arc<Inner>) -> Result<Registration> {
    let ground = &inner.ground;
    let member = inner.member;
    let count = ground.layout.thread_count;
    let used = ground.threads_used();
    for index in (0..used).chain(used..count) {
        let slot = ground.thread(index);
        let seen = SlotState::load(&slot.state);
        if seen.status != FREE {
            continue;
        }
        let taken = SlotState { partner: member.index as u16 + 1, status: USED, ..seen };
        // Before the slot is taken, so that no death leaves one that no scan comes to.
        ground.header().threads_used.fetch_max(index + 1, AcqRel);
        if !seen.swap(&slot.state, taken) {
            continue;
        }
        slot.bell.store(0, Relaxed);
        slot.looking.store(0, Relaxed);
        slot.waits_for.store(0, Relaxed);
        slot.carries.store(0, Relaxed);
        slot.set_name();
        slot.cancellable.store(0, Relaxed);
        slot.wait.store(slot.wait.load(Relaxed) & !0xFF, Relaxed);
        // SAFETY: the slot is ours until we free it, the region stays mapped as long as the registration holds `inner`,
        // and the registration unlinks on this very thread.
        let linked = ground.region.is_shared() && unsafe { mp_sys::beacon_link(&slot.beacon) };
        if !linked {
            slot.beacon.word.store(unlinked_beacon(index), Release);
        }
        if linked || unlinked_beacon(index) != 0 {
            // The first thread with a beacon speaks for the process.
            let beacon = &ground.member(member.index).beacon;
            let _ = beacon.compare_exchange(0, index + 1, AcqRel, Relaxed);
        }
        return Ok(Registration { inner: inner.clone(), index, generation: seen.generation, linked });
    }
    Err(ground.full("threads of the session", format!("{count} threads take part already")))
}

impl Registration {
    /// Gives the slot back: the thread ends.
    fn end(self, owning: bool) {
        // The main thread's end is the process's: what still runs after it (exit handlers) belongs to this member, and
        // the beacon is to say when that is over.
        if self.linked && mp_sys::current_thread_id() == u64::from(mp_sys::current_pid()) {
            return;
        }
        LAST.set((0, 0, 0));
        if !self.inner.is_ours() {
            return; // a foreign fork's copy: the slot is its parent's
        }
        let ground = &self.inner.ground;
        let slot = ground.thread(self.index);
        if self.linked {
            hand_over(ground, self.inner.member.index, self.index);
            // SAFETY: linked by this thread in `register`, and not unlinked since.
            unsafe { mp_sys::beacon_unlink(&slot.beacon) };
            // *heir-leaves-too*: a thread that left at the same time may have made us its heir before our beacon was
            // out; it looks at the beacon after that, and we look here after the beacon: one of us sees the other.
            fence(SeqCst);
            hand_over(ground, self.inner.member.index, self.index);
        }
        if owning {
            // A guard was leaked, and what it guards may be in use in another thread: the name stays taken, so what it
            // owns stays owned until the process is swept.
            return;
        }
        free(ground, self.index, self.generation);
    }
}

/// If this thread speaks for the process, another does from now on, or none.
fn hand_over(ground: &Ground, member: u32, index: u32) {
    let beacon = &ground.member(member).beacon;
    let mut speaker = index + 1;
    while beacon.load(SeqCst) == speaker {
        let heir = heir(ground, member, speaker - 1);
        if beacon.compare_exchange(speaker, heir, SeqCst, SeqCst).is_err() || heir == 0 {
            return;
        }
        fence(SeqCst);
        if ground.thread(heir - 1).beacon.word.load(SeqCst) != 0 {
            return;
        }
        speaker = heir; // gone meanwhile
    }
}

/// Another thread of the process whose beacon can speak for it (slot + 1), or 0.
fn heir(ground: &Ground, member: u32, but: u32) -> u32 {
    (0..ground.threads_used())
        .find(|i| {
            let word = ground.thread(*i).beacon.word.load(Acquire);
            *i != but && member_of(ground, *i) == Some(member) && word != 0
        })
        .map_or(0, |i| i + 1)
}

/// Frees the slot if it is still of that generation.
pub(crate) fn free(ground: &Ground, index: u32, generation: u32) {
    let slot = ground.thread(index);
    let seen = SlotState::load(&slot.state);
    if seen.generation == generation && seen.status == USED {
        let free = SlotState { generation: generation.wrapping_add(1), partner: 0, status: FREE };
        seen.swap(&slot.state, free);
    }
}

/// The member that the slot's thread belongs to, if it is in use.
pub(crate) fn member_of(ground: &Ground, index: u32) -> Option<u32> {
    let state = SlotState::load(&ground.thread(index).state);
    (state.status == USED).then(|| u32::from(state.partner).checked_sub(1))?
}

/// Whether the thread of that name is gone: its slot has moved on, or the kernel (or a test) marked it.
pub(crate) fn is_gone(ground: &Ground, id: ThreadId) -> bool {
    let Some(index) = id.index().filter(|i| *i < ground.layout.thread_count) else {
        return true;
    };
    let slot = ground.thread(index);
    let state = SlotState::load(&slot.state);
    state.generation != id.generation()
        || state.status != USED
        || mp_sys::Beacon::is_dead(slot.beacon.word.load(Acquire))
}

/// Forgets this thread's registration without giving the slots back, as a death would: for tests that play several
/// members in one process.
pub(crate) fn abandon(inner: &Inner) {
    LAST.set((0, 0, 0));
    PART.with(|part| {
        part.registrations.borrow_mut().retain(|r| r.inner.instance != inner.instance);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use crate::session::Session;

    /// *heir-leaves-too*: threads end at once, again and again; as long as one lives its process has a beacon.
    #[test]
    fn a_living_thread_speaks_for_the_process() {
        let session = std::thread::spawn(|| Session::current().unwrap()).join().unwrap();
        let linked = |s: &Session| {
            let me = s.me().unwrap();
            me.slot().beacon.word.load(super::Acquire) != 0
        };
        if !linked(&session) {
            return; // no beacons here
        }
        let index = session.member().index;
        for _ in 0..300 {
            let together = Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        session.me().unwrap();
                        together.wait();
                    });
                }
            });
            assert!(session.0.speaker(index).is_some(), "this thread lives");
        }
    }
}

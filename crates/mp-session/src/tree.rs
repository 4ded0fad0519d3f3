//! The tree of processes, as their slots tell it: who was started by whom.

use mp_sys::{ProcessName, Signal};

use crate::ids::MemberId;
use crate::member::{LIVE, RESERVED};
use crate::place::Place;
use crate::primitive::Ordering::*;
use crate::session::Session;
use crate::slots::{MemberSlot, NO_PARENT, SlotState};

impl Session {
    /// The living processes that were started by this process, with their slots.
    fn own_children(&self) -> impl Iterator<Item = &MemberSlot> {
        let ground = &self.0.ground;
        let me = self.0.member.to_bits();
        (0..ground.members_used()).map(|m| ground.member(m)).filter(move |slot| {
            matches!(SlotState::load(&slot.state).status, RESERVED | LIVE) && slot.parent.load(Relaxed) == me
        })
    }

    /// Marks each child with these bits in one of its [user words](Session::user_word), and sends it a signal.
    ///
    /// For signal handlers: loads, read-modify-writes and plain system calls, no lock and no allocation. A child that is being started
    /// and whose pid nobody has noted yet gets the mark alone.
    pub fn signal_children(&self, signal: Signal, word: usize, bits: u64) {
        for slot in self.own_children() {
            if let Some(word) = slot.user.get(word) {
                word.fetch_or(bits, SeqCst);
            }
            match slot.pid.load(SeqCst) {
                0 => {}
                pid => mp_sys::signal_child(pid, signal),
            }
        }
    }

    /// One of the user words of the child with that pid, while it lives.
    pub fn child_user_word(&self, pid: u32, i: usize) -> Option<u64> {
        let slot = self.own_children().find(|slot| slot.pid.load(Acquire) == pid)?;
        Some(slot.user.get(i)?.load(SeqCst))
    }

    /// One of the user words of this process's parent, while that has its place.
    pub fn parent_user_word(&self, i: usize) -> Option<u64> {
        let bits = self.0.ground.member(self.0.member.index).parent.load(Relaxed);
        if bits == NO_PARENT {
            return None;
        }
        let slot = self.0.slot_of(MemberId::from_bits(bits))?;
        Some(slot.user.get(i)?.load(SeqCst))
    }
}

impl Place {
    /// The processes of the session below the one in this place that have not been cleared up after, as far as the places between
    /// are still theirs.
    pub fn descendants(&self) -> Vec<ProcessName> {
        let ground = &self.session().0.ground;
        let mut above = vec![self.id().to_bits()];
        let mut found = Vec::new();
        // Each round finds the children of those found in the one before; every slot is found once.
        let mut at = 0;
        while at < above.len() {
            let parent = above[at];
            at += 1;
            for index in 0..ground.members_used() {
                let slot = ground.member(index);
                let state = SlotState::load(&slot.state);
                let id = MemberId { index, generation: state.generation }.to_bits();
                if matches!(state.status, RESERVED | LIVE)
                    && slot.parent.load(Relaxed) == parent
                    && !above.contains(&id)
                {
                    above.push(id);
                    let pid = slot.pid.load(Acquire);
                    if pid != 0 {
                        found.push(ProcessName { pid, start_time: slot.start_time.load(Relaxed) });
                    }
                }
            }
        }
        found
    }
}

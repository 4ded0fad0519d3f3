//! The words of a barrier, bit by bit.

use mp_session::ThreadId;

/// Phases are counted on a circle.
const PHASES: u32 = (1 << 28) - 1;
/// How many ended phases the state word remembers.
const REMEMBERED: u32 = 16;
/// An arrival that is this many phases old is wiped out before its stamp could come round again.
const OLD: u16 = 1 << 14;

/// What a barrier is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Status {
    /// Not all have come.
    Filling = 0,
    /// All have come, and one of them runs the action.
    Acting = 1,
    Aborted = 2,
    TimedOut = 3,
    Died = 4,
    Panicked = 5,
}

/// The state word: `phase(28) | phases since the last reset(16) | how the last phases ended(16) | status(4)`.
///
/// A waiter that is woken late may find that many phases have passed: as long as there was no reset in between, all of them
/// were complete; with a reset, the last sixteen are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) phase: u32,
    /// How many phases ended completely since the last that did not; stays at the largest number, where it also begins.
    complete: u16,
    /// Bit i: the phase before the last i ones ended by a reset.
    history: u16,
    pub(super) status: Status,
}

/// How a phase ended, or that it has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    StillOn,
    Complete,
    /// By a reset; or more than sixteen phases ago, and there was a reset since.
    Reset,
}

impl State {
    pub(super) fn unpack(word: u64) -> State {
        let status = match word & 0xF {
            0 => Status::Filling,
            1 => Status::Acting,
            2 => Status::Aborted,
            3 => Status::TimedOut,
            4 => Status::Died,
            _ => Status::Panicked,
        };
        let complete = !((word >> 20) as u16);
        State { phase: (word >> 36) as u32, complete, history: (word >> 4) as u16, status }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.phase) << 36
            | u64::from(!self.complete) << 20
            | u64::from(self.history) << 4
            | self.status as u64
    }

    pub(super) fn is_broken(self) -> bool {
        !matches!(self.status, Status::Filling | Status::Acting)
    }

    pub(super) fn with(self, status: Status) -> State {
        State { status, ..self }
    }

    /// The next phase.
    pub(super) fn next(self, by_reset: bool) -> State {
        State {
            phase: self.phase.wrapping_add(1) & PHASES,
            complete: if by_reset { 0 } else { self.complete.saturating_add(1) },
            history: self.history << 1 | u16::from(by_reset),
            status: Status::Filling,
        }
    }

    pub(super) fn verdict(self, phase: u32) -> Verdict {
        let ago = self.phase.wrapping_sub(phase) & PHASES;
        let all_complete = self.complete == u16::MAX || ago <= u32::from(self.complete);
        match ago {
            0 => Verdict::StillOn,
            _ if all_complete => Verdict::Complete,
            1..=REMEMBERED if self.history >> (ago - 1) & 1 == 0 => Verdict::Complete,
            _ => Verdict::Reset,
        }
    }
}

/// An arrival: `stamp: low bits of the phase(16) | ThreadId(48)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrival(pub(super) u64);

impl Arrival {
    pub(super) fn new(phase: u32, thread: ThreadId) -> Arrival {
        Arrival(u64::from(phase as u16) << ThreadId::BITS | thread.to_bits())
    }

    pub(super) fn thread(self) -> ThreadId {
        ThreadId::from_bits(self.0)
    }

    fn age(self, phase: u32) -> u16 {
        (phase as u16).wrapping_sub((self.0 >> ThreadId::BITS) as u16)
    }

    /// Whether it is an arrival in that phase.
    pub(super) fn is_in(self, phase: u32) -> bool {
        !self.thread().is_none() && self.age(phase) == 0
    }

    /// Whether somebody who arrives in that phase may have the place: it is empty, or from before.
    pub(super) fn is_free_in(self, phase: u32) -> bool {
        self.thread().is_none() || (1..1 << 15).contains(&self.age(phase))
    }

    /// Whether it is so old that it has to go before that phase begins.
    pub(super) fn is_old_in(self, phase: u32) -> bool {
        !self.thread().is_none() && self.age(phase) >= OLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_packing_and_remembers() {
        let first = State { phase: PHASES, status: Status::Acting, ..State::unpack(0) };
        assert_eq!(first.complete, u16::MAX);
        assert_eq!(State::unpack(first.pack()), first);
        assert_eq!(first.verdict(PHASES), Verdict::StillOn);
        let next = first.next(false);
        assert_eq!((next.phase, next.verdict(PHASES)), (0, Verdict::Complete));
        let late = (0..1000).fold(next, |s, _| s.next(false));
        assert_eq!(late.verdict(PHASES), Verdict::Complete, "there was no reset");
        let next = next.next(true);
        assert_eq!(State::unpack(next.pack()), next);
        assert_eq!((next.verdict(PHASES), next.verdict(0)), (Verdict::Complete, Verdict::Reset));
        let far = (0..20).fold(next, |s, _| s.next(false));
        assert_eq!(
            (far.verdict(0), far.verdict(1), far.verdict(6)),
            (Verdict::Reset, Verdict::Complete, Verdict::Complete)
        );
    }

    #[test]
    fn arrivals_know_their_phase() {
        let thread = ThreadId::from_bits((7 << 16) + 1);
        let a = Arrival::new(65_535, thread);
        assert!(a.is_in(65_535) && !a.is_in(65_536) && a.is_free_in(65_536) && a.thread() == thread);
        assert!(!a.is_free_in(65_534), "of a later phase: not ours to overwrite");
        assert!(!a.is_old_in(65_536) && a.is_old_in(65_535 + (1 << 14)));
        assert!(Arrival(0).is_free_in(0) && !Arrival(0).is_in(0));
    }
}

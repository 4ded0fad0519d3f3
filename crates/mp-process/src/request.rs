//! What a fork server is asked, and what it answers. The protocol is told in [`crate::fork_server`].

use std::sync::atomic::{AtomicU32, AtomicU64};

use mp_session::MemberId;

/// Bytes of a request.
pub(crate) const REQUEST: usize = 9;
/// The error code of a server whose [`preload`] failed: a message with the outcome follows.
pub(crate) const PRELOAD_FAILED: i32 = -2;
/// The longest outcome that is told; what is longer is cut off, and no outcome.
pub(crate) const OUTCOME: usize = 16 * 1024;
/// In a request: the child's standard streams come along.
pub(crate) const OWN_STREAMS: u8 = 1;
/// In a request: the child is to wait for its arguments.
pub(crate) const SPARE: u8 = 2;
/// Bytes of an answer.
pub(crate) const ANSWER: usize = 24;

/// Which of a place's words for us holds the pid.
pub(crate) const PID_WORD: usize = 0;

/// The half of a place's word into which the kernel writes the pid.
pub(crate) fn pid_note(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: the address is that of a live word of twice the size and aligned for it. Nobody looks at the whole word between
    // the claim of the place, which wrote zero, and its end.
    unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) pid: u32,
    /// The system's error, or 0.
    pub(crate) code: i32,
    pub(crate) member: MemberId,
    /// When the child was started; 0 where that is not known.
    pub(crate) start_time: u64,
}

impl Answer {
    pub(crate) fn start_time(&self) -> Option<u64> {
        Some(self.start_time).filter(|time| *time != 0)
    }

    pub(crate) fn to_bytes(self) -> [u8; ANSWER] {
        let mut bytes = [0; ANSWER];
        bytes[..4].copy_from_slice(&self.pid.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.code.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.member.to_bits().to_le_bytes());
        bytes[16..].copy_from_slice(&self.start_time.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; ANSWER]) -> Answer {
        let word = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let first = word(0);
        Answer {
            pid: first as u32,
            code: (first >> 32) as u32 as i32,
            member: MemberId::from_bits(word(8)),
            start_time: word(16),
        }
    }
}

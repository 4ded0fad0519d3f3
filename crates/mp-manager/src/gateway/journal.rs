//! What was done for a client that comes back: the numbers of its calls and their results, in the session's memory.
//!
//! A client of our own protocol numbers its calls and sends those again that were not answered when a connection broke. What only reads may be
//! done again. For everything else there is the journal, an array of atomic words that a gateway's death leaves as they are:
//!
//! | word | holds |
//! |---|---|
//! | 0 | `acked`: the client has the results of all calls up to this one |
//! | 1, 2 | `head` and `tail`: the records between them are in the ring, at their positions modulo its size |
//! | 3 to 18 | *begun*: a call that is being done now, or 0 |
//! | 32 on | the ring |
//!
//! A record is the number of the call, the length of the result in bytes, and the result. One that is too large is kept beside the journal, in a
//! dict, and written there before the call is struck out of *begun*.
//!
//! # The steps of a call, and what a death after each of them leaves
//!
//! | step | a death after it |
//! |---|---|
//! | the call has come | the client sends it again, and it is done |
//! | 1. its number is in *begun* | it may not have been done: the next gateway says [`InDoubt`](mp_wire::Error::InDoubt) |
//! | 2. it is done, on the object | it was done, and the next gateway says `InDoubt` |
//! | 3. its result is in the ring, and `tail` beyond it | it was done, and the next gateway answers from the journal |
//! | 4. it is struck out of *begun* | the same |
//! | 5. the answer is sent | the same, or the client has it and acknowledges it with its next call |
//!
//! So a call is done once, or in the few instructions between 1 and 3 once or not at all, and then the client is told that nobody knows. A call
//! that waits is not begun while it waits.

use mp_session::Session;
use mp_session::primitive::Ordering::*;
use mp_session::primitive::user::AtomicU64;
use mp_shared::{Array, Frozen};
use mp_wire::{Error, Result};
use serde::{Deserialize, Serialize};

const ACKED: usize = 0;
const HEAD: usize = 1;
const TAIL: usize = 2;
const BEGUN: usize = 3;
const SLOTS: usize = 16;
const RING: usize = 32;
const SIZE: usize = 2048;
const ROOM: u64 = (SIZE - RING) as u64;
/// Words of a record beside its result.
const RECORD: u64 = 2;

/// See above. A handle; whoever writes holds the client's lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Journal(Frozen<AtomicU64>);

/// A call, and its result.
pub(crate) type Recorded = (u64, Vec<u8>);

/// A call that was begun.
#[derive(Debug)]
pub(crate) struct Begun(usize);

impl Journal {
    pub(crate) fn new(session: &Session) -> Result<Journal> {
        Ok(Journal(Array::new_in(session, SIZE)?.freeze()?))
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.0[at]
    }

    fn ring(&self, position: u64) -> &AtomicU64 {
        &self.0[RING + (position % ROOM) as usize]
    }

    /// Step 1. `None`: too many calls are being done at once.
    pub(crate) fn begin(&self, call: u64) -> Option<Begun> {
        let free = (BEGUN..BEGUN + SLOTS).find(|at| self.word(*at).load(Relaxed) == 0)?;
        self.word(free).store(call, SeqCst);
        Some(Begun(free))
    }

    /// Step 3. `false`: there is no room for it in the ring.
    #[must_use]
    pub(crate) fn record(&self, call: u64, result: &[u8]) -> bool {
        let words = RECORD + result.len().div_ceil(8) as u64;
        let tail = self.word(TAIL).load(Relaxed);
        if words > ROOM / 4 || !self.make_room(tail, words) {
            return false;
        }
        self.ring(tail).store(call, Relaxed);
        self.ring(tail + 1).store(result.len() as u64, Relaxed);
        let (whole, rest) = result.as_chunks::<8>();
        let mut at = tail + RECORD;
        for word in whole {
            self.ring(at).store(u64::from_le_bytes(*word), Relaxed);
            at += 1;
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.ring(at).store(u64::from_le_bytes(last), Relaxed);
        }
        self.word(TAIL).store(tail + words, SeqCst);
        true
    }

    /// Forgets records that the client has acknowledged, until so many words fit.
    fn make_room(&self, tail: u64, words: u64) -> bool {
        let mut head = self.word(HEAD).load(Relaxed);
        let acked = self.acked();
        while tail + words - head > ROOM {
            if head == tail || self.ring(head).load(Relaxed) > acked {
                return false;
            }
            head += RECORD + self.ring(head + 1).load(Relaxed).div_ceil(8);
            self.word(HEAD).store(head, SeqCst);
        }
        true
    }

    /// Step 4; also for what was not done after all.
    pub(crate) fn end(&self, begun: Begun) {
        self.word(begun.0).store(0, SeqCst);
    }

    /// The client has all results up to this call's.
    pub(crate) fn ack(&self, call: u64) {
        if call > self.acked() {
            self.word(ACKED).store(call, Relaxed);
        }
    }

    pub(crate) fn acked(&self) -> u64 {
        self.word(ACKED).load(Relaxed)
    }

    /// What a gateway that died left: the results that are there, and the calls that were begun and have none.
    ///
    /// # Errors
    /// [`Error::Layout`] for a journal that makes no sense.
    pub(crate) fn recover(&self) -> Result<(Vec<Recorded>, Vec<u64>)> {
        let results = self.results()?;
        let mut begun = Vec::new();
        for slot in BEGUN..BEGUN + SLOTS {
            let call = self.word(slot).swap(0, SeqCst);
            if call != 0 && !results.iter().any(|(done, _)| *done == call) {
                begun.push(call);
            }
        }
        Ok((results, begun))
    }

    /// The results that are there.
    ///
    /// # Errors
    /// As [`Journal::recover`].
    pub(crate) fn results(&self) -> Result<Vec<Recorded>> {
        let (head, tail) = (self.word(HEAD).load(SeqCst), self.word(TAIL).load(SeqCst));
        let damaged = || Error::Layout { detail: "the journal of a gateway's client".into() };
        if tail.checked_sub(head).is_none_or(|words| words > ROOM) {
            return Err(damaged());
        }
        let mut results = Vec::new();
        let mut at = head;
        while at < tail {
            let (call, len) = (self.ring(at).load(Relaxed), self.ring(at + 1).load(Relaxed));
            let words = len.div_ceil(8);
            if words > ROOM || at + RECORD + words > tail {
                return Err(damaged());
            }
            let mut bytes: Vec<u8> =
                (0..words).flat_map(|i| self.ring(at + RECORD + i).load(Relaxed).to_le_bytes()).collect();
            bytes.truncate(len as usize);
            results.push((call, bytes));
            at += RECORD + words;
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal::new(&Session::current().unwrap()).unwrap()
    }

    #[test]
    fn a_death_leaves_what_was_done_and_what_nobody_knows() {
        let journal = journal();
        // Each step in turn.
        let done = journal.begin(7).unwrap();
        assert!(journal.record(7, b"result"));
        journal.end(done);
        let recorded = journal.begin(8).unwrap();
        assert!(journal.record(8, b""));
        let begun = journal.begin(9).unwrap();
        let (results, in_doubt) = journal.recover().unwrap();
        assert_eq!(results, [(7, b"result".to_vec()), (8, Vec::new())]);
        assert_eq!(in_doubt, [9]);
        let _cut_off = (recorded, begun);
        assert_eq!(journal.recover().unwrap().1, [0_u64; 0], "what was told is not told again");
    }

    #[test]
    fn the_ring_goes_round_and_forgets_only_what_was_acknowledged() {
        let journal = journal();
        let mut refused = 0;
        for call in 1..20_000_u64 {
            let result = vec![call as u8; (call % 100) as usize];
            if !journal.record(call, &result) {
                refused += 1;
                journal.ack(call - 1);
                assert!(journal.record(call, &result));
            }
        }
        assert!(refused > 10);
        let (results, _) = journal.recover().unwrap();
        let (last, bytes) = results.last().unwrap();
        assert_eq!((*last, bytes.len()), (19_999, 99));
        assert!(!journal.record(20_000, &[0; SIZE * 8]), "too large for the ring");
    }
}

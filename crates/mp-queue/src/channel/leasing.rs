//! Leasing: what the receiving role does with the board.

use mp_session::primitive::{Ordering::*, fence};
use std::cell::Cell;

use mp_session::{Role, ThreadId};
use mp_wire::Result;

use super::{BOARD_MAKER, CALLS, Channel, Deadline, HAS_BOARD};
use crate::board::Board;
use crate::lease::Place;
use crate::parcel::Parcel;
use crate::rings::{Decision, decide};

/// Where the queue's object owns the board.
const BOARD: u64 = 0;

impl Channel {
    /// The board, if anybody has ever leased a message.
    pub(crate) fn board(&self) -> Option<&Board> {
        if self.object.words().word(CALLS).load(Acquire) == 0 {
            return None;
        }
        // An error (memory is out) comes again to who takes.
        self.made_board().ok()
    }

    pub(crate) fn made_board(&self) -> Result<&Board> {
        if let Some(board) = self.leases.board.get() {
            return Ok(board);
        }
        let board = Board::open(self.object.owned(BOARD)?, self.inline)?;
        Ok(self.leases.board.get_or_init(|| board))
    }

    /// Makes the board if there is none. `Waits`: another thread is at it.
    fn make_board(&self) -> Result<Decision> {
        let words = self.object.words();
        if words.word(CALLS).load(Acquire) != 0 {
            return Ok(Decision::Made);
        }
        let decision = decide(self.session(), words.word(BOARD_MAKER), || {
            if words.word(CALLS).load(Acquire) == 0 {
                let board = Board::make(self.session(), self.inline)?;
                // Releases what somebody who died here had made.
                self.object.own(BOARD, board.object())?;
                words.word(CALLS).store(HAS_BOARD, SeqCst);
            }
            Ok(())
        });
        self.session().wake_all(words.waiters(Role::Second));
        decision
    }

    /// Whether other living processes have messages that may come back.
    pub(super) fn is_lent(&self) -> bool {
        self.board().is_some_and(Board::is_lent)
    }

    /// How many messages came back and wait for somebody.
    pub(super) fn back(&self) -> usize {
        self.board().map_or(0, Board::back)
    }

    /// Makes a message that came back ours, if there is reason to look for one.
    pub(super) fn claim_back(&self) -> Option<u64> {
        let calls = self.object.words().word(CALLS);
        let (called, news) = (calls.load(SeqCst), self.session().news());
        if called & !HAS_BOARD == 0 && self.leases.news.load(Relaxed) == news {
            return None;
        }
        let found = self.board()?.claim_back();
        if found.is_none() {
            // Whoever calls after we looked changes the count again.
            let _ = calls.compare_exchange(called, HAS_BOARD, SeqCst, Relaxed);
            self.leases.news.store(news, Relaxed);
        }
        found
    }

    /// Leases a message, at once if there is no deadline.
    pub(crate) fn lease(&self, deadline: Option<Deadline>) -> Result<Option<Place>> {
        let place = |index| Place { channel: self.clone(), index, settled: false };
        let mut leased = self.lease_now();
        while matches!(leased, Ok(None)) && deadline.is_none() && self.session().notice_deaths()? {
            leased = self.lease_now();
        }
        if let (Ok(None), Some(deadline)) = (&leased, deadline) {
            let word = self.object.words().waiters(Role::Second);
            let maker = Cell::new(ThreadId::NONE);
            leased = self.session().wait(word, deadline.instant(), &|| maker.get(), || {
                fence(SeqCst);
                if let Decision::Waits(thread) = self.make_board()? {
                    maker.set(thread);
                    return Ok(None);
                }
                self.lease_now()
            });
        }
        let Some(index) = leased? else { return Ok(None) };
        self.make_known_taken(1);
        Ok(Some(place(index)))
    }

    fn lease_now(&self) -> Result<Option<u64>> {
        // Few steps, and not ours to wait for; who waits at all comes again.
        if let Decision::Waits(_) = self.make_board()? {
            return Ok(None);
        }
        if let Some(place) = self.claim_back() {
            return Ok(Some(place));
        }
        let board = self.made_board()?;
        let place = board.reserve()?;
        let to = (board.cell(place), board.payload(place));
        match self.take_from_rings(|ring| ring.take_into(to.0, to.1)) {
            Ok(true) => Ok(Some(place)),
            other => {
                board.leave(place);
                self.tell_joiners();
                other.map(|_| None)
            }
        }
    }

    /// Who joins looks at the board, too.
    fn tell_joiners(&self) {
        if let Some(tasks) = &self.tasks {
            self.session().wake_all(tasks.joiners());
        }
    }

    pub(crate) fn read_lease(&self, place: u64, parcel: &mut Parcel) -> Result<()> {
        self.made_board()?.read(place, parcel)
    }

    /// The message was dealt with.
    pub(crate) fn settle_lease(&self, place: u64) -> Result<()> {
        self.made_board()?.settle(place)?;
        self.tell_joiners();
        let receivers = self.object.words().waiters(Role::Second);
        // Who waits may have waited for this one to come back, in vain.
        if self.session().has_waiters(receivers)
            && (self.object.holders(Role::First) == 0 || self.is_closed())
        {
            self.session().wake_all(receivers);
        }
        Ok(())
    }

    /// The message is for somebody else.
    pub(crate) fn return_lease(&self, place: u64) -> Result<()> {
        self.session().thread_id()?;
        self.made_board()?.give_back(place);
        let words = self.object.words();
        words.word(CALLS).fetch_add(1, SeqCst);
        self.session().wake_one(words.waiters(Role::Second));
        Ok(())
    }
}

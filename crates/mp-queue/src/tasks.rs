//! What was got and is not done: the books of a [`JoinableQueue`](crate::JoinableQueue).
//!
//! # Words
//!
//! There is no count of unfinished tasks, for a death could tear it away from what it counts. A task is unfinished as long as its
//! message is in the queue, or somebody *owes* it. Who owes how much is in an object of its own: a word for each place for a
//! process of the session.
//!
//! ```text
//! generation of the process (32) | messages that it got and that are not done (32)
//! ```
//!
//! | change | by | when |
//! |---|---|---|
//! | + 1 | the process, in its own word | before it takes a message; taken back if there was none to take |
//! | - 1 | anybody, `task_done` | in the caller's own word, or else in that of another living process |
//! | to 0 | whoever joins | the process is gone and swept: its debt is added to the *lost* |
//!
//! The debt is there before the message is gone from the queue, so whoever looks into the queue first and at the debts afterwards
//! misses none that moves between the two.
//!
//! # Joining
//!
//! All is done at an instant if nothing is in the queue (nor on its way into it), nobody owes, and the queue's end has not
//! moved while we looked at both (*work-makes-work*: a task that is at work puts another one and is done; whoever looked into the
//! queue before that and at the debts after it would see neither). As long as nothing is put, debts only fall.
//!
//! # Deaths
//!
//! | who dies | what is left | what a joiner sees |
//! |---|---|---|
//! | a producer | its message, or not | the task is there, or not |
//! | a consumer before it had taken | a debt, and the message in the queue again | the debt counts until the sweep, and is void then |
//! | a consumer with the message | a debt | void after the sweep; the joiner is told that a task was lost |
//! | who said `task_done`, before it woke anybody | one debt less | the sweep rings everybody |
//! | a joiner between the two steps of voiding | a loss told, perhaps twice, and the debt | the next one voids it |

use mp_session::primitive::{AtomicU64, Ordering::*, fence};
use mp_session::{Blueprint, Kind, MemberId, Object, Role, Session, Shape};
use mp_wire::{Error, Result};

const KIND: Kind = Kind(34);
/// Which word counts the tasks that were lost with their processes.
const LOST: usize = 0;
const COUNT: u64 = 0xFFFF_FFFF;

/// The books, as this process sees them.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    object: Object,
}

impl Tasks {
    pub(crate) fn make(session: &Session) -> Result<Tasks> {
        let size = u64::from(session.member_limit()) * 8;
        let plan = Blueprint { kind: KIND, fingerprint: 0, shape: Shape::Plain, size };
        Ok(Tasks { object: Object::create_zeroed(session, plan, "", |_, _| {})? })
    }

    /// The books behind a reference that has arrived here.
    pub(crate) fn open(object: Object) -> Result<Tasks> {
        let object = object.expect(KIND, 0)?;
        let size = u64::from(object.session().member_limit()) * 8;
        match object.bytes() {
            Some((_, have)) if have >= size => Ok(Tasks { object }),
            _ => Err(Error::Layout { detail: "books of tasks without a word for each process".into() }),
        }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Where those wait who join.
    pub(crate) fn joiners(&self) -> &AtomicU64 {
        self.object.words().waiters(Role::First)
    }

    /// How many tasks were lost with their processes, as far as somebody noticed.
    pub(crate) fn lost(&self) -> u64 {
        self.object.words().word(LOST).load(SeqCst)
    }

    fn debt(&self, member: u32) -> Option<&AtomicU64> {
        let (base, size) = self.object.bytes()?;
        if u64::from(member) * 8 >= size {
            return None;
        }
        // SAFETY: in bounds by the check; aligned to 8, for blocks are aligned to 64; a word that all processes use atomically,
        // in memory that stays as long as `self.object`.
        Some(unsafe { base.cast::<AtomicU64>().add(member as usize).as_ref() })
    }

    /// This process owes one more.
    pub(crate) fn owe(&self) {
        let me = self.object.session().member();
        let Some(word) = self.debt(me.index()) else { return };
        let mut seen = word.load(SeqCst);
        loop {
            let mine = seen >> 32 == u64::from(generation(me));
            if !mine && seen & COUNT != 0 {
                // The place had another process, which is gone.
                self.void(word, seen);
                seen = word.load(SeqCst);
                continue;
            }
            let new = u64::from(generation(me)) << 32 | ((seen & COUNT) + 1);
            match word.compare_exchange_weak(seen, new, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// This process owes one less: there was nothing to take, or nothing that could be read. Somebody else may have said that
    /// it is done, which is as good.
    pub(crate) fn owe_no_more(&self) {
        let me = self.object.session().member();
        if let Some(word) = self.debt(me.index()) {
            self.pay(word, generation(me));
        }
    }

    /// One task is done.
    pub(crate) fn done(&self) -> Result<()> {
        let session = self.object.session();
        let me = session.member();
        if self.debt(me.index()).is_some_and(|word| self.pay(word, generation(me))) {
            return Ok(());
        }
        let paid = (0..session.members_used()).any(|m| {
            self.debt(m).is_some_and(|word| {
                let owner = MemberId::from_bits(word.load(SeqCst) >> 32 << 32 | u64::from(m));
                !session.is_swept(owner) && self.pay(word, generation(owner))
            })
        });
        if paid {
            return Ok(());
        }
        Err(Error::InvalidArgument {
            detail: "task_done was called more often than messages were got from the queue".into(),
        })
    }

    fn pay(&self, word: &AtomicU64, generation: u32) -> bool {
        let mut seen = word.load(SeqCst);
        while seen >> 32 == u64::from(generation) && seen & COUNT != 0 {
            match word.compare_exchange_weak(seen, seen - 1, SeqCst, SeqCst) {
                Ok(_) => {
                    if (seen - 1) & COUNT == 0 {
                        self.object.session().wake_all(self.joiners());
                    }
                    return true;
                }
                Err(now) => seen = now,
            }
        }
        false
    }

    fn void(&self, word: &AtomicU64, seen: u64) {
        self.object.words().word(LOST).fetch_add(seen & COUNT, SeqCst);
        if word.compare_exchange(seen, seen & !COUNT, SeqCst, SeqCst).is_err() {
            self.object.words().word(LOST).fetch_sub(seen & COUNT, SeqCst);
        }
    }

    /// Whether nobody owes anything, now that the dead owe no more. `None`: somebody dead did, so a message may be back in the queue.
    pub(crate) fn is_settled(&self) -> Option<bool> {
        let session = self.object.session();
        fence(SeqCst);
        let mut settled = true;
        for m in 0..session.members_used() {
            let Some(word) = self.debt(m) else { break };
            let seen = word.load(SeqCst);
            if seen & COUNT == 0 {
                continue;
            }
            if session.is_swept(MemberId::from_bits(seen >> 32 << 32 | u64::from(m))) {
                self.void(word, seen);
                return None;
            }
            settled = false;
        }
        Some(settled)
    }

    /// How many messages were got and are not done.
    pub(crate) fn owed(&self) -> usize {
        let session = self.object.session();
        let each = (0..session.members_used()).filter_map(|m| {
            let seen = self.debt(m)?.load(SeqCst);
            let owner = MemberId::from_bits(seen >> 32 << 32 | u64::from(m));
            (!session.is_swept(owner)).then_some((seen & COUNT) as usize)
        });
        each.sum()
    }
}

fn generation(member: MemberId) -> u32 {
    (member.to_bits() >> 32) as u32
}

//! Posts: who watches whom, where there are more processes than one sleep should watch.
//!
//! Up to `FEW` members, every sleeper watches all the others ([`crate::sleep`]), and who arrives rings those who sleep already, so that they
//! watch it, too. With more members that would be too much for each sleep, and too many sleepers for each arrival. Then the members are
//! cut into blocks, and each block has a *post*: a thread of some process that does nothing but watch the members of the block. Sleepers
//! watch those who stand at posts (few), who arrives rings the post of its block (one), and whoever hears of a death sweeps and rings everybody.
//!
//! A post is a word of the header:
//!
//! | word | means | becomes |
//! |---|---|---|
//! | 0, or a thread that is gone | vacant | the name of the next sleeper that looks, who has a thread of its process started for it |
//! | a thread that lives | held: by that thread, or by the one that is being started in its process | the name of the started thread |
//! | `EMPTY` | there is nobody in the block to watch | 0, by who arrives in the block |
//!
//! | who dies | when | what follows |
//! |---|---|---|
//! | a member of a block | | its post hears of it, sweeps, and rings everybody |
//! | the holder of a post | | all who sleep watch it: the first that looks again takes the post |
//! | the claimant | before its process has a thread there | the same: it is the holder |
//! | who arrives | before it has rung the post | its parent announces it as well; else the post's backstop |
//! | its parent | before that | it announces itself; else the post's backstop |
//!
//! *empty-and-arriving*: a post finds its block empty, says so, and looks once more; who arrives is seen to be there first, and looks at the
//! post after that. One of the two sees the other.
//!
//! *asleep-before*: who slept already when a post was taken does not watch its holder. So whoever takes one rings all who sleep.
//!
//! The thread ends when its block is empty. A session of few processes never has one.

use crate::primitive::{AtomicU64, Ordering::*, fence};
use crate::session::{Inner, Session};
use crate::thread::{self, Me};
use crate::wait::{ASLEEP, QUIET};

use crate::ids::ThreadId;

/// Members of which every sleeper watches all. A member is a place here, whether or not somebody is in it.
pub(crate) const FEW: u32 = 16;
/// Members of one block: with the bell as many words as the kernel takes at once, and some to spare.
pub(crate) const BLOCK: u32 = 120;
/// As many as there can be.
pub(crate) const POSTS: usize = crate::layout::MAX_MEMBERS.div_ceil(BLOCK) as usize;
/// No thread has this name.
const EMPTY: u64 = u64::MAX;

/// What a sleeper finds at a post.
pub(crate) enum Post {
    /// The slot of the thread that watches the block.
    Held(u32),
    Empty,
    /// Nobody could be found for it.
    Vacant,
}

impl Inner {
    /// Whether this is a session in which posts are held: of many processes, whose deaths the kernel tells.
    pub(crate) fn has_posts(&self, me: &Me<'_>) -> bool {
        self.ground.members_used() > FEW
            && self.ground.region.is_shared()
            && me.slot().beacon.word.load(Relaxed) != 0
    }

    /// The posts of the session.
    pub(crate) fn posts(&self) -> usize {
        (self.ground.members_used().div_ceil(BLOCK) as usize).min(POSTS)
    }

    fn post_word(&self, block: usize) -> &AtomicU64 {
        &self.ground.header().posts[block]
    }

    fn holder(&self, seen: u64) -> Option<u32> {
        let id = ThreadId::from_bits(seen);
        (seen != EMPTY && !thread::is_gone(&self.ground, id)).then(|| id.index())?
    }

    /// Who stands at this post. If nobody does, a thread of this process is sent there.
    pub(crate) fn post(&self, me: &Me<'_>, block: usize) -> Post {
        let word = self.post_word(block);
        loop {
            let seen = word.load(SeqCst);
            if seen == EMPTY {
                return Post::Empty;
            }
            if let Some(index) = self.holder(seen) {
                return Post::Held(index);
            }
            let claim = me.id().to_bits();
            if word.compare_exchange(seen, claim, SeqCst, SeqCst).is_err() {
                continue;
            }
            if self.send(block, claim) {
                self.ring_sleepers(); // *asleep-before*
                return Post::Held(me.index);
            }
            let _ = word.compare_exchange(claim, 0, SeqCst, SeqCst);
            return Post::Vacant;
        }
    }

    /// Starts the thread for a post that is held in our name. `false`: there can be none.
    fn send(&self, block: usize, claim: u64) -> bool {
        // A thread needs the session for as long as it lives; only that of the process lives so long.
        let Some(session) = Session::existing().filter(|session| session.0.instance == self.instance) else {
            return false;
        };
        std::thread::Builder::new()
            .name("mp-post".into())
            .stack_size(256 * 1024) // it sweeps
            .spawn(move || stand(&session, block, claim))
            .is_ok()
    }

    /// Makes sure that somebody watches the member, which has just arrived or is about to.
    pub(crate) fn announce(&self, member: u32) {
        if !self.ground.region.is_shared() {
            return;
        }
        fence(SeqCst); // *empty-and-arriving*
        if self.ground.members_used() <= FEW {
            return self.ring_sleepers();
        }
        let word = self.post_word((member / BLOCK) as usize);
        let seen = word.load(SeqCst);
        if let Some(index) = self.holder(seen) {
            return self.ring(index);
        }
        if seen == EMPTY {
            let _ = word.compare_exchange(EMPTY, 0, SeqCst, SeqCst);
        }
        // The first of them that looks takes it; where nobody sleeps, the next who does.
        self.ring_sleepers();
    }

    /// The members of the block that may die, but for ourselves.
    pub(crate) fn in_block(&self, block: usize) -> impl Iterator<Item = u32> {
        let first = block as u32 * BLOCK;
        let end = (first + BLOCK).min(self.ground.members_used());
        (first..end).filter(|m| *m != self.member.index && self.may_die(*m))
    }
}

/// The life of a thread at a post.
fn stand(session: &Session, block: usize, claim: u64) {
    let word = session.0.post_word(block);
    let Ok(me) = session.me() else {
        let _ = word.compare_exchange(claim, 0, SeqCst, SeqCst);
        return;
    };
    let ours = me.id().to_bits();
    if word.compare_exchange(claim, ours, SeqCst, SeqCst).is_err() {
        return; // somebody thought the claimant gone
    }
    let bell = &me.slot().bell;
    loop {
        if session.0.in_block(block).next().is_none() {
            if word.compare_exchange(ours, EMPTY, SeqCst, SeqCst).is_err() {
                return;
            }
            fence(SeqCst);
            // *empty-and-arriving*
            let still_empty = session.0.in_block(block).next().is_none();
            if still_empty || word.compare_exchange(EMPTY, ours, SeqCst, SeqCst).is_err() {
                return;
            }
        }
        if bell.compare_exchange(QUIET, ASLEEP, AcqRel, Acquire).is_ok() {
            me.watch_block(block);
        }
        bell.swap(QUIET, SeqCst);
    }
}

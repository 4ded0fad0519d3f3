//! Intents: what a thread is in the middle of, so that its death in the middle can be settled.
//!
//! A thread writes the operands and then `op` before it begins an operation of more than one step, and clears `op` when
//! it is through. Operations do not nest, so a thread has at most one. After a death the sweeper reads the intent and
//! either finishes the operation or finds that it never took effect; both can be done any number of times, because a
//! sweeper may die as well.
//!
//! | op | begun by | settled by |
//! |---|---|---|
//! | `CREATE` | claiming an entry | entry still `CREATING` under this thread: free its block, clear its records, free the entry |
//! | `RETAIN` | adding to a count | count changed ([`crate::refs`]): write the destination word |
//! | `RELEASE` | taking from a count | count changed: clear the source word; count zero: destroy |
//! | `DESTROY` | the last steps of a destruction | entry still `DESTROYING` as noted: free block and entry, pop the stack |
//! | `PUT_TRY`, `PUT_HELD` | filling a cell | see [`crate::cell`] |
//! | `TAKE_TRY`, `TAKE_HELD` | emptying a cell | see [`crate::cell`] |
//! | `MOVE_TRY`, `MOVE_HELD` | moving what a cell holds to another | see [`crate::cell`] |
//! | `TAKE_PERMIT`, `RETURN_PERMIT` | changing a count of permits | see [`crate::permit`] |

use crate::primitive::Ordering::*;

use crate::slots::IntentSlot;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    Create = 1,
    Retain = 2,
    Release = 3,
    Destroy = 4,
    PutTry = 5,
    PutHeld = 6,
    TakeTry = 7,
    TakeHeld = 8,
    TakePermit = 9,
    ReturnPermit = 10,
    MoveTry = 11,
    MoveHeld = 12,
}

/// An intent as read from a thread that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Intent {
    pub(crate) op: Op,
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) c: u64,
    pub(crate) d: u64,
}

impl IntentSlot {
    #[inline]
    pub(crate) fn begin(&self, op: Op, a: u64, b: u64, c: u64, d: u64) {
        self.a.store(a, Relaxed);
        self.b.store(b, Relaxed);
        self.c.store(c, Relaxed);
        self.d.store(d, Relaxed);
        self.op.store(op as u64, Release);
    }

    /// The operation has reached its second phase.
    #[inline]
    pub(crate) fn advance(&self, op: Op) {
        self.op.store(op as u64, Release);
    }

    #[inline]
    pub(crate) fn clear(&self) {
        self.op.store(0, Release);
    }

    pub(crate) fn read(&self) -> Option<Intent> {
        let op = match self.op.load(Acquire) {
            1 => Op::Create,
            2 => Op::Retain,
            3 => Op::Release,
            4 => Op::Destroy,
            5 => Op::PutTry,
            6 => Op::PutHeld,
            7 => Op::TakeTry,
            8 => Op::TakeHeld,
            9 => Op::TakePermit,
            10 => Op::ReturnPermit,
            11 => Op::MoveTry,
            12 => Op::MoveHeld,
            _ => return None,
        };
        Some(Intent {
            op,
            a: self.a.load(Relaxed),
            b: self.b.load(Relaxed),
            c: self.c.load(Relaxed),
            d: self.d.load(Relaxed),
        })
    }
}

//! The heap by itself, for measuring it: blocks that belong to no object.

use mp_wire::Result;

use crate::heap::Tag;
use crate::primitive::AtomicU64;
use crate::session::Session;

/// Takes and gives back blocks of the heap. Nobody sweeps them: what is not given back stays taken as long as the session.
#[derive(Debug)]
pub struct HeapProbe(Session);

impl HeapProbe {
    /// The heap of that session.
    pub fn new(session: &Session) -> HeapProbe {
        HeapProbe(session.clone())
    }

    /// Takes a block.
    ///
    /// # Errors
    /// When memory is out.
    #[inline]
    pub fn take(&self, size: u64) -> Result<u64> {
        let inner = &self.0.0;
        inner.ground.allocate(&inner.magazines, size, PROBE, &AtomicU64::new(0))
    }

    /// Gives a block back, whoever took it.
    #[inline]
    pub fn give(&self, block: u64) {
        self.0.0.ground.free(block, PROBE);
    }
}

/// The last of the members' tags, which no member has.
const PROBE: Tag = Tag::member(u32::MAX >> 1);

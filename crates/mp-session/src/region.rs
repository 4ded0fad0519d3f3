//! A region: the bytes of a session, wherever they are.
//!
//! Everything in this crate reaches shared memory through [`Region::at`], which hands out references to types made of
//! atomics only. The region is a mapping of a memory object that other processes map too, or a plain block on the
//! heap, in which one process can play several members: that is what tests, Miri and model checkers run on.

use std::alloc::{Layout as AllocLayout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;

use mp_sys::Mapping;
use mp_wire::{Error, Result};

use crate::primitive::{AtomicU32, AtomicU64};

/// A type whose every bit pattern is valid and whose every field is an atomic: it may be looked at through `&` while
/// another process changes it.
///
/// # Safety
/// `repr(C)`, atomics only, no padding that matters, alignment at most 64.
pub(crate) unsafe trait Shared {}

// SAFETY: a lone atomic is what the trait asks for.
unsafe impl Shared for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}

/// How a region on the heap is aligned: as a mapping is, at least.
const ALIGN: usize = 4096;

/// Invariant: `base` points at `len` readable and writable bytes, aligned to 64, for as long as the region lives.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: u64,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    Mapped(Mapping),
    Heap(Arc<HeapBlock>),
    /// Whoever made the region keeps the memory.
    Lent,
}

/// A block of this process's heap, freed with its last region.
#[derive(Debug)]
struct HeapBlock {
    start: NonNull<u8>,
    layout: AllocLayout,
}

// SAFETY: an address and a layout, used once more, by the last owner's drop.
unsafe impl Send for HeapBlock {}
// SAFETY: nothing can be done through a shared reference.
unsafe impl Sync for HeapBlock {}

impl Drop for HeapBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `Region::heap` with this layout and not freed since.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

// SAFETY: the bytes are only reached through atomics or through blocks whose exclusive use the callers arrange.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    pub(crate) fn mapped(mapping: Mapping) -> Result<Region> {
        let base = NonNull::new(mapping.as_ptr())
            .ok_or_else(|| Error::Layout { detail: "a mapping at address zero".into() })?;
        Ok(Region { base, len: mapping.len() as u64, memory: Memory::Mapped(mapping) })
    }

    /// A zeroed region in this process's own memory.
    pub(crate) fn heap(len: u64) -> Result<Region> {
        let out =
            || Error::LimitReached { limit: "memory".into(), detail: format!("no {len} bytes for a region") };
        // Asking for a large alignment would mean writing all the zeros: the allocator has zeroed memory only for small ones.
        let room = usize::try_from(len).ok().and_then(|len| len.checked_add(ALIGN)).ok_or_else(out)?;
        let layout = AllocLayout::from_size_align(room, 16).map_err(|_| out())?;
        // SAFETY: the layout has a size above zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or_else(out)?;
        // SAFETY: less than `ALIGN` bytes further, so `len` bytes of the block are left.
        let base = unsafe { start.add(start.align_offset(ALIGN)) };
        Ok(Region { base, len, memory: Memory::Heap(Arc::new(HeapBlock { start, layout })) })
    }

    /// A region over memory that somebody else keeps, and that counts as this process's own.
    ///
    /// # Safety
    /// `base` points at `len` readable and writable bytes, aligned to 4096, that stay so for as long as the region and its
    /// aliases live.
    pub(crate) unsafe fn lent(base: NonNull<u8>, len: u64) -> Region {
        Region { base, len, memory: Memory::Lent }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The object at `offset`.
    ///
    /// Offsets come from the layout or from words of the session, which members keep true; one that points outside
    /// means that the session's memory is damaged, and going on would damage more: that is the one panic here.
    #[inline]
    pub(crate) fn at<T: Shared>(&self, offset: u64) -> &T {
        let size = size_of::<T>() as u64;
        assert!(
            offset.checked_add(size).is_some_and(|end| end <= self.len)
                && offset.is_multiple_of(align_of::<T>() as u64),
            "an offset outside of the session's memory"
        );
        // SAFETY: in bounds and aligned by the check above (the base is aligned to 64); `T: Shared` allows concurrent
        // change; the reference lives no longer than the region.
        unsafe { &*self.base.as_ptr().add(offset as usize).cast::<T>() }
    }

    /// The address of `offset`, for bytes that belong to a user's object; `None` when `len` bytes do not fit there.
    #[inline]
    pub(crate) fn bytes(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: in bounds by the check above.
        Some(unsafe { self.base.add(offset as usize) })
    }

    /// Makes `len` bytes at `offset` usable, where the system wants to be asked.
    pub(crate) fn commit(&self, offset: u64, len: u64) -> Result<()> {
        match &self.memory {
            Memory::Mapped(m) => {
                m.commit(offset as usize, len as usize).map_err(|e| Error::os("commit session memory", e))
            }
            Memory::Heap(_) | Memory::Lent => Ok(()),
        }
    }

    /// Gives the pages of a free range back to the system, where it can take them; they read as zero afterwards.
    pub(crate) fn discard(&self, offset: u64, len: u64) -> bool {
        match &self.memory {
            // A system that will not take them back only costs memory that stays reserved for the next user.
            Memory::Mapped(m) => m.discard(offset as usize, len as usize).unwrap_or(false),
            Memory::Heap(_) | Memory::Lent => false,
        }
    }

    /// Whether other processes can see it (false for the heap kind).
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.memory, Memory::Mapped(_))
    }

    /// A second view of a heap region, for another member that the same process plays.
    pub(crate) fn alias(&self) -> Region {
        let memory = match &self.memory {
            Memory::Heap(block) => Memory::Heap(block.clone()),
            Memory::Lent => Memory::Lent,
            Memory::Mapped(_) => unreachable!("only heap regions have aliases"),
        };
        Region { base: self.base, len: self.len, memory }
    }
}

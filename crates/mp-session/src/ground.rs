//! The region together with its layout: typed access to every slot.

use crate::primitive::{AtomicU32, AtomicU64, Ordering::*};
use mp_wire::{Error, Result};

use crate::header::Header;
use crate::layout::Layout;
use crate::observers::{Bucket, ObserverSlot};
use crate::region::Region;
use crate::slots::{Entry, MemberSlot, NameSlot, ThreadSlot};

#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) region: Region,
    pub(crate) layout: Layout,
}

impl Ground {
    /// Founds a session in an all-zero region. Nobody else sees the region yet.
    pub(crate) fn found(region: Region, session_id: u128, image_id: [u8; 16], budget: u64) -> Result<Ground> {
        let layout = Layout::new(region.len());
        region.commit(0, layout.eager())?;
        let limit = (budget / crate::layout::SPAN).clamp(1, u64::from(layout.span_count)) as u32;
        region.at::<Header>(0).write(&layout, session_id, image_id, limit);
        Ok(Ground { region, layout })
    }

    /// Takes a region that another process founded.
    pub(crate) fn enter(region: Region) -> Result<Ground> {
        let layout = Header::check(&region)?;
        Ok(Ground { region, layout })
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.region.at(0)
    }

    #[inline]
    pub(crate) fn member(&self, index: u32) -> &MemberSlot {
        debug_assert!(index < self.layout.member_count);
        self.region.at(self.layout.member(index))
    }

    #[inline]
    pub(crate) fn thread(&self, index: u32) -> &ThreadSlot {
        debug_assert!(index < self.layout.thread_count);
        self.region.at(self.layout.thread(index))
    }

    #[inline]
    pub(crate) fn observer(&self, index: u32) -> &ObserverSlot {
        debug_assert!(index < self.layout.observer_count);
        self.region.at(self.layout.observer(index))
    }

    #[inline]
    pub(crate) fn bucket(&self, index: u64) -> &Bucket {
        debug_assert!(index < self.layout.bucket_count);
        self.region.at(self.layout.bucket(index))
    }

    #[inline]
    pub(crate) fn entry(&self, index: u32) -> &Entry {
        debug_assert!(index < self.layout.entry_count);
        self.region.at(self.layout.entry(index))
    }

    pub(crate) fn name(&self, index: u32) -> &NameSlot {
        self.region.at(self.layout.name(index))
    }

    pub(crate) fn names_used(&self) -> u32 {
        self.header().names_used.load(Acquire).min(self.layout.name_count)
    }

    pub(crate) fn word(&self, offset: u64) -> &AtomicU64 {
        self.region.at(offset)
    }

    /// Whether a wait record's key names a wait word: those who wait for many things name their observer's slot instead.
    pub(crate) fn is_wait_word(&self, key: u64) -> bool {
        let layout = &self.layout;
        let in_reach = key != 0 && key.is_multiple_of(8) && key + 8 <= layout.size;
        in_reach && !(layout.observers..layout.buckets).contains(&key)
    }

    pub(crate) fn tag(&self, span: u32, block: u32) -> &AtomicU32 {
        self.region.at(self.layout.tag(span, block))
    }

    pub(crate) fn span_kind(&self, span: u32) -> &AtomicU32 {
        self.region.at(self.layout.span_kinds + u64::from(span) * 4)
    }

    pub(crate) fn span_owner(&self, span: u32) -> &AtomicU32 {
        self.region.at(self.layout.span_owners + u64::from(span) * 4)
    }

    pub(crate) fn chunk_owner(&self, chunk: u32) -> &AtomicU32 {
        self.region.at(self.layout.chunk_owners + u64::from(chunk) * 4)
    }

    /// The offset of a word that lies in this region.
    pub(crate) fn offset_of(&self, word: &AtomicU64) -> u64 {
        let base = self.region.bytes(0, 0).map_or(0, |p| p.as_ptr() as u64);
        (std::ptr::from_ref(word) as u64).wrapping_sub(base)
    }

    pub(crate) fn members_used(&self) -> u32 {
        self.header().members_used.load(Acquire).min(self.layout.member_count)
    }

    pub(crate) fn threads_used(&self) -> u32 {
        self.header().threads_used.load(Acquire).min(self.layout.thread_count)
    }

    pub(crate) fn observers_used(&self) -> u32 {
        self.header().observers_used.load(Acquire).min(self.layout.observer_count)
    }

    pub(crate) fn full(&self, limit: &str, detail: impl Into<String>) -> Error {
        Error::LimitReached { limit: limit.into(), detail: detail.into() }
    }
}

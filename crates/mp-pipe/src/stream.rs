//! A stream: bytes going one way through shared memory.
//!
//! # Layout
//!
//! ```text
//! 0      tail            bytes written so far      the writer's
//! 64     head            bytes read so far         the reader's
//! 128    writer's turn
//! 136    writer's note   a message that is on its way into a cell (`cells`)
//! 192    reader's turn
//! 256    need            bytes of room that a sleeping writer waits for, or 0
//! 320    ring            `capacity` bytes, a power of two
//! ```
//!
//! Tail and head only grow; byte number `p` is at `p % capacity`, and `tail - head` bytes are there. The writer writes behind the
//! tail and then moves it, the reader copies from the head and then moves that. So a frame is there whole or not at all.
//!
//! # Deaths
//!
//! | who dies | what is left | what the others see |
//! |---|---|---|
//! | the writer, before it moved the tail | bytes that count for nothing, its name in the turn | nothing of that frame; the next writer takes the turn over |
//! | after that, before it woke the reader | a frame | the sweep rings everybody |
//! | the writer, between two parts of a message | parts without a last one | *torn*: the reader's error, when the next thing comes or the end |
//! | the reader, before it moved the head | the frame, its name in the turn | the next reader of that end gets it again |
//! | the reader, between two parts of a message | parts without a first one | the next reader of that end steps over them: the message went with its reader |
//! | either, the last at its end | a role that nobody holds | `Disconnected`, after what is left was read |
//!
//! *whole-or-cell*: a message that fits is one frame. One with handles, which only an object of the session can carry, is one frame
//! that names a cell, and so is one of up to some mebibytes that is large for the pipe.

use std::ptr::NonNull;

use mp_session::primitive::{AtomicU64, Ordering::*};

use crate::frame::HEAD;

const TAIL: usize = 0;
const READ_HEAD: usize = 64;
const WRITER: usize = 128;
const NOTE: usize = 136;
const READER: usize = 192;
const NEED: usize = 256;
const RING: usize = 320;

/// What a stream takes besides its ring.
pub(crate) const STREAM_REST: u64 = RING as u64;

/// One process's view of a stream.
///
/// Invariant: `base` points to `RING + capacity` bytes of session memory, aligned to 64, that stay mapped as long as the object is
/// held that the pipe's end holds beside this; `capacity` is a power of two and at least 64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    base: NonNull<u8>,
    capacity: u64,
}

// SAFETY: the address of shared memory, used as atomics, and as bytes that a turn makes exclusive.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// # Safety
    /// The invariant of the type.
    pub(crate) unsafe fn new(base: NonNull<u8>, capacity: u64) -> Stream {
        Stream { base, capacity }
    }

    /// Makes the words of a new stream say that nothing is there.
    pub(crate) fn clear(&self) {
        for at in [TAIL, WRITER, NOTE, READ_HEAD, READER, NEED] {
            self.word(at).store(0, Relaxed);
        }
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: `at` is one of the constants above, which lie below `RING` and are multiples of 8; every process uses these words
        // as atomics only.
        unsafe { self.base.add(at).cast().as_ref() }
    }

    #[inline]
    pub(crate) fn tail(&self) -> &AtomicU64 {
        self.word(TAIL)
    }

    #[inline]
    pub(crate) fn head(&self) -> &AtomicU64 {
        self.word(READ_HEAD)
    }

    #[inline]
    pub(crate) fn writer(&self) -> &AtomicU64 {
        self.word(WRITER)
    }

    #[inline]
    pub(crate) fn reader(&self) -> &AtomicU64 {
        self.word(READER)
    }

    pub(crate) fn note(&self) -> &AtomicU64 {
        self.word(NOTE)
    }

    #[inline]
    pub(crate) fn need(&self) -> &AtomicU64 {
        self.word(NEED)
    }

    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether there is anything to be read.
    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        self.head().load(Acquire) != self.tail().load(SeqCst)
    }

    /// How many bytes may be written.
    #[inline]
    pub(crate) fn room(&self) -> u64 {
        let used = self.tail().load(Relaxed).wrapping_sub(self.head().load(SeqCst));
        self.capacity.saturating_sub(used)
    }

    #[inline]
    fn place(&self, position: u64) -> usize {
        (position & (self.capacity - 1)) as usize
    }

    /// Writes the head of a frame at `position`, a multiple of 8. The caller has the writer's turn and that room.
    #[inline]
    pub(crate) fn write_head(&self, position: u64, head: u64) {
        // SAFETY: inside of the ring, since the capacity and the position are multiples of 8; nobody else touches the bytes between
        // tail and head of the next lap, which the turn makes ours.
        unsafe { self.base.add(RING + self.place(position)).cast::<u64>().write(head) }
    }

    /// The head of the frame at `position`, a multiple of 8. The caller has the reader's turn and has seen it below the tail.
    #[inline]
    pub(crate) fn read_head(&self, position: u64) -> u64 {
        // SAFETY: as in `write_head`; the bytes below the tail are not written before the head has passed them.
        unsafe { self.base.add(RING + self.place(position)).cast::<u64>().read() }
    }

    /// Copies `bytes` to `position`, round the end of the ring. The caller has the writer's turn and that room.
    #[inline]
    pub(crate) fn write(&self, position: u64, bytes: &[u8]) {
        debug_assert!(bytes.len() as u64 + HEAD <= self.capacity);
        let at = self.place(position);
        let first = bytes.len().min(self.capacity as usize - at);
        // SAFETY: both parts are inside of the ring: `first` bytes up to its end, and the rest, which is no longer than the ring, from
        // its start; the bytes are ours as in `write_head`, and cannot overlap with memory that safe code has a slice of.
        unsafe {
            let ring = self.base.as_ptr().add(RING);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), ring.add(at), first);
            std::ptr::copy_nonoverlapping(bytes.as_ptr().add(first), ring, bytes.len() - first);
        }
    }

    /// Copies from `position` to `to`. The caller has the reader's turn and has seen the bytes below the tail.
    #[inline]
    pub(crate) fn read(&self, position: u64, to: &mut [u8]) {
        debug_assert!(to.len() as u64 + HEAD <= self.capacity);
        let at = self.place(position);
        let first = to.len().min(self.capacity as usize - at);
        // SAFETY: as in `write`; below the tail, nobody writes.
        unsafe {
            let ring = self.base.as_ptr().add(RING);
            std::ptr::copy_nonoverlapping(ring.add(at), to.as_mut_ptr(), first);
            std::ptr::copy_nonoverlapping(ring, to.as_mut_ptr().add(first), to.len() - first);
        }
    }

    /// Appends `length` bytes from `position` to `to`.
    pub(crate) fn read_onto(&self, position: u64, length: usize, to: &mut Vec<u8>) {
        debug_assert!(length as u64 + HEAD <= self.capacity);
        let at = self.place(position);
        let first = length.min(self.capacity as usize - at);
        // SAFETY: as in `read`; the slices live for the copies only, during which nobody writes there.
        unsafe {
            let ring = self.base.as_ptr().add(RING);
            to.extend_from_slice(std::slice::from_raw_parts(ring.add(at), first));
            to.extend_from_slice(std::slice::from_raw_parts(ring, length - first));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream in memory of the test's own.
    fn stream(block: &mut [u128; 32], capacity: u64) -> Stream {
        assert!(size_of_val(block) >= RING + capacity as usize);
        let base = NonNull::new(block.as_mut_ptr().cast::<u8>()).unwrap();
        // SAFETY: large enough by the assertion; it outlives the stream in each test; alignment to 8 is what the accesses need.
        let stream = unsafe { Stream::new(base, capacity) };
        stream.clear();
        stream
    }

    #[test]
    fn bytes_go_round_the_end_of_the_ring() {
        let mut block = [0_u128; 32];
        let s = stream(&mut block, 128);
        let bytes: Vec<u8> = (0..100).collect();
        for start in (0..1024).step_by(8) {
            s.write_head(start, start);
            s.write(start + HEAD, &bytes);
            assert_eq!(s.read_head(start), start);
            let (mut into, mut onto) = ([0; 100], vec![7]);
            s.read(start + HEAD, &mut into);
            s.read_onto(start + HEAD, 100, &mut onto);
            assert_eq!(into, bytes[..]);
            assert_eq!(onto[1..], bytes[..]);
        }
    }

    #[test]
    fn room_is_what_is_not_there() {
        let mut block = [0_u128; 32];
        let s = stream(&mut block, 128);
        assert!(!s.has_any());
        assert_eq!(s.room(), 128);
        s.tail().store(128, Relaxed);
        s.head().store(40, Relaxed);
        assert_eq!(s.room(), 40);
        assert!(s.has_any());
    }
}

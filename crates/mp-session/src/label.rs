//! Labels: names that people give to objects, to be read in errors and reports.
//!
//! A label is the last 32 bytes of an object's block: its length, and up to 31 bytes of text. It is written before anybody
//! else sees the object and never changed. Who reads it need not hold the object: it is read word by word, and what is read from
//! a block that was recycled meanwhile is a wrong name in a report, no more.

use crate::primitive::Ordering::*;

use crate::ground::Ground;
use crate::slots::Entry;
use crate::table::TypeWord;

const ROOM: u64 = 32;

/// The size of a block of `size` bytes and a label.
pub(crate) fn with_room(size: u64) -> u64 {
    size.next_multiple_of(8) + ROOM
}

/// How many of the object's bytes are its own.
pub(crate) fn size_without(entry: &Entry) -> u64 {
    let size = entry.size.load(Relaxed);
    if TypeWord::unpack(entry.kind.load(Relaxed)).labelled { size.saturating_sub(ROOM) } else { size }
}

/// Writes the label that ends at `end`.
pub(crate) fn write(ground: &Ground, end: u64, label: &str) {
    let mut bytes = [0_u8; ROOM as usize];
    let cut = label.floor_char_boundary(ROOM as usize - 1);
    bytes[0] = cut as u8;
    bytes[1..=cut].copy_from_slice(&label.as_bytes()[..cut]);
    for (i, eight) in bytes.chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        ground.word(end - ROOM + i as u64 * 8).store(word, Relaxed);
    }
}

pub(crate) fn read(ground: &Ground, entry: &Entry) -> Option<String> {
    let (offset, size) = (entry.offset.load(Acquire), entry.size.load(Relaxed));
    let in_heap = offset >= ground.layout.heap && size >= ROOM && offset + size <= ground.layout.size;
    if !TypeWord::unpack(entry.kind.load(Relaxed)).labelled || !in_heap {
        return None;
    }
    let start = (offset + size - ROOM) & !7;
    let bytes: Vec<u8> =
        (0..4).flat_map(|i| ground.word(start + i * 8).load(Relaxed).to_le_bytes()).collect();
    let length = usize::from(bytes[0]).min(ROOM as usize - 1);
    Some(String::from_utf8_lossy(&bytes[1..=length]).into_owned())
}

//! Copying bytes that another process may change at the same time.
//!
//! A plain copy would be undefined then. This copies by atomic words of eight bytes, each of which is whole: what is read may
//! be old in one place and new in another, and is never anything else. Bytes beside those that are written keep their
//! values, for a word that is written in part is exchanged as a whole.

use mp_session::primitive::user::{AtomicU64, Ordering::Relaxed};

/// Copies out of `words`, from byte `offset` on, as many bytes as `to` has. The caller has checked that they are there.
pub(crate) fn read(words: &[AtomicU64], offset: usize, to: &mut [u8]) {
    let (mut word, skip) = (offset / 8, offset % 8);
    let mut rest = to;
    if skip != 0 && !rest.is_empty() {
        let (head, tail) = rest.split_at_mut(rest.len().min(8 - skip));
        let bytes = words[word].load(Relaxed).to_ne_bytes();
        head.copy_from_slice(&bytes[skip..skip + head.len()]);
        (rest, word) = (tail, word + 1);
    }
    let mut chunks = rest.chunks_exact_mut(8);
    let whole = chunks.len();
    for (chunk, from) in chunks.by_ref().zip(&words[word..word + whole]) {
        chunk.copy_from_slice(&from.load(Relaxed).to_ne_bytes());
    }
    let tail = chunks.into_remainder();
    if !tail.is_empty() {
        tail.copy_from_slice(&words[word + whole].load(Relaxed).to_ne_bytes()[..tail.len()]);
    }
}

/// Copies `from` into `words`, from byte `offset` on. The caller has checked that there is room.
pub(crate) fn write(words: &[AtomicU64], offset: usize, from: &[u8]) {
    let (mut word, skip) = (offset / 8, offset % 8);
    let mut rest = from;
    if skip != 0 && !rest.is_empty() {
        let (head, tail) = rest.split_at(rest.len().min(8 - skip));
        exchange(&words[word], skip, head);
        (rest, word) = (tail, word + 1);
    }
    let (chunks, tail) = rest.as_chunks::<8>();
    for (chunk, to) in chunks.iter().zip(&words[word..word + chunks.len()]) {
        to.store(u64::from_ne_bytes(*chunk), Relaxed);
    }
    if !tail.is_empty() {
        exchange(&words[word + chunks.len()], 0, tail);
    }
}

/// Writes some of the bytes of a word.
fn exchange(word: &AtomicU64, at: usize, bytes: &[u8]) {
    let with = |old: u64| {
        let mut all = old.to_ne_bytes();
        all[at..at + bytes.len()].copy_from_slice(bytes);
        Some(u64::from_ne_bytes(all))
    };
    // The closure never refuses.
    let _ = word.fetch_update(Relaxed, Relaxed, with);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_a_plain_copy(before in prop::collection::vec(any::<u8>(), 64), offset in 0_usize..64, data in prop::collection::vec(any::<u8>(), 0..64)) {
            let words: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
            write(&words, 0, &before);
            let data = &data[..data.len().min(64 - offset)];
            write(&words, offset, data);
            let mut expected = before.clone();
            expected[offset..offset + data.len()].copy_from_slice(data);
            let mut all = vec![0; 64];
            read(&words, 0, &mut all);
            prop_assert_eq!(&all, &expected);
            let mut part = vec![0; data.len()];
            read(&words, offset, &mut part);
            prop_assert_eq!(&part[..], data);
        }
    }
}

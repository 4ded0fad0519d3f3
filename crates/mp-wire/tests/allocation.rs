//! A length prefix is a claim. This counts what decoding allocates before it finds out that the claim is
//! false.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};

use mp_wire::{Codec, Message, Outcome, decode};

/// The system's allocator, remembering the biggest request of each thread.
struct Watched;

thread_local! {
    static BIGGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that is ending has no counter any more, and no test either.
    let _ = BIGGEST.try_with(|biggest| biggest.set(biggest.get().max(size)));
}

// SAFETY: every request goes to the system's allocator unchanged; the counter is a thread-local without a
// destructor and does not allocate.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above; `block` came from the system's allocator, because all blocks do.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn biggest_during(work: impl FnOnce()) -> usize {
    BIGGEST.set(0);
    work();
    BIGGEST.get()
}

/// Prefixes that claim from a little to all there could ever be, in front of a few bytes.
fn claims() -> impl Iterator<Item = Vec<u8>> {
    (7..=64).map(|bits| {
        let mut claim = u64::MAX >> (64 - bits);
        let mut bytes = Vec::new();
        while claim >= 0x80 {
            bytes.push(claim as u8 | 0x80);
            claim >>= 7;
        }
        bytes.push(claim as u8);
        bytes.extend([1; 16]);
        bytes
    })
}

/// What a few elements need.
const SMALL: usize = 16 * 1024;
/// serde allocates for a mebibyte of elements at most before it has seen any, and a hash table rounds that up
/// to more than two. postcard checks the claim of a sequence against the bytes that are left, but not that of
/// a map.
const AHEAD: usize = 3 << 20;

fn stays_below<T: Message>(limit: usize) {
    for bytes in claims() {
        let biggest = biggest_during(|| {
            assert!(decode::<T>(Codec::Postcard, &bytes, Vec::new()).is_err(), "{bytes:?}");
        });
        assert!(biggest <= limit, "{}: {biggest} bytes for {bytes:?}", std::any::type_name::<T>());
    }
}

#[test]
fn length_prefixes_do_not_allocate() {
    stays_below::<(Vec<u64>,)>(SMALL);
    stays_below::<(String,)>(SMALL);
    stays_below::<Vec<String>>(SMALL);
    stays_below::<Vec<[u64; 32]>>(SMALL);
    stays_below::<Vec<Vec<Vec<u8>>>>(SMALL);
    stays_below::<VecDeque<u32>>(SMALL);
    stays_below::<HashMap<u32, String>>(AHEAD);
    stays_below::<BTreeMap<u32, String>>(SMALL);
    stays_below::<Box<[u32]>>(SMALL);
    stays_below::<std::ffi::CString>(SMALL);
}

#[test]
fn the_lengths_in_an_outcome_do_not_allocate() {
    for tag in 0..=3 {
        for length in [u32::MAX, 1 << 31, 1 << 20, 65_536, 300] {
            let mut bytes = vec![tag];
            bytes.extend(length.to_le_bytes());
            bytes.extend([1; 100]);
            let biggest = biggest_during(|| drop(Outcome::decode(&bytes)));
            assert!(biggest <= 1024, "{biggest} bytes for {tag}, {length}");
        }
    }
}

#[test]
fn plain_data_allocates_its_own_size() {
    let bytes = vec![0; 80_000];
    assert_eq!(biggest_during(|| drop(decode::<Vec<f64>>(Codec::Plain, &bytes, Vec::new()))), 80_000);
    assert_eq!(biggest_during(|| drop(decode::<u64>(Codec::Plain, &bytes[..8], Vec::new()))), 0);
}

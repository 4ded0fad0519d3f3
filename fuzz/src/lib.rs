//! What the fuzz targets share: an allocator that watches what a decoder asks for, and values of all sorts.
//!
//! The targets, and whose bytes they stand for:
//!
//! | target | reads | written by |
//! |---|---|---|
//! | `codec_decode` | values of many types, `Error`, `Failure`, `Json`, `Cbor` | any member: messages, arguments, results, cells of queues |
//! | `outcome_decode` | `Outcome` | a child, about its end |
//! | `carrier_decode` | the numbers of handles inside values | any member |
//! | `handle_decode` | handles of every kind, from references of any kind | any member |
//! | `message_block` | head, references and payload of a message | any member |
//! | `session_header` | the first page of a session's memory | whoever made the inherited memory |
//! | `ticket_parse` | `MP_SESSION`, `MP_FORK_SERVER`, names of members and threads | whoever made the environment |
//! | `spec_read` | what a child is to be | the parent |
//! | `link_frames` | frames on a stream | any program that may connect |
//! | `link_challenge` | the proof that somebody has the key | any program that may connect |
//! | `gateway_pickle` | frames, requests and pickled values | a gateway's clients, who may be anybody |
//!
//! What a lying member writes into the words of the session itself (counts, states, tags) is not here: members run our code and may
//! die at any instruction, but do not lie.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, remembering the largest request of each thread.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that is ending has no counter any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every request goes to the system's allocator unchanged; the counter does not allocate.
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
        // SAFETY: as above; all blocks are the system's.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// What reading may ask for before it has seen what it is promised: serde's and hashbrown's first guess at a map, and something for
/// each byte that is there (an empty `Vec` takes 24 bytes and is one byte long).
fn limit(bytes: usize) -> usize {
    (4 << 20) + bytes * 512
}

/// Runs a decoder over that many bytes and sees to it that no claim in them makes it allocate.
pub fn bounded<R>(bytes: usize, decode: impl FnOnce() -> R) -> R {
    LARGEST.set(0);
    let decoded = decode();
    let largest = LARGEST.get();
    assert!(largest <= limit(bytes), "{largest} bytes at once for {bytes} bytes");
    decoded
}

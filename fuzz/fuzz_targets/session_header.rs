//! Memory that is no session is refused, whatever its first page says.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_session::fuzzing::{HEADER, Page};

thread_local! {
    static PAGE: RefCell<Page> = RefCell::new(Page::founded());
}

// Offsets and bytes that are written over a good first page.
fuzz_target!(|bytes: &[u8]| {
    PAGE.with_borrow_mut(|page| {
        page.restore();
        for change in bytes.chunks_exact(3) {
            page.set(usize::from(u16::from_le_bytes([change[0], change[1]])) % HEADER, change[2]);
        }
        if let Err(error) = bounded(bytes.len(), || page.enter()) {
            assert!(matches!(error, mp_session::Error::Layout { .. }), "{error:?}");
        }
    });
});

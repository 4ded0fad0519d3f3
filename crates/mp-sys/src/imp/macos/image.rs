//! Which executable image runs: the linker gives each a UUID.

use crate::imp::hash::Hash;
use std::{os::unix::fs::MetadataExt, slice};

const HEADER_LEN: usize = 32;
const LC_UUID: u32 = 0x1b;

unsafe extern "C" {
    fn _dyld_get_image_header(index: u32) -> *const u8;
}

pub(crate) fn image_id() -> [u8; 16] {
    // SAFETY: image 0 is the program itself, mapped for its whole life. The header says how long its commands are, which
    // follow it.
    let image = unsafe {
        let start = _dyld_get_image_header(0);
        let header = slice::from_raw_parts(start, HEADER_LEN);
        slice::from_raw_parts(start, HEADER_LEN + number(header, 20).unwrap_or(0) as usize)
    };
    if let Some(uuid) = uuid(image) {
        return uuid;
    }
    let mut hash = Hash::new();
    hash.bytes(image);
    if let Ok(file) = std::env::current_exe().and_then(std::fs::metadata) {
        let parts =
            [file.size(), file.mtime().cast_unsigned(), file.mtime_nsec().cast_unsigned(), file.ino()];
        parts.into_iter().for_each(|part| hash.number(part));
    }
    hash.finish()
}

/// Walks the load commands: kind, length with these two words, content.
fn uuid(image: &[u8]) -> Option<[u8; 16]> {
    let mut at = HEADER_LEN;
    loop {
        let (kind, len) = (number(image, at)?, number(image, at + 4)? as usize);
        if kind == LC_UUID {
            return image.get(at + 8..at + 24)?.try_into().ok();
        }
        at += len.max(8);
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{HEADER_LEN, LC_UUID, uuid};

    #[test]
    fn the_uuid_is_found_among_other_commands() {
        let mut image = vec![0; HEADER_LEN];
        for (kind, len) in [(1, 16), (LC_UUID, 24)] {
            image.extend([kind, len].map(u32::to_ne_bytes).concat());
            image.resize(image.len() + len as usize - 8, 7);
        }
        assert_eq!(uuid(&image), Some([7; 16]));
        assert_eq!(uuid(&image[..image.len() - 1]), None);
    }
}

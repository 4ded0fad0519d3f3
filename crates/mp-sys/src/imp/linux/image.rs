//! Which executable image runs.

use crate::imp::hash::Hash;
use std::{mem::size_of, os::unix::fs::MetadataExt, slice};

/// A note's type for a build id, in the namespace `GNU`.
const NT_GNU_BUILD_ID: u32 = 3;

pub(crate) fn image_id() -> [u8; 16] {
    let mut hash = Hash::new();
    let has_build_id = own_program(|program| match program.build_id() {
        Some(id) => {
            hash.bytes(id);
            true
        }
        None => {
            program.hash_headers(&mut hash);
            false
        }
    });
    if has_build_id == Some(true) {
        return hash.finish();
    }
    match std::fs::metadata("/proc/self/exe") {
        Ok(file) => {
            let parts =
                [file.size(), file.mtime().cast_unsigned(), file.mtime_nsec().cast_unsigned(), file.ino()];
            parts.into_iter().for_each(|part| hash.number(part));
        }
        // Without /proc, the code itself; some milliseconds, once.
        Err(_) => {
            own_program(|program| program.hash_code(&mut hash));
        }
    }
    hash.finish()
}

/// The main program as it is mapped.
struct Program<'a> {
    base: usize,
    headers: &'a [libc::Elf64_Phdr],
}

impl Program<'_> {
    fn segments(&self, kind: u32) -> impl Iterator<Item = (&libc::Elf64_Phdr, &[u8])> {
        self.headers.iter().filter(move |header| header.p_type == kind).map(|header| {
            let start = std::ptr::with_exposed_provenance(self.base + header.p_vaddr as usize);
            // SAFETY: only asked for kinds of segments that are mapped readable and unchanging: notes and code.
            (header, unsafe { slice::from_raw_parts(start, header.p_filesz as usize) })
        })
    }

    fn build_id(&self) -> Option<&[u8]> {
        self.segments(libc::PT_NOTE).find_map(|(header, notes)| find_build_id(notes, header.p_align))
    }

    fn hash_headers(&self, hash: &mut Hash) {
        for header in self.headers {
            hash.number(u64::from(header.p_type) << 32 | u64::from(header.p_flags));
            [header.p_offset, header.p_vaddr, header.p_filesz, header.p_memsz]
                .into_iter()
                .for_each(|field| hash.number(field));
        }
    }

    fn hash_code(&self, hash: &mut Hash) {
        for (header, bytes) in self.segments(libc::PT_LOAD) {
            let code = libc::PF_R | libc::PF_X;
            if header.p_flags & (code | libc::PF_W) == code {
                hash.bytes(bytes);
            }
        }
    }
}

/// Walks the notes of a segment: name length, content length, type, name, content, each part padded.
fn find_build_id(mut notes: &[u8], align: u64) -> Option<&[u8]> {
    let align = if align == 8 { 8 } else { 4 };
    while notes.len() >= 12 {
        let field = |at: usize| u32::from_ne_bytes([notes[at], notes[at + 1], notes[at + 2], notes[at + 3]]);
        let (name_len, len, kind) = (field(0) as usize, field(4) as usize, field(8));
        let content_at = (12 + name_len).next_multiple_of(align);
        let content = notes.get(content_at..content_at.checked_add(len)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + name_len) == Some(b"GNU\0") && len > 0 {
            return Some(content);
        }
        notes = notes.get((content_at + len).next_multiple_of(align)..)?;
    }
    None
}

/// Calls `with` for the main program, the first that the loader lists.
fn own_program<R>(with: impl FnOnce(Program<'_>) -> R) -> Option<R> {
    struct Call<F, R> {
        with: Option<F>,
        result: Option<R>,
    }

    unsafe extern "C" fn first<F: FnOnce(Program<'_>) -> R, R>(
        info: *mut libc::dl_phdr_info,
        size: usize,
        data: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: `data` is the `Call` of the frame below, which nobody else uses meanwhile.
        let call = unsafe { &mut *data.cast::<Call<F, R>>() };
        if size >= size_of::<usize>() * 4
            && let Some(with) = call.with.take()
        {
            // SAFETY: the loader gives a live struct, and the headers it names are mapped for the life of the program.
            let program = unsafe {
                let info = &*info;
                let headers = slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
                Program { base: info.dlpi_addr as usize, headers }
            };
            call.result = Some(with(program));
        }
        1 // enough
    }

    fn callback<F: FnOnce(Program<'_>) -> R, R>(
        _: &F,
    ) -> unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut libc::c_void) -> libc::c_int {
        first::<F, R>
    }

    let function = callback(&with);
    let mut call = Call { with: Some(with), result: None };
    // SAFETY: the callback has the right type for this data, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(function), (&raw mut call).cast()) };
    call.result
}

#[cfg(test)]
mod tests {
    use super::find_build_id;

    fn note(kind: u32, name: &[u8], content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [name.len() as u32, content.len() as u32, kind] {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let notes =
            [note(1, b"GNU\0", b"abi-tag-content!"), note(3, b"Go\0\0", b"no"), note(3, b"GNU\0", b"12345")];
        assert_eq!(find_build_id(&notes.concat(), 4), Some(&b"12345"[..]));
    }

    #[test]
    fn damaged_notes_are_no_build_id() {
        let whole = note(3, b"GNU\0", b"12345678");
        for cut in 0..whole.len() {
            assert_eq!(find_build_id(&whole[..cut], 4), None, "{cut}");
        }
        assert_eq!(find_build_id(&[0xff; 64], 4), None);
    }
}

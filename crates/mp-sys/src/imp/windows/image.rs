//! Which executable image runs.

use crate::imp::hash::Hash;
use std::{os::windows::fs::MetadataExt, ptr, slice};
use windows_sys::Win32::System::{
    Diagnostics::Debug::IMAGE_NT_HEADERS64, LibraryLoader::GetModuleHandleW, SystemServices::IMAGE_DOS_HEADER,
};

pub(crate) fn image_id() -> [u8; 16] {
    let mut hash = Hash::new();
    // SAFETY: the module of the program itself stays mapped. The loader has checked its headers, which lie in its first
    // `SizeOfHeaders` bytes and are readable.
    unsafe {
        let module: *const u8 = GetModuleHandleW(ptr::null()).cast_const().cast();
        let offset = (*module.cast::<IMAGE_DOS_HEADER>()).e_lfanew as usize;
        let headers = module.add(offset).cast::<IMAGE_NT_HEADERS64>();
        let bytes = slice::from_raw_parts(module, (*headers).OptionalHeader.SizeOfHeaders as usize);
        // All but the address it was loaded at, which the loader writes there and which differs from process to process.
        let base = (&raw const (*headers).OptionalHeader.ImageBase).cast::<u8>().offset_from_unsigned(module);
        hash.bytes(&bytes[..base]);
        hash.bytes(&bytes[base + size_of::<u64>()..]);
    }
    // Linkers that want to be reproducible leave the headers' time stamp out.
    if let Ok(file) = std::env::current_exe().and_then(std::fs::metadata) {
        hash.number(file.file_size());
        hash.number(file.last_write_time());
    }
    hash.finish()
}

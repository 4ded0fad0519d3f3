//! Where a process is: its own frames, without those of the standard library and of this harness.

use std::backtrace::Backtrace;

/// What is of interest: sources of the crates, and scenes. (Names need not say where they come from.)
const OURS: [&str; 2] = ["/crates/", "/crash/src/scenes/"];
const MOST: usize = 14;

/// The caller's frames, the innermost first.
pub(crate) fn here() -> String {
    let all = Backtrace::force_capture().to_string();
    let mut frames: Vec<String> = Vec::new();
    let mut lines = all.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let name = line.split_once(": ").map_or(line, |(_, name)| name);
        let place = lines.next_if(|next| next.starts_with("at ")).unwrap_or_default();
        let start = OURS.iter().find_map(|folder| place.rfind(folder));
        if let Some(start) = start.filter(|_| frames.len() < MOST) {
            let name = name.rsplit_once("::h").map_or(name, |(name, _)| name);
            let name = name.split_once('<').map_or(name, |(name, _)| name);
            let place = place[start..].trim_start_matches("/crates/").trim_start_matches("/crash/src/");
            frames.push(format!("{place} {name}"));
        }
    }
    frames.join("\n        ")
}

/// An address in this program as its offset, which `addr2line` and `objdump` understand.
pub(crate) fn offset(address: u64) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let base = maps.split('-').next().and_then(|start| u64::from_str_radix(start, 16).ok()).unwrap_or(0);
    format!("at {address:#x}, offset {:#x} of the program", address.wrapping_sub(base))
}

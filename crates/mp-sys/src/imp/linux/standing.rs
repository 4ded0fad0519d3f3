//! What a process passes on, as `/proc/self` and the limits say.

use crate::imp::unix::{call::check, mapping::Resource};
use std::{fs::File, mem::MaybeUninit, os::unix::fs::FileExt, process, sync::Mutex, sync::PoisonError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    limits: [Option<(u64, u64)>; LIMITS],
    session: i32,
    /// Lines of the status, and the score.
    text: Vec<u8>,
}

/// Resources are numbered from 0.
const LIMITS: usize = 16;

/// The lines that tell what is passed on.
const PREFIXES: [&[u8]; 8] =
    [b"Umask:", b"Uid:", b"Gid:", b"Groups:", b"SigIgn:", b"Cap", b"NoNewPrivs:", b"Seccomp:"];

/// Two open files of this process, and its pid: a forked copy has its own.
static FILES: Mutex<Option<(u32, [Option<File>; 2])>> = Mutex::new(None);

impl Standing {
    pub(crate) fn now() -> Self {
        let mut limits = [None; LIMITS];
        for (resource, limit) in limits.iter_mut().enumerate() {
            *limit = limit_of(resource as Resource);
        }
        // SAFETY: a plain call; 0 means this process.
        let session = unsafe { libc::getsid(0) };
        Self { limits, session, text: text() }
    }
}

fn limit_of(resource: Resource) -> Option<(u64, u64)> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: room for what the call writes.
    check(unsafe { libc::getrlimit(resource, limit.as_mut_ptr()) }).ok()?;
    // SAFETY: the call succeeded and filled it.
    let limit = unsafe { limit.assume_init() };
    Some((limit.rlim_cur, limit.rlim_max))
}

fn text() -> Vec<u8> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let own = process::id();
    if files.as_ref().is_none_or(|(pid, _)| *pid != own) {
        let open = |path| File::open(path).ok();
        *files = Some((own, [open("/proc/self/status"), open("/proc/self/oom_score_adj")]));
    }
    let mut text = Vec::with_capacity(512);
    let Some((_, [status, score])) = files.as_ref() else { return text };
    let mut buffer = [0; 8192];
    let mut read = |file: &Option<File>| {
        // A process whose state cannot be read has always the same.
        let length = file.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()).unwrap_or(0);
        buffer[..length].to_vec()
    };
    for line in read(status).split(|byte| *byte == b'\n') {
        if PREFIXES.iter().any(|prefix| line.starts_with(prefix)) {
            text.extend_from_slice(line);
        }
    }
    text.extend(read(score));
    text
}

#[cfg(test)]
mod tests {
    use super::Standing;

    #[test]
    fn it_is_the_same_until_something_changes() {
        let first = Standing::now();
        assert_eq!(first, Standing::now());
        assert!(first.text.starts_with(b"Umask:"), "{}", String::from_utf8_lossy(&first.text));
        assert!(first.limits.iter().all(Option::is_some));
    }
}

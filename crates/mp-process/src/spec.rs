//! What a child is told before its function runs: the same for every start method.

use std::ffi::OsString;
use std::path::PathBuf;

use mp_wire::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::signals::OnInterrupt;

/// A limit on what a process may use, for [`Builder::limit`](crate::Builder::limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of private memory (`RLIMIT_DATA`). The one to use for memory: it does not count the session's map.
    Data,
    /// Bytes of address space (`RLIMIT_AS`), the session's map (tens of GiB) included.
    AddressSpace,
    /// Open descriptors.
    OpenFiles,
    /// Bytes of the largest file.
    FileSize,
    /// Seconds of CPU time.
    Cpu,
    /// Bytes of a core dump.
    Core,
    /// Processes of the user.
    Processes,
    /// Bytes of the main thread's stack.
    Stack,
}

/// The head of the message that is a child's arguments; the arguments follow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The shim ([`crate::target`]).
    pub(crate) target: i64,
    /// The parent's image: the child must run the same.
    pub(crate) image: [u8; 16],
    pub(crate) daemon: bool,
    pub(crate) may_have_children: bool,
    pub(crate) on_interrupt: OnInterrupt,
    /// The whole environment, where it is not what the child has anyway.
    pub(crate) env: Option<Vec<(OsString, OsString)>>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) umask: Option<u32>,
    /// What the child inherits, where it has not by itself.
    pub(crate) niceness: Option<i32>,
    /// To be added to it.
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Option<Vec<usize>>,
    pub(crate) limits: Vec<(Limit, u64)>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) process_group: Option<u32>,
    pub(crate) new_session: bool,
    /// The places of OS handles among the handles of the arguments.
    pub(crate) handles: Vec<u32>,
    /// How deep in the tree of processes the child is.
    pub(crate) depth: u32,
    /// The start method that its own children use.
    pub(crate) start_method: u8,
    /// What it logs to standard error ([`crate::events`]).
    pub(crate) log: u8,
}

impl Spec {
    /// `length(4) | spec`, to be followed by the arguments.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        let fail = |e: postcard::Error| Error::Encode { type_name: "Spec".into(), detail: e.to_string() };
        let written = postcard::to_extend(self, std::mem::take(out)).map_err(fail)?;
        *out = written;
        let length = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// The spec, and the bytes behind it.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Spec, &[u8])> {
        let bad = |detail: String| Error::Decode { type_name: "Spec".into(), detail };
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| bad("too short".into()))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, rest) = rest.split_at_checked(length).ok_or_else(|| bad("too short".into()))?;
        Ok((postcard::from_bytes(head).map_err(|e| bad(e.to_string()))?, rest))
    }

    /// Gives this process its environment. Before it has a second thread, which could be reading it.
    pub(crate) fn apply_environment(&self) {
        if let Some(env) = &self.env {
            replace_environment(env);
        }
    }

    /// Does to this process what else the parent asked for. In an order in which each step may still need the rights that a
    /// later one gives up.
    pub(crate) fn apply(&self) -> Result<()> {
        if let Some(mask) = self.umask {
            mp_sys::set_umask(mask);
        }
        if self.new_session {
            mp_sys::set_own_session().map_err(|e| Error::os("lead a session of terminals", e))?;
        }
        if let Some(group) = self.process_group {
            mp_sys::set_process_group(group).map_err(|e| Error::os("set the process group", e))?;
        }
        if let Some(niceness) = self.niceness {
            mp_sys::nice(niceness - mp_sys::niceness())
                .map_err(|e| Error::os(format!("be as nice as the parent ({niceness})"), e))?;
        }
        if let Some(delta) = self.nice {
            mp_sys::nice(delta).map_err(|e| Error::os(format!("change niceness by {delta}"), e))?;
        }
        if let Some(cpus) = &self.affinity {
            mp_sys::set_affinity(cpus).map_err(|e| Error::os(format!("set affinity to {cpus:?}"), e))?;
        }
        for (limit, value) in &self.limits {
            mp_sys::set_rlimit(limit.to_sys(), *value, *value)
                .map_err(|e| Error::os(format!("limit {limit:?} to {value}"), e))?;
        }
        if let Some(cwd) = &self.cwd {
            std::env::set_current_dir(cwd)
                .map_err(|e| Error::os(format!("change to {}", cwd.display()), e))?;
        }
        if self.uid.is_some() || self.gid.is_some() {
            mp_sys::set_ids(self.uid, self.gid).map_err(|e| Error::os("change user or group", e))?;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "no other thread is there yet to read the environment")]
fn replace_environment(env: &[(OsString, OsString)]) {
    let keep: std::collections::HashSet<&OsString> = env.iter().map(|(k, _)| k).collect();
    for (key, _) in std::env::vars_os() {
        if !keep.contains(&key) {
            // SAFETY: called by a child before its function runs and before it starts the first thread of its own.
            unsafe { std::env::remove_var(&key) };
        }
    }
    for (key, value) in env {
        if std::env::var_os(key).as_ref() != Some(value) {
            // SAFETY: as above.
            unsafe { std::env::set_var(key, value) };
        }
    }
}

impl Limit {
    fn to_sys(self) -> mp_sys::Limit {
        match self {
            Limit::Data => mp_sys::Limit::Data,
            Limit::AddressSpace => mp_sys::Limit::AddressSpace,
            Limit::OpenFiles => mp_sys::Limit::OpenFiles,
            Limit::FileSize => mp_sys::Limit::FileSize,
            Limit::Cpu => mp_sys::Limit::Cpu,
            Limit::Core => mp_sys::Limit::Core,
            Limit::Processes => mp_sys::Limit::Processes,
            Limit::Stack => mp_sys::Limit::Stack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_comes_back_and_garbage_is_an_error() {
        let spec = Spec {
            target: -77,
            cwd: Some("/".into()),
            limits: vec![(Limit::OpenFiles, 32)],
            ..Spec::default()
        };
        let mut bytes = vec![];
        spec.write(&mut bytes).unwrap();
        bytes.extend_from_slice(b"args");
        let (back, rest) = Spec::read(&bytes).unwrap();
        assert_eq!((back.target, back.limits.len(), rest), (-77, 1, &b"args"[..]));
        for cut in 0..bytes.len() - 4 {
            assert!(Spec::read(&bytes[..cut]).is_err());
        }
    }
}

//! `posix_spawn`: a new image at a cost that does not grow with our memory.

use super::{
    call::{check_number, unsupported},
    descriptor,
};
use crate::spawn::{Program, SpawnRequest, Stdio};
use std::{
    ffi::{CStr, CString, OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    ptr,
};

pub(crate) fn same_variable(a: &OsStr, b: &OsStr) -> bool {
    a == b
}

pub(crate) fn is_out_of_descriptors(error: i32) -> bool {
    matches!(error, libc::EMFILE | libc::ENFILE)
}

pub(crate) fn spawn(request: &SpawnRequest<'_>) -> io::Result<crate::imp::child::Child> {
    let (path, name) = match request.program {
        Program::SelfImage => {
            let name = std::env::args_os().next().unwrap_or_default();
            (crate::imp::process::self_image()?, text(name)?)
        }
        Program::Path(path) => (text(path)?, text(path)?),
    };
    let arguments =
        [Ok(name)].into_iter().chain(request.args.iter().map(text)).collect::<io::Result<Vec<_>>>()?;
    let environment =
        request.env.iter().map(|(key, value)| variable(key, value)).collect::<io::Result<Vec<_>>>()?;
    let (arguments_list, environment_list) = (null_terminated(&arguments), null_terminated(&environment));

    // Streams that now are 0, 1 or 2 could be overwritten by one another: copied out of the way, until the child exists.
    let mut out_of_the_way: Vec<OwnedFd> = Vec::new();
    let mut actions = Actions::new()?;
    for (stream, target) in request.stdio.iter().zip(0..) {
        match stream {
            Stdio::Inherit => {}
            Stdio::Null => {
                actions.open_null(target, if target == 0 { libc::O_RDONLY } else { libc::O_WRONLY })?;
            }
            Stdio::Handle(fd) if fd.as_raw_fd() > 2 => actions.copy(fd.as_raw_fd(), target)?,
            Stdio::Handle(fd) => {
                let copy = descriptor::duplicate_high(fd.as_fd())?;
                actions.copy(copy.as_raw_fd(), target)?;
                out_of_the_way.push(copy);
            }
        }
    }
    for &number in &request.inherit {
        let fd = descriptor::from_number(number)?;
        if fd < 3 {
            return Err(invalid("a standard stream is not for `inherit`"));
        }
        actions.keep(fd)?;
    }
    if let Some(directory) = &request.cwd {
        actions.change_directory(&text(directory)?)?;
    }
    let attributes = Attributes::new(request.new_process_group, request.hold_interrupt)?;

    let mut pid: libc::pid_t = 0;
    // SAFETY: strings and lists live until the end of this function and end in NUL and null; actions and attributes are initialised.
    check_number(unsafe {
        libc::posix_spawn(
            &mut pid,
            path.as_ptr(),
            actions.0.as_ptr(),
            attributes.0.as_ptr(),
            arguments_list.as_ptr().cast(),
            environment_list.as_ptr().cast(),
        )
    })?;
    drop(out_of_the_way);
    Ok(crate::imp::child::Child::new(pid.cast_unsigned()))
}

/// File actions, destroyed when dropped. They are carried out in the child in their order.
struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: initialises what it is given.
        check_number(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        Ok(Self(actions))
    }

    fn copy(&mut self, source: libc::c_int, target: libc::c_int) -> io::Result<()> {
        // SAFETY: initialised in `new`.
        check_number(unsafe { libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), source, target) })
    }

    fn open_null(&mut self, target: libc::c_int, mode: libc::c_int) -> io::Result<()> {
        // SAFETY: initialised in `new`; the path is static.
        check_number(unsafe {
            libc::posix_spawn_file_actions_addopen(
                self.0.as_mut_ptr(),
                target,
                c"/dev/null".as_ptr(),
                mode,
                0,
            )
        })
    }

    /// The descriptor stays open under its number: glibc and musl take a copy onto itself as "not close-on-exec".
    #[cfg(not(target_os = "macos"))]
    fn keep(&mut self, fd: libc::c_int) -> io::Result<()> {
        self.copy(fd, fd)
    }

    /// The descriptor stays open under its number.
    #[cfg(target_os = "macos")]
    fn keep(&mut self, fd: libc::c_int) -> io::Result<()> {
        unsafe extern "C" {
            fn posix_spawn_file_actions_addinherit_np(
                actions: *mut libc::posix_spawn_file_actions_t,
                fd: libc::c_int,
            ) -> libc::c_int;
        }
        // SAFETY: initialised in `new`; the signature is that of <spawn.h>.
        check_number(unsafe { posix_spawn_file_actions_addinherit_np(self.0.as_mut_ptr(), fd) })
    }

    fn change_directory(&mut self, directory: &CStr) -> io::Result<()> {
        type Add =
            unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, *const libc::c_char) -> libc::c_int;
        // SAFETY: the name ends in NUL. Looked up by name because older C libraries do not have it.
        let add =
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"posix_spawn_file_actions_addchdir_np".as_ptr()) };
        if add.is_null() {
            return Err(unsupported("this C library cannot start a process in another directory"));
        }
        // SAFETY: a function of that name has this type in glibc, musl and macOS.
        let add = unsafe { std::mem::transmute::<*mut libc::c_void, Add>(add) };
        // SAFETY: initialised in `new`; the string is copied by the call.
        check_number(unsafe { add(self.0.as_mut_ptr(), directory.as_ptr()) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

/// Attributes: no signal blocked, save perhaps SIGINT, SIGPIPE not ignored, perhaps a group of its own. Destroyed when dropped.
struct Attributes(MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    fn new(new_process_group: bool, hold_interrupt: bool) -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: initialises what it is given.
        check_number(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        let mut this = Self(attributes);
        let mut flags =
            libc::POSIX_SPAWN_SETSIGMASK as libc::c_int | libc::POSIX_SPAWN_SETSIGDEF as libc::c_int;
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set is initialised by sigemptyset before each use, the attributes by `posix_spawnattr_init`.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            if hold_interrupt {
                libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            }
            check_number(libc::posix_spawnattr_setsigmask(this.0.as_mut_ptr(), set.as_ptr()))?;
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
            check_number(libc::posix_spawnattr_setsigdefault(this.0.as_mut_ptr(), set.as_ptr()))?;
        }
        if new_process_group {
            flags |= libc::POSIX_SPAWN_SETPGROUP as libc::c_int;
            // SAFETY: initialised above.
            check_number(unsafe { libc::posix_spawnattr_setpgroup(this.0.as_mut_ptr(), 0) })?;
        }
        // SAFETY: initialised above.
        check_number(unsafe { libc::posix_spawnattr_setflags(this.0.as_mut_ptr(), flags as libc::c_short) })?;
        Ok(this)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn text(string: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(string.as_ref().as_bytes()).map_err(|_| invalid("a NUL in a string for a new process"))
}

fn variable(key: &OsStr, value: &OsStr) -> io::Result<CString> {
    if key.is_empty() || key.as_bytes().contains(&b'=') {
        return Err(invalid("an environment variable without a proper name"));
    }
    let mut line = OsString::with_capacity(key.len() + 1 + value.len());
    line.push(key);
    line.push("=");
    line.push(value);
    CString::new(line.into_vec()).map_err(|_| invalid("a NUL in an environment variable"))
}

fn null_terminated(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

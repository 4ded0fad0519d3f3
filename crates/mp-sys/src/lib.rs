//! The operating system under `mp`.
//!
//! This is the only crate of the house that names an operating system. What it offers is a set of stateless calls: it
//! keeps no state but what it has learnt of the kernel (and, on Windows, event handles), starts no thread, and never decides what a death *means*. It says what the
//! kernel says, in one shape for all platforms, and the crates above build protocols from that.
//!
//! # Table of contents
//!
//! | module | idea | the kernel's part in it |
//! |---|---|---|
//! | [`memory`] | one anonymous memory object, mapped by every process of a session | memfd, section, unlinked shm |
//! | [`named_memory`] | memory under a name, as CPython makes and finds it | `shm_open`, named section |
//! | [`pair`] | two words replaced in one step | none: an instruction |
//! | [`mod@park`] | a thread sleeps on a word and watches other words for deaths | futex, `futex_waitv`, events |
//! | [`mod@poll`] | waiting for sockets and their kind | `poll`, `epoll`, `kqueue`, completion ports |
//! | [`beacon`] | a word that the kernel marks when its thread dies | the robust list |
//! | [`liveness`] | a lock that a process holds for as long as it lives | `fcntl` record locks |
//! | [`process`] | who a process is, whether it lives, what this machine has | `/proc`, `cgroup`, process handles |
//! | [`command`] | descriptors for a child that `std::process::Command` starts | `fcntl`, handle flags |
//! | [`mod@spawn`] | a new process image, and the end of it | `posix_spawn`, `CreateProcessW`, `waitid` |
//! | [`forking`] | copies of a single-threaded process, and a channel that carries descriptors | `clone`, `SCM_RIGHTS` |
//! | [`mod@handle`] | handles on their way to a child | `dup`, `DuplicateHandle` |
//! | [`local`] | a named meeting point of programs that are no relatives | local sockets, `SO_PEERCRED`, `SCM_RIGHTS` |
//! | [`mod@socket`] | connections with other programs, on this machine or another | sockets, named pipes |
//! | [`streams`] | the standard streams of this process, and its orderly end | `dup`, `atexit` |
//! | [`signals`] | signals that ask a process to end | `sigaction` |
//! | [`tree`] | the processes below a process | `/proc`, `pidfd_send_signal` |
//! | [`setup`] | what a new process does to itself before it works | `prctl`, `setrlimit`, signals |
//!
//! Everything is also re-exported here, so that users write `mp_sys::park(..)`.
//!
//! # How the rooms fit
//!
//! ```text
//!                    facade: documentation and shared types, no system call
//!   memory  named_memory  park  beacon  liveness  process  command  spawn  forking  local  streams  setup
//!      \      |      |       |        |        |       |       |        |       |      /
//!       imp::linux        imp::windows         imp::macos
//!              \                                /
//!               `--------- imp::unix ----------'   (what POSIX spells the same way)
//! ```
//!
//! Each `imp` has the same file names and function names; the compiler selects one. A facade function is one line, so that
//! its documentation exists once and cannot drift between platforms.
//!
//! # Rules of this crate
//!
//! * **Absent means said.** What a platform cannot do returns [`Unsupported`](std::io::ErrorKind::Unsupported), `false` or `None`,
//!   as its documentation says; nothing pretends.
//! * **Probe, do not assume.** Robust lists, `futex_waitv`, `pidfd_open`, `close_range` and `/proc` are tried at run time:
//!   containers, emulators and sandboxes take them away one by one. The fallback is slower, never wrong.
//! * **Numbers of descriptors cross only as [`Inherited`]**, from the process that owns one to the child that will.
//!   Everything else is an owned or a borrowed handle.
//! * **No descriptor is inherited by accident**: all are made close-on-exec (not inheritable), and [`spawn()`] names those that pass.
//! * **Interrupted calls are taken up again.** A signal is not an error.
//!
//! # Platform
//!
//! 64-bit Linux (x86-64 and arm64, glibc first), Windows 10 and later, macOS 12 and later.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("mp needs a 64-bit platform: a session reserves tens of GiB of address space");

#[cfg(not(any(target_os = "linux", target_os = "windows", target_os = "macos")))]
compile_error!("mp runs on Linux, Windows and macOS");

mod imp;

pub mod beacon;
pub mod clock;
pub mod command;
pub mod forking;
pub mod handle;
pub mod liveness;
pub mod local;
pub mod memory;
pub mod named_memory;
pub mod pair;
pub mod park;
pub mod poll;
pub mod process;
pub mod setup;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod standing;
pub mod streams;
pub mod tree;

#[doc(no_inline)]
pub use crate::{
    beacon::{Beacon, beacon_link, beacon_notify, beacon_unlink},
    clock::shared_nanos,
    command::inherit_descriptors,
    forking::{Channel, Forked, can_fork_siblings, fork, fork_sibling, replace_stdio},
    handle::{AsOsHandle, adopt_handle, duplicate_handle, number_to_inherit},
    liveness::LivenessFile,
    local::{LocalListener, LocalStream, Peer, current_user, private_directory},
    memory::{
        Inherited, Mapping, MemoryObject, SPARSE_IS_FREE, address_space_limit, file_size_limit,
        memory_available, page_size,
    },
    named_memory::{NAMED_MEMORY_PREFIX, NamedMemory},
    pair::{Pair, can_replace_pairs, replace_pair},
    park::{Bell, ProcessWatch, Watch, Woken, park, ring},
    poll::{AsSource, BorrowedSource, Interest, Poller, poll, source_of},
    process::{
        BirthWindow, ProcessState, cpu_count, current_pid, current_thread_id, exit_now, gained_rights,
        image_id, parent_pid, process_state, random_u128, start_time, thread_count,
    },
    setup::{
        ForkGuard, Limit, affinity, default_interrupt, die_with_parent, ignore_interrupt, nice,
        on_fork_wipe_page, reset_signals, set_affinity, set_ids, set_own_session, set_process_group,
        set_process_title, set_rlimit, set_umask,
    },
    signals::{Decide, kill_own_group, on_signal, signal_child},
    socket::{Endpoint, MAX_IN_PACKET, Signal as ReadySignal, Socket, SocketListener},
    spawn::{
        BorrowedOsHandle, Child, Exit, OsHandle, Program, Signal, SpawnRequest, Stdio, close_all_except,
        is_out_of_descriptors, same_variable, spawn,
    },
    standing::{Standing, niceness},
    streams::{at_exit, borrow, duplicate_stream, join_parents_group, null_stream, stream_identity},
    tree::{ProcessName, descendants, signal_process},
};

//! The bare system: what no library can beat. No errors are explained here and no deaths survived.
//!
//! Floors that need a small process of their own run this program again, in a role that an environment variable names.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::*};

const ROLE: &str = "MP_BENCH_ROLE";
const SOCKET: RawFd = 3;

fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// In a process that was started for a role, plays it and does not return. The first line of each benchmark.
pub fn play() {
    match std::env::var(ROLE).as_deref() {
        // SAFETY: ends the process.
        Ok("exit") => unsafe { libc::_exit(0) },
        Ok("zygote") => zygote(),
        Ok("burn") => burn(),
        _ => {}
    }
}

/// `fork`, `_exit`, `waitpid`.
///
/// # Errors
/// Those of the system.
pub fn fork_and_wait() -> io::Result<()> {
    // SAFETY: the child calls nothing but `_exit`.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    reap(pid)
}

fn reap(pid: libc::pid_t) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: the status is ours to be written.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    if status == 0 { Ok(()) } else { Err(io::Error::other(format!("a child ended with {status}"))) }
}

/// `posix_spawn` of this program, which exits at the top of `main`.
///
/// # Errors
/// Those of the system.
pub fn spawn_and_wait() -> io::Result<()> {
    let program = c"/proc/self/exe";
    let role = CString::new(format!("{ROLE}=exit"))?;
    let arguments = [program.as_ptr().cast_mut(), std::ptr::null_mut()];
    let environment = [role.as_ptr().cast_mut(), std::ptr::null_mut()];
    let mut pid = 0;
    // SAFETY: both lists end with a null and live until the call returns.
    let code = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    reap(pid)
}

/// The same by `std::process::Command`, as it comes.
///
/// # Errors
/// Those of the system.
pub fn command_and_wait() -> io::Result<()> {
    let status = Command::new("/proc/self/exe").env(ROLE, "exit").stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

/// A small process that forks on request: a byte comes, a child is forked, exits and is waited for, a byte goes back.
#[derive(Debug)]
pub struct Zygote {
    socket: OwnedFd,
    process: std::process::Child,
}

impl Zygote {
    /// Starts it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start() -> io::Result<Zygote> {
        use std::os::unix::process::CommandExt;
        let mut pair = [0; 2];
        // SAFETY: the pair is ours to be written.
        check(unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr())
        })?;
        // SAFETY: both are new, and nobody else's.
        let [ours, theirs] = pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let fd = theirs.as_raw_fd();
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().env(ROLE, "zygote");
        // SAFETY: only a system call between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if fd == SOCKET {
                    check(libc::fcntl(fd, libc::F_SETFD, 0)).map(|_| ())
                } else {
                    check(libc::dup2(fd, SOCKET)).map(|_| ())
                }
            });
        }
        Ok(Zygote { process: command.spawn()?, socket: ours })
    }

    /// One process, started and waited for.
    ///
    /// # Errors
    /// When the zygote is gone.
    pub fn fork_and_wait(&self) -> io::Result<()> {
        send(self.socket.as_raw_fd())?;
        if receive(self.socket.as_raw_fd())? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // SAFETY: the socket is open.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
        // It ends by itself; an error would mean that it has.
        let _ = self.process.wait();
    }
}

fn send(socket: RawFd) -> io::Result<()> {
    // SAFETY: one byte is read from a constant.
    let sent = unsafe { libc::send(socket, [1_u8].as_ptr().cast(), 1, libc::MSG_NOSIGNAL) };
    if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `false` at the end.
fn receive(socket: RawFd) -> io::Result<bool> {
    let mut byte = [0_u8];
    // SAFETY: one byte is written to our own.
    match unsafe { libc::recv(socket, byte.as_mut_ptr().cast(), 1, 0) } {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

fn zygote() -> ! {
    while let Ok(true) = receive(SOCKET) {
        if fork_and_wait().and_then(|()| send(SOCKET)).is_err() {
            break;
        }
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// Two processes that hand a word of shared memory to and fro, each asleep in a futex while it has not got it.
#[derive(Debug)]
pub struct FutexEcho {
    words: *mut AtomicU32,
    pid: libc::pid_t,
}

impl FutexEcho {
    /// Forks the other one. The caller has one thread so far.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start() -> io::Result<FutexEcho> {
        // SAFETY: a new mapping, wherever it fits.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the child runs the loop below and nothing else.
        let pid = check(unsafe { libc::fork() })?;
        let echo = FutexEcho { words: page.cast(), pid };
        if pid == 0 {
            // SAFETY: an echo does not outlive the benchmark.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            loop {
                echo.wait(0, 0);
                echo.word(0).store(0, SeqCst);
                echo.word(1).store(1, SeqCst);
                echo.wake(1);
            }
        }
        Ok(echo)
    }

    fn word(&self, i: usize) -> &AtomicU32 {
        // Each on a cache line of its own.
        // SAFETY: the page is mapped until the echo is dropped, and `i` is 0 or 1.
        unsafe { &*self.words.add(i * 64) }
    }

    fn wait(&self, i: usize, while_it_is: u32) {
        while self.word(i).load(SeqCst) == while_it_is {
            // SAFETY: the word is valid; no timeout.
            unsafe { libc::syscall(libc::SYS_futex, self.word(i), libc::FUTEX_WAIT, while_it_is, 0_usize) };
        }
    }

    fn wake(&self, i: usize) {
        // SAFETY: the word is valid.
        unsafe { libc::syscall(libc::SYS_futex, self.word(i), libc::FUTEX_WAKE, 1) };
    }

    /// There and back.
    pub fn round_trip(&self) {
        self.word(0).store(1, SeqCst);
        self.wake(0);
        self.wait(1, 0);
        self.word(1).store(0, SeqCst);
    }
}

impl Drop for FutexEcho {
    fn drop(&mut self) {
        // SAFETY: it is our child, which nobody else reaps, and the page is ours.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            libc::munmap(self.words.cast(), 4096);
        }
    }
}

/// Memory that is really there, in pages of 4 KiB.
#[derive(Debug)]
pub struct Touched {
    start: *mut libc::c_void,
    length: usize,
}

impl Touched {
    /// So many bytes.
    ///
    /// # Errors
    /// When there is not so much.
    pub fn new(length: usize) -> io::Result<Touched> {
        // SAFETY: a new mapping, wherever it fits.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let touched = Touched { start, length };
        // SAFETY: our own mapping.
        check(unsafe { libc::madvise(start, length, libc::MADV_NOHUGEPAGE) })?;
        for page in (0..length).step_by(4096) {
            // SAFETY: within the mapping.
            unsafe { start.cast::<u8>().add(page).write_volatile(1) };
        }
        Ok(touched)
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        // SAFETY: our own mapping; nobody has a pointer into it.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

/// A process that does nothing but need a core.
#[derive(Debug)]
pub struct Burner(std::process::Child);

impl Burner {
    /// Starts it, where the caller is placed.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start() -> io::Result<Burner> {
        Command::new("/proc/self/exe").env(ROLE, "burn").stdin(Stdio::piped()).spawn().map(Burner)
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        // An error would mean that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn burn() -> ! {
    // SAFETY: the burner does not outlive the benchmark.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    loop {
        std::hint::spin_loop();
    }
}

//! Locks without anything: a futex, and what the C library has, in memory that two processes share.

use std::cell::UnsafeCell;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::*};

/// One of each, and what two processes need to run in step.
#[repr(C)]
struct Page {
    futex: AtomicU32,
    plain: UnsafeCell<libc::pthread_mutex_t>,
    shared: UnsafeCell<libc::pthread_mutex_t>,
    robust: UnsafeCell<libc::pthread_mutex_t>,
    semaphore: UnsafeCell<libc::sem_t>,
    /// How often the other process is to do it, and which lock; 0 while it has nothing to do.
    work: AtomicU32,
    kind: AtomicU32,
}

/// Which lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Bare {
    /// A word and a futex: 0 free, 1 taken, 2 taken and somebody sleeps.
    Futex,
    /// `pthread_mutex_t` as it comes.
    Plain,
    /// The same between processes.
    Shared,
    /// The same, and robust.
    Robust,
    /// `sem_t` between processes.
    Semaphore,
}

const ALL: [Bare; 5] = [Bare::Futex, Bare::Plain, Bare::Shared, Bare::Robust, Bare::Semaphore];

/// Bare locks, and a forked process that takes them when told.
#[derive(Debug)]
pub struct BareLocks {
    page: *mut Page,
    pid: libc::pid_t,
}

impl BareLocks {
    /// Makes the locks and forks the other process. The caller has one thread so far.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start() -> io::Result<BareLocks> {
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
        let mut locks = BareLocks { page: page.cast(), pid: 0 };
        let page = locks.page();
        // SAFETY: zeroed memory of ours, initialised once; the attributes live as long as they are used.
        unsafe {
            for (mutex, shared, robust) in
                [(&page.plain, false, false), (&page.shared, true, false), (&page.robust, true, true)]
            {
                let mut attributes = std::mem::zeroed();
                libc::pthread_mutexattr_init(&raw mut attributes);
                if shared {
                    libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED);
                }
                if robust {
                    libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST);
                }
                libc::pthread_mutex_init(mutex.get(), &raw const attributes);
            }
            libc::sem_init(page.semaphore.get(), 1, 1);
            locks.pid = libc::fork();
        }
        if locks.pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if locks.pid == 0 {
            // SAFETY: it does not outlive the benchmark.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            loop {
                let page = locks.page();
                let count = page.work.load(Acquire);
                if count == 0 {
                    futex(&page.work, libc::FUTEX_WAIT, 0);
                    continue;
                }
                let kind = ALL[page.kind.load(Relaxed) as usize % ALL.len()];
                (0..count).for_each(|_| locks.once(kind));
                page.work.store(0, Release);
                futex(&page.work, libc::FUTEX_WAKE, 1);
            }
        }
        Ok(locks)
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped until the value is dropped; atomics, and what the C library may share.
        unsafe { &*self.page }
    }

    /// Takes the lock and gives it back.
    #[inline]
    pub fn once(&self, kind: Bare) {
        let page = self.page();
        // SAFETY: initialised in `start`, and used as the C library wants it.
        unsafe {
            match kind {
                Bare::Futex => {
                    lock(&page.futex);
                    unlock(&page.futex);
                }
                Bare::Plain => both(&page.plain),
                Bare::Shared => both(&page.shared),
                Bare::Robust => both(&page.robust),
                Bare::Semaphore => {
                    libc::sem_wait(page.semaphore.get());
                    libc::sem_post(page.semaphore.get());
                }
            }
        }
    }

    /// So often by this process, and as often by the other one at the same time.
    pub fn together(&self, kind: Bare, count: u32) {
        let page = self.page();
        page.kind.store(kind as u32, Relaxed);
        page.work.store(count, Release);
        futex(&page.work, libc::FUTEX_WAKE, 1);
        (0..count).for_each(|_| self.once(kind));
        loop {
            match page.work.load(Acquire) {
                0 => return,
                left => futex(&page.work, libc::FUTEX_WAIT, left),
            }
        }
    }
}

impl Drop for BareLocks {
    fn drop(&mut self) {
        // SAFETY: it is our child, which nobody else reaps, and the page is ours.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            libc::munmap(self.page.cast(), 4096);
        }
    }
}

/// # Safety
/// The mutex is initialised.
#[inline]
unsafe fn both(mutex: &UnsafeCell<libc::pthread_mutex_t>) {
    // SAFETY: by the caller.
    unsafe {
        libc::pthread_mutex_lock(mutex.get());
        libc::pthread_mutex_unlock(mutex.get());
    }
}

#[inline]
fn lock(word: &AtomicU32) {
    if word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
        for _ in 0..100 {
            if word.load(Relaxed) == 0 && word.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                return;
            }
            std::hint::spin_loop();
        }
        while word.swap(2, Acquire) != 0 {
            futex(word, libc::FUTEX_WAIT, 2);
        }
    }
}

#[inline]
fn unlock(word: &AtomicU32) {
    if word.swap(0, Release) == 2 {
        futex(word, libc::FUTEX_WAKE, 1);
    }
}

fn futex(word: &AtomicU32, call: libc::c_int, value: u32) {
    // SAFETY: the word is valid; no timeout.
    unsafe { libc::syscall(libc::SYS_futex, word, call, value, 0_usize) };
}

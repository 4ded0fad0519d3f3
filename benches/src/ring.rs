//! A bare ring in shared memory, between this process and one that it forked: one producer, one consumer, messages of one size, no
//! deaths, no sleeping. Who has nothing to do spins, and after a while lets others run.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};

use crate::mapped::Mapped;

const SLOTS: usize = 1024;
/// The largest message.
const LARGEST: usize = 1024;
/// Words of the header: what is wanted (count and size), how far the producer and the consumer are; each on lines of its own.
const ORDER: usize = 0;
const TAIL: usize = 16;
const HEAD: usize = 32;
const FIRST: usize = 64;

/// The consumer's end; the producer is a child.
#[derive(Debug)]
pub struct RingPeer {
    memory: Mapped,
    pid: libc::pid_t,
    head: usize,
}

impl RingPeer {
    /// Forks the producer. The caller has one thread so far.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start() -> io::Result<RingPeer> {
        let memory = Mapped::new(FIRST * 8 + SLOTS * LARGEST)?;
        // SAFETY: the child runs the loop below and nothing else.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        let peer = RingPeer { memory, pid, head: 0 };
        if pid == 0 {
            // SAFETY: the producer does not outlive the benchmark.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            peer.produce();
        }
        Ok(peer)
    }

    fn word(&self, i: usize) -> &AtomicU64 {
        // SAFETY: inside of the mapping, which is aligned to pages; used as an atomic by both.
        unsafe { &*self.memory.start().cast::<AtomicU64>().add(i) }
    }

    fn index(&self, i: usize) -> &AtomicUsize {
        // SAFETY: as in `word`.
        unsafe { &*self.memory.start().cast::<AtomicUsize>().add(i) }
    }

    fn slot(&self, at: usize, size: usize) -> *mut u8 {
        // SAFETY: inside of the mapping: there are `SLOTS` slots, none larger than `LARGEST`.
        unsafe { self.memory.start().cast::<u8>().add(FIRST * 8 + at % SLOTS * size) }
    }

    fn produce(&self) -> ! {
        let (mut tail, mut head) = (0, 0);
        let message = [7_u8; LARGEST];
        loop {
            let order = until(|| Some(self.word(ORDER).load(Acquire)).filter(|order| *order != 0));
            self.word(ORDER).store(0, Release);
            let (count, size) = (order >> 32, order as usize & 0xFFFF_FFFF);
            for _ in 0..count {
                if tail - head == SLOTS {
                    head = until(|| Some(self.index(HEAD).load(Acquire)).filter(|head| tail - head < SLOTS));
                }
                // SAFETY: the slot is ours until the tail has moved past it.
                unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), self.slot(tail, size), size) };
                tail += 1;
                self.index(TAIL).store(tail, Release);
            }
        }
    }

    /// Gets so many messages of that size.
    pub fn one_way(&mut self, count: u32, size: usize) {
        let size = size.min(LARGEST);
        let mut message = [0_u8; LARGEST];
        self.word(ORDER).store(u64::from(count) << 32 | size as u64, Release);
        let (mut head, mut tail) = (self.head, self.head);
        for _ in 0..count {
            if head == tail {
                tail = until(|| Some(self.index(TAIL).load(Acquire)).filter(|tail| *tail > head));
            }
            // SAFETY: the slot was filled, and is ours until the head has moved past it.
            unsafe { std::ptr::copy_nonoverlapping(self.slot(head, size), message.as_mut_ptr(), size) };
            std::hint::black_box(&message);
            head += 1;
            self.index(HEAD).store(head, Release);
        }
        self.head = head;
    }
}

impl Drop for RingPeer {
    fn drop(&mut self) {
        // SAFETY: it is our child, which nobody else reaps.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

fn until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let mut rounds = 0_u32;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        rounds += 1;
        if rounds < 200 { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

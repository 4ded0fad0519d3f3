//! A bare ring in shared memory, between this process and one that it forked: one producer, one consumer, messages of one size, no
//! deaths, no sleeping. Who has nothing to do spins, and after a while lets others run; between two orders the producer sleeps, for
//! others are measured then.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::*};

use crate::mapped::Mapped;

const SLOTS: usize = 1024;
/// The largest message.
const LARGEST: usize = 1024;
/// Words of the header: how far the producer and the consumer are; each on lines of its own.
const TAIL: usize = 16;
const HEAD: usize = 32;
const FIRST: usize = 64;

/// The consumer's end; the producer is a child.
#[derive(Debug)]
pub struct RingPeer {
    memory: Mapped,
    /// What is wanted: count and size.
    orders: UnixStream,
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
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: the child runs the loop below and nothing else.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            drop(ours);
            RingPeer { memory, orders: theirs, pid, head: 0 }.produce();
        }
        Ok(RingPeer { memory, orders: ours, pid, head: 0 })
    }

    fn index(&self, i: usize) -> &AtomicUsize {
        // SAFETY: inside of the mapping, which is aligned to pages; used as an atomic by both.
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
            let mut order = [0; 8];
            if (&self.orders).read_exact(&mut order).is_err() {
                // SAFETY: the consumer is gone; a fork of a benchmark has nothing to clear up.
                unsafe { libc::_exit(0) };
            }
            let order = u64::from_ne_bytes(order);
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
    ///
    /// # Errors
    /// Those of the socket that the producer gets its orders by.
    pub fn one_way(&mut self, count: u32, size: usize) -> io::Result<()> {
        let size = size.min(LARGEST);
        let mut message = [0_u8; LARGEST];
        self.orders.write_all(&(u64::from(count) << 32 | size as u64).to_ne_bytes())?;
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
        Ok(())
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

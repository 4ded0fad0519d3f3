//! What does a message through a pipe cost, small and large, awake and asleep?

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: pipe (it measures beside Linux's own sockets)");
}

#[cfg(target_os = "linux")]
#[path = "pipe/peers.rs"]
mod peers;

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::peers::{self, End, IpcChannel, LocalSocket};
    use mp_benches::floors::Burner;
    use mp_benches::sockets::SocketPeer;
    use mp_benches::table::{Unit, timed, timed_with_cpu};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_pipe::{Connection, Link};
    use mp_process::Process;
    use mp_shared::SharedMemory;

    /// Longer than anybody spins.
    const PAUSE: Duration = Duration::from_micros(300);
    /// A stranger is to have at least 0.9 of the bare socket.
    const STRANGERS: Goal = Goal::Times(1.0 / 0.9, "socket pair");

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], tables);
    }

    fn tables(placement: Placement) {
        // Forked while there is one thread.
        let bare = SocketPeer::start().and_then(|socket| Ok((socket, SocketPeer::over_pipes()?)));
        if let Err(error) = all(placement, bare) {
            println!("pipe: {error}");
        }
    }

    /// Without the pauses.
    fn rested(work: impl FnOnce(&mut dyn FnMut()) -> Result<(), Failure>) -> Result<Spent, Failure> {
        let mut paused = Duration::ZERO;
        let begin = Instant::now();
        work(&mut || {
            let begin = Instant::now();
            std::thread::sleep(PAUSE);
            paused += begin.elapsed();
        })?;
        Ok(Spent { wall: begin.elapsed().saturating_sub(paused), cpu: None })
    }

    /// Everybody that there is to be measured.
    struct All {
        pipe: Connection,
        child: u32,
        link: Link,
        socket: RefCell<SocketPeer>,
        pipes: RefCell<SocketPeer>,
        ipc: Option<IpcChannel>,
        local: Option<RefCell<LocalSocket>>,
        python: Option<RefCell<Python>>,
    }

    impl All {
        fn ask(&self, what: &str, n: u32) -> Result<Spent, Failure> {
            self.python.as_ref().ok_or("no CPython")?.borrow_mut().run(what, n)
        }
    }

    fn all(placement: Placement, bare: std::io::Result<(SocketPeer, SocketPeer)>) -> Result<(), Failure> {
        let (socket, pipes) = bare?;
        let (pipe, theirs) = mp_pipe::pipe()?;
        let child = Process::spawn(peers::at_a_pipe, (theirs,))?;
        let (link, theirs) = Link::pair()?;
        let at_a_link = Process::spawn(peers::at_a_link, (theirs,))?;
        let told = |what: &'static str| move |reason: &Failure| println!("pipe: {what}: {reason}");
        let all = All {
            pipe,
            child: child.pid(),
            link,
            socket: RefCell::new(socket),
            pipes: RefCell::new(pipes),
            ipc: IpcChannel::start().inspect_err(told("ipc-channel")).ok(),
            local: LocalSocket::start().inspect_err(told("interprocess")).ok().map(RefCell::new),
            python: Python::start().inspect_err(told("CPython")).ok().map(RefCell::new),
        };
        there_and_back(placement, &all);
        one_way(placement, &all);
        blocks(placement)?;
        drop(all);
        child.join()?;
        at_a_link.join()?;
        Ok(())
    }

    fn there_and_back(placement: Placement, all: &All) {
        let mut table = Table::new("pipe: 64 bytes there and back", Unit::Micros, placement);
        let message = [7; 64];
        let two = placement == Placement::TWO;
        let hot = if two { &[Goal::AtMost(0.5)][..] } else { &[] };
        table.row("mp pipe", 20_000, hot, |n| {
            timed_with_cpu(&[all.child], || Ok(all.pipe.round_trips(n, &message, || {})?))
        });
        if two {
            table.row("mp pipe, 3 processes on 2 cores", 5_000, &[], |n| {
                let _burner = Burner::start()?;
                timed(|| Ok(all.pipe.round_trips(n, &message, || {})?))
            });
        }
        table.row("mp pipe, asleep", 300, &[Goal::Times(1.1, "socket pair, asleep")], |n| {
            rested(|pause| Ok(all.pipe.round_trips(n, &message, pause)?))
        });
        table.row("mp link, for strangers", 3_000, &[STRANGERS], |n| {
            timed(|| Ok(all.link.round_trips(n, &message, || {})?))
        });
        table.row("socket pair", 3_000, &[], |n| {
            timed(|| Ok(all.socket.borrow_mut().round_trips(n, &message, || {})?))
        });
        table.row("socket pair, asleep", 300, &[], |n| {
            rested(|pause| Ok(all.socket.borrow_mut().round_trips(n, &message, pause)?))
        });
        table.row("pipe(2)", 3_000, &[], |n| {
            timed(|| Ok(all.pipes.borrow_mut().round_trips(n, &message, || {})?))
        });
        if let Some(ipc) = &all.ipc {
            table.row("ipc-channel, bytes", 1_000, &[], |n| timed(|| ipc.round_trips(n, &message)));
        }
        if let Some(local) = &all.local {
            table.row("interprocess local socket", 3_000, &[], |n| {
                timed(|| Ok(local.borrow_mut().round_trips(n, &message)?))
            });
        }
        if all.python.is_some() {
            table.row("CPython Pipe", 1_000, &[], |n| all.ask("pipe_rtt", n));
        }
        table.measure();
    }

    fn one_way(placement: Placement, all: &All) {
        let sizes: [(&str, usize, u32, Goal, &str); 3] = [
            ("pipe: 64 bytes, one way", 64, 200_000, Goal::AtMost(100.0), "pipe_64"),
            // 15 and 12 GB/s.
            ("pipe: 64 KiB, one way", 64 << 10, 5_000, Goal::AtMost(4_369.0), "pipe_64k"),
            ("pipe: 1 MiB, one way", 1 << 20, 500, Goal::AtMost(87_381.0), "pipe_1m"),
        ];
        for (title, size, count, goal, what) in sizes {
            let message = vec![7; size];
            let mut copy = message.clone();
            let mut table = Table::new(title, Unit::Nanos, placement);
            let goals = if placement == Placement::TWO { &[goal][..] } else { &[] };
            let few = (count / 10).max(100);
            table.row("mp pipe", count, goals, |n| {
                timed_with_cpu(&[all.child], || Ok(all.pipe.one_way(n, &message)?))
            });
            table.row("mp link, for strangers", few, &[STRANGERS], |n| {
                timed(|| Ok(all.link.one_way(n, &message)?))
            });
            table.row("socket pair", few, &[], |n| {
                timed(|| Ok(all.socket.borrow_mut().one_way(n, &message)?))
            });
            table.row("pipe(2)", few, &[], |n| timed(|| Ok(all.pipes.borrow_mut().one_way(n, &message)?)));
            if let Some(ipc) = &all.ipc {
                table.row("ipc-channel, bytes", few, &[], |n| timed(|| ipc.one_way(n, &message)));
            }
            if let Some(local) = &all.local {
                table.row("interprocess local socket", few, &[], |n| {
                    timed(|| Ok(local.borrow_mut().one_way(n, &message)?))
                });
            }
            table.row("memcpy, one copy", count, &[], |n| {
                timed(|| {
                    (0..n).for_each(|_| black_box(&mut copy).copy_from_slice(black_box(&message)));
                    Ok(())
                })
            });
            if all.python.is_some() {
                table.row("CPython Pipe, bytes", (count / 20).max(50), &[], |n| all.ask(what, n));
            }
            table.measure();
        }
    }

    /// A megabyte that nobody copies.
    fn blocks(placement: Placement) -> Result<(), Failure> {
        let (ours, theirs) = mp_pipe::pipe()?;
        let child = Process::spawn(peers::of_blocks, (theirs,))?;
        let block = SharedMemory::new(1 << 20)?;
        let mut table = Table::new("pipe: a shared block of 1 MiB, handed over", Unit::Micros, placement);
        let goals = if placement == Placement::TWO { &[Goal::AtMost(2.0)][..] } else { &[] };
        table.row("mp pipe", 20_000, goals, |n| {
            timed(|| {
                ours.send(n)?;
                for _ in 0..n {
                    ours.send(block.clone())?;
                }
                Ok(ours.recv::<()>()?)
            })
        });
        table.measure();
        drop(ours);
        child.join()?;
        Ok(())
    }
}

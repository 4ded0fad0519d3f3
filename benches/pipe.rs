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
mod linux {
    use std::cell::RefCell;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use mp_benches::sockets::SocketPeer;
    use mp_benches::table::{Unit, timed};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_pipe::Connection;
    use mp_process::Process;

    /// Longer than anybody spins.
    const PAUSE: Duration = Duration::from_micros(300);

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], tables);
    }

    fn tables(placement: Placement) {
        // Forked while there is one thread.
        let socket = SocketPeer::start();
        if let Err(error) = all(placement, socket) {
            println!("pipe: {error}");
        }
    }

    /// The other end, in a process of its own: as many messages as it is told, answered each, or once after the last.
    fn peer(end: Connection) -> mp_pipe::Result<()> {
        while let Ok((count, size, each)) = end.recv::<(u32, usize, bool)>() {
            let mut message = vec![0; size];
            for _ in 0..count {
                end.recv_bytes_into(&mut message)?;
                if each {
                    end.send_bytes(&message)?;
                }
            }
            if !each {
                end.send(())?;
            }
        }
        Ok(())
    }

    fn round_trips(
        end: &Connection,
        count: u32,
        message: &[u8],
        mut between: impl FnMut(),
    ) -> mp_pipe::Result<()> {
        end.send((count, message.len(), true))?;
        let mut answer = vec![0; message.len()];
        for _ in 0..count {
            end.send_bytes(message)?;
            end.recv_bytes_into(&mut answer)?;
            between();
        }
        Ok(())
    }

    fn one_way(end: &Connection, count: u32, message: &[u8]) -> mp_pipe::Result<()> {
        end.send((count, message.len(), false))?;
        for _ in 0..count {
            end.send_bytes(message)?;
        }
        end.recv()
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

    fn all(placement: Placement, socket: std::io::Result<SocketPeer>) -> Result<(), Failure> {
        let socket = RefCell::new(socket?);
        let (ours, theirs) = mp_pipe::pipe()?;
        let child = Process::spawn(peer, (theirs,))?;
        let python = Python::start().inspect_err(|reason| println!("pipe: {reason}")).ok();
        let has_python = python.is_some();
        let python = RefCell::new(python);
        let ask = |what: &str, n: u32| match python.borrow_mut().as_mut() {
            Some(python) => python.run(what, n),
            None => Err("no CPython".into()),
        };

        let mut table = Table::new("pipe: 64 bytes there and back", Unit::Micros, placement);
        let message = [7; 64];
        let hot = if placement == Placement::TWO { &[Goal::AtMost(0.5)][..] } else { &[] };
        table.row("mp pipe", 20_000, hot, |n| timed(|| Ok(round_trips(&ours, n, &message, || {})?)));
        table.row("mp pipe, asleep", 300, &[Goal::Times(1.1, "socket pair, asleep")], |n| {
            rested(|pause| Ok(round_trips(&ours, n, &message, pause)?))
        });
        table.row("socket pair", 3_000, &[], |n| {
            timed(|| Ok(socket.borrow_mut().round_trips(n, &message, || {})?))
        });
        table.row("socket pair, asleep", 300, &[], |n| {
            rested(|pause| Ok(socket.borrow_mut().round_trips(n, &message, pause)?))
        });
        if has_python {
            table.row("CPython Pipe", 1_000, &[], |n| ask("pipe_rtt", n));
        }
        table.measure();

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
            table.row("mp pipe", count, goals, |n| timed(|| Ok(one_way(&ours, n, &message)?)));
            table.row("socket pair", (count / 10).max(100), &[], |n| {
                timed(|| Ok(socket.borrow_mut().one_way(n, &message)?))
            });
            table.row("memcpy, one copy", count, &[], |n| {
                timed(|| {
                    (0..n).for_each(|_| black_box(&mut copy).copy_from_slice(black_box(&message)));
                    Ok(())
                })
            });
            if has_python {
                table.row("CPython Pipe, bytes", (count / 20).max(50), &[], |n| ask(what, n));
            }
            table.measure();
        }
        drop(ours);
        child.join()?;
        Ok(())
    }
}

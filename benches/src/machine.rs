//! Placement on cores, and CPU time.

use std::fmt;
use std::io;
use std::time::Duration;

/// The cores that a table is measured on: this process, and whatever it starts from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement(usize);

impl Placement {
    /// The first core of those that were ours at the beginning.
    pub const ONE: Placement = Placement(1);
    /// The first two.
    pub const TWO: Placement = Placement(2);

    /// Goes there. Threads and processes that exist already stay where they are.
    ///
    /// # Errors
    /// When the system refuses, or we have fewer cores.
    pub fn pin(self) -> io::Result<()> {
        let ours = at_the_beginning()?;
        let cores = (0..libc::CPU_SETSIZE as usize)
            // SAFETY: the index is below the set's size.
            .filter(|c| unsafe { libc::CPU_ISSET(*c, ours) })
            .take(self.0);
        // SAFETY: a set of bits may be zero.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let mut count = 0;
        for core in cores {
            // SAFETY: the index is below the set's size.
            unsafe { libc::CPU_SET(core, &mut set) };
            count += 1;
        }
        if count < self.0 {
            return Err(io::Error::other(format!("{count} cores are ours")));
        }
        // SAFETY: the set is whole; 0 is the calling thread.
        match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Names, in a run for one placement, how many cores that is.
const CORES: &str = "MP_BENCH_CORES";

/// Runs the tables of each placement in a run of this program of its own: what a process or a server of processes learns about its
/// cores when it begins is right then, and handed down to all that it starts.
pub fn placed(placements: &[Placement], tables: impl Fn(Placement)) {
    if let Some(cores) = std::env::var(CORES).ok().and_then(|cores| cores.parse().ok()) {
        return tables(Placement(cores));
    }
    for placement in placements {
        let run = || -> io::Result<()> {
            placement.pin()?;
            let arguments = std::env::args_os().skip(1);
            let mut command = std::process::Command::new("/proc/self/exe");
            let status = command.args(arguments).env(CORES, placement.0.to_string()).status()?;
            if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
        };
        if let Err(error) = run() {
            println!("{placement}: {error}");
        }
    }
}

fn at_the_beginning() -> io::Result<&'static libc::cpu_set_t> {
    static OURS: std::sync::OnceLock<libc::cpu_set_t> = std::sync::OnceLock::new();
    if let Some(set) = OURS.get() {
        return Ok(set);
    }
    // SAFETY: a set of bits may be zero.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to be written, and as large as is said.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(OURS.get_or_init(|| set))
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 == 1 { "everybody on one core" } else { "everybody on two cores" })
    }
}

/// CPU time of this process, of the children it has reaped, and of those processes, so far.
pub fn cpu_of(others: &[u32]) -> Duration {
    let mut sum = clock(libc::CLOCK_PROCESS_CPUTIME_ID);
    // SAFETY: plain numbers, which may be zero.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours to be written.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) } == 0 {
        for time in [usage.ru_utime, usage.ru_stime] {
            sum += Duration::from_micros((time.tv_sec * 1_000_000 + time.tv_usec).cast_unsigned());
        }
    }
    for pid in others {
        let mut id = 0;
        // SAFETY: the number is ours to be written. An error means that the process is gone.
        if unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut id) } == 0 {
            sum += clock(id);
        }
    }
    sum
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours to be written.
    if unsafe { libc::clock_gettime(id, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The processor, and how busy others keep it.
pub fn name() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|l| l.split_once(": ")))
        .map_or("unknown processor", |(_, name)| name);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("{model}, load {}", load.split(' ').next().unwrap_or("unknown"))
}

//! Does starting a process depend on the parent's memory, or on how many processes there are?

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: flat (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use mp_benches::floors::{self, Touched};
    use mp_benches::table::{Unit, timed};
    use mp_benches::{Failure, Goal, Placement, Spent, Table};
    use mp_process::{Process, StartMethod};

    const SMALL: usize = 10 << 20;
    const LARGE: usize = 1 << 30;
    const MANY: u32 = 1_000;

    fn ours(method: StartMethod) -> Result<(), Failure> {
        Ok(Process::builder().start_method(method).spawn(|| (), ())?.join()?)
    }

    fn forked() -> Result<(), Failure> {
        Ok(floors::fork_and_wait()?)
    }

    /// So many in turn, by a parent with that much memory.
    fn with(memory: usize, count: u32, one: fn() -> Result<(), Failure>) -> Result<Spent, Failure> {
        let memory = Touched::new(memory)?;
        // One before the clock runs: the first pays for what the mapping above changed.
        one()?;
        let spent = timed(|| (0..count).try_for_each(|_| one()));
        drop(memory);
        spent
    }

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO], |placement| {
            memory(placement);
            number(placement);
        });
    }

    fn memory(placement: Placement) {
        let mut table = Table::new("Start and join, by the parent's touched memory", Unit::Micros, placement);
        let server: fn() -> Result<(), Failure> = || ours(StartMethod::ForkServer);
        let spawn: fn() -> Result<(), Failure> = || ours(StartMethod::Spawn);
        table.row("mp ForkServer, 10 MiB", 100, &[], move |n| with(SMALL, n, server));
        let goal = Goal::Times(1.1, "mp ForkServer, 10 MiB");
        table.row("mp ForkServer, 1 GiB", 100, &[goal], move |n| with(LARGE, n, server));
        table.row("mp Spawn, 10 MiB", 50, &[], move |n| with(SMALL, n, spawn));
        let goal = Goal::Times(1.1, "mp Spawn, 10 MiB");
        table.row("mp Spawn, 1 GiB", 50, &[goal], move |n| with(LARGE, n, spawn));
        table.row("floor: fork, 10 MiB", 20, &[], move |n| with(SMALL, n, forked));
        table.row("floor: fork, 1 GiB", 4, &[], move |n| with(LARGE, n, forked));
        table.measure();
    }

    fn all_at_once(method: StartMethod, count: u32) -> Result<(), Failure> {
        let started: Result<Vec<_>, _> =
            (0..count).map(|_| Process::builder().start_method(method).spawn(|| (), ())).collect();
        for process in started? {
            process.join()?;
        }
        Ok(())
    }

    fn number(placement: Placement) {
        let mut table =
            Table::new("1,000 processes started, then joined, by one parent", Unit::Micros, placement);
        for (one, many, method) in [
            ("ForkServer, one at a time", "ForkServer, 1,000 started, then joined", StartMethod::ForkServer),
            ("Spawn, one at a time", "Spawn, 1,000 started, then joined", StartMethod::Spawn),
        ] {
            table.row(one, MANY / 4, &[], move |n| timed(|| (0..n).try_for_each(|_| ours(method))));
            table.row(many, MANY, &[Goal::Times(1.0, one)], move |n| timed(|| all_at_once(method, n)));
        }
        table.measure();
    }
}

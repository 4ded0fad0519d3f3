//! What does it cost to start a process that does nothing, and to join it?

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    procspawn::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: start (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;

    use mp_benches::floors::{self, Zygote};
    use mp_benches::table::{Unit, timed, timed_with_cpu};
    use mp_benches::{Failure, Goal, Placement, Python, Table};
    use mp_process::{Process, StartMethod};

    fn ours(method: StartMethod) -> Result<(), Failure> {
        Ok(Process::builder().start_method(method).spawn(|| (), ())?.join()?)
    }

    fn times(count: u32, mut one: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        (0..count).try_for_each(|_| one())
    }

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], |placement| {
            if let Err(error) = table(placement) {
                println!("start: {error}");
            }
        });
    }

    fn table(placement: Placement) -> Result<(), Failure> {
        let zygote = Zygote::start()?;
        let python = Python::start();
        let mut table = Table::new("Start and join a process that does nothing", Unit::Micros, placement);
        table.row("floor: fork, _exit, waitpid", 100, &[], |n| {
            timed_with_cpu(&[], || times(n, || Ok(floors::fork_and_wait()?)))
        });
        table.row("zygote floor", 100, &[], |n| timed(|| times(n, || Ok(zygote.fork_and_wait()?))));
        table.row("mp ForkServer", 100, &[Goal::Times(1.3, "zygote floor")], |n| {
            timed_with_cpu(&[], || times(n, || ours(StartMethod::ForkServer)))
        });
        table.row("posix_spawn floor", 50, &[], |n| {
            timed_with_cpu(&[], || times(n, || Ok(floors::spawn_and_wait()?)))
        });
        table.row("mp Spawn", 50, &[Goal::Times(1.1, "posix_spawn floor")], |n| {
            timed_with_cpu(&[], || times(n, || ours(StartMethod::Spawn)))
        });
        table.row("std::process::Command", 50, &[], |n| {
            timed_with_cpu(&[], || times(n, || Ok(floors::command_and_wait()?)))
        });
        table.row("procspawn", 30, &[], |n| {
            timed_with_cpu(&[], || times(n, || Ok(procspawn::spawn((), |()| ()).join()?)))
        });
        match python {
            Err(reason) => table.note(reason.to_string()),
            Ok(python) => {
                table.note(format!("CPython {}", python.version));
                let python = std::rc::Rc::new(RefCell::new(python));
                for (name, what, count) in [
                    ("CPython fork", "fork", 30),
                    ("CPython forkserver", "forkserver", 8),
                    ("CPython spawn", "spawn", 2),
                ] {
                    let python = python.clone();
                    table.row(name, count, &[], move |n| python.borrow_mut().run(what, n));
                }
            }
        }
        table.measure();
        Ok(())
    }
}

//! Who is who: pids, parents, names; and how processes end.

use std::time::Duration;

use mp::prelude::*;

fn who() -> (u32, Option<u32>, String) {
    let me = mp::current_process();
    (me.pid, mp::parent_process().map(|parent| parent.pid()), me.name)
}

fn sleep_for_long() {
    std::thread::sleep(Duration::from_secs(60));
}

#[mp::main]
fn main() -> mp::Result<()> {
    assert_eq!(mp::current_process().name, "MainProcess");
    assert!(mp::parent_process().is_none());

    let child = Process::builder().name("child").spawn(who, ())?;
    let (pid, parent, name) = child.join()?;
    println!("child: pid {pid}, parent {parent:?}, name {name}");
    assert_eq!((pid, parent, name.as_str()), (child.pid(), Some(std::process::id()), "child"));
    assert_eq!((child.is_alive(), child.exitcode()), (false, Some(0)));

    let sleeper = Process::spawn(sleep_for_long, ())?;
    println!("{}: alive {}, exit code {:?}", sleeper.name(), sleeper.is_alive(), sleeper.exitcode());
    assert!(sleeper.is_alive() && sleeper.exitcode().is_none());
    assert_eq!(mp::active_children().len(), 1);

    sleeper.terminate()?;
    let error = sleeper.join().unwrap_err();
    println!("{}: alive {}, exit code {:?}: {error}", sleeper.name(), sleeper.is_alive(), sleeper.exitcode());
    assert!(!sleeper.is_alive() && mp::active_children().is_empty());
    if cfg!(unix) {
        assert_eq!(sleeper.exitcode(), Some(-15), "minus the signal that ended it");
    }
    Ok(())
}

//! Locks held for life, and what the kernel says about a process.

mod common;
use common::{Words, again, soon, told};
use mp_sys::{Exit, LivenessFile, ProcessState, Signal, current_pid, process_state, start_time};

#[test]
fn a_lock_vanishes_with_its_process() {
    if let Some(told) = told() {
        let words = Words::inherited(told[0]);
        // SAFETY: the parent told us a number that it named for us.
        let file = unsafe { LivenessFile::from_inherited(told[1]) }.expect("inherited");
        file.hold(5).expect("hold");
        if file.held_by_other(1).expect("ask").is_some() {
            assert_eq!(file.held_by_other(1).expect("ask"), Some(true), "the parent holds that one");
        }
        words.set(0, 1);
        words.stay();
    }
    let words = Words::create();
    let file = LivenessFile::create().expect("create");
    file.hold(1).expect("hold");
    let numbers = [words.object.as_inherited(), file.as_inherited()];
    let inherit = if cfg!(windows) { &numbers[..1] } else { &numbers[..] };
    let kid = again("a_lock_vanishes_with_its_process", &numbers, inherit);
    words.wait_for(0, 1);
    let Some(held) = file.held_by_other(5).expect("ask") else {
        return; // this platform gives no such evidence
    };
    assert!(held);
    assert_eq!(file.held_by_other(6).expect("ask"), Some(false));
    assert_eq!(file.hold(5).expect_err("hold").kind(), std::io::ErrorKind::WouldBlock);
    kid.0.signal(Signal::Kill).expect("kill");
    kid.0.wait(soon()).expect("wait");
    assert_eq!(file.held_by_other(5).expect("ask"), Some(false));
    file.hold(5).expect("hold");
    file.release(5).expect("release");
}

#[test]
fn this_process_runs_and_is_known_by_its_start() {
    let me = current_pid();
    let start = start_time(me).expect("start time");
    assert_eq!(process_state(me, start).expect("state"), ProcessState::Running);
    assert_eq!(process_state(me, 0).expect("state"), ProcessState::Running, "0 is not compared");
    assert_eq!(process_state(me, start + 1).expect("state"), ProcessState::Gone, "a recycled pid");
    assert_eq!(start_time(me).expect("start time"), start);
}

#[test]
fn a_child_runs_then_is_a_zombie_then_gone() {
    if let Some(told) = told() {
        Words::inherited(told[0]).wait_for(0, 1);
        return;
    }
    let words = Words::create();
    let number = words.object.as_inherited();
    let kid = again("a_child_runs_then_is_a_zombie_then_gone", &[number], &[number]);
    let (pid, start) = (kid.0.pid(), start_time(kid.0.pid()).expect("start time"));
    assert_eq!(process_state(pid, start).expect("state"), ProcessState::Running);
    assert_eq!(kid.0.try_wait().expect("try"), None);
    words.set(0, 1);
    #[cfg(unix)]
    {
        // SAFETY: zero is a value of it; the call fills it in, and leaves the zombie.
        let ended = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        assert_eq!(ended, 0);
        assert_eq!(process_state(pid, start).expect("state"), ProcessState::Exiting);
    }
    assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(0)));
    assert_eq!(kid.0.wait(None).expect("wait"), Some(Exit::Code(0)), "the answer stays");
    assert_eq!(process_state(pid, start).expect("state"), ProcessState::Gone);
    kid.0.signal(Signal::Kill).expect("to a dead one: nothing");
}

#[test]
fn machine_and_image_are_known() {
    assert!(mp_sys::cpu_count() >= 1);
    assert_ne!(mp_sys::random_u128().expect("random"), mp_sys::random_u128().expect("random"));
    assert_ne!(mp_sys::image_id(), [0; 16]);
    assert_eq!(mp_sys::image_id(), mp_sys::image_id());
    let other = std::thread::spawn(mp_sys::current_thread_id).join().expect("join");
    assert_ne!(other, mp_sys::current_thread_id());
}

#[test]
fn a_child_knows_its_image_and_its_parent() {
    let half = |range: std::ops::Range<usize>| {
        u64::from_le_bytes(mp_sys::image_id()[range].try_into().expect("eight bytes"))
    };
    let mine = [half(0..8), half(8..16)];
    if let Some(told) = told() {
        assert_eq!(told[..2], mine);
        assert_eq!(u64::from(mp_sys::parent_pid()), told[2]);
        return;
    }
    let mine = [mine[0], mine[1], u64::from(current_pid())];
    let kid = again("a_child_knows_its_image_and_its_parent", &mine, &[]);
    assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(0)));
}

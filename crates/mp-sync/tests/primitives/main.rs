//! What each primitive promises, over threads, over members that one process plays, and over processes that are killed.

mod barrier;
#[path = "../common/mod.rs"]
mod common;
mod condition;
mod event;
mod hogs;
mod once;
mod rlock;
mod rwlock;
mod semaphore;

use std::time::Duration;

/// Long enough to see that somebody waits, short enough for a test.
const SHORT: Duration = Duration::from_millis(20);

/// Two members of a session in this process's memory.
fn two_members() -> (mp_session::Session, mp_session::Session) {
    let heap = mp_session::Session::on_heap(0).unwrap();
    (heap.member("a").unwrap(), heap.member("b").unwrap())
}

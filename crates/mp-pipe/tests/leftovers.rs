//! What killed processes leave in the session: nothing. Alone in its program, for it counts what the whole session holds.

#[path = "../../mp-sync/tests/common/mod.rs"]
mod common;

use common::{Actor, arguments};
use mp_pipe::{Connection, Error, pipe, pipe_with_capacity};

type Numbered = (u64, Vec<u8>, Option<Connection>);

#[test]
#[ignore = "a part that the other test starts in a process of its own"]
fn actor() {
    let Some(end) = arguments::<Connection>() else { return };
    for i in 0_u64.. {
        end.send((i, vec![0_u8; (i * 997 % 6_000) as usize], Some(pipe().unwrap().0))).unwrap();
    }
}

#[test]
fn nothing_is_left_of_killed_processes() {
    let session = mp_session::Session::current().unwrap();
    let round = |messages: u64| {
        let (ours, theirs) = pipe_with_capacity(4096).unwrap();
        let mut child = Actor::start("actor", "flood", &theirs);
        drop(theirs);
        for _ in 0..messages {
            ours.recv::<Numbered>().unwrap();
        }
        child.kill();
        while !matches!(ours.recv::<Numbered>(), Err(Error::Disconnected { .. })) {}
    };
    round(20);
    let before = session.stats();
    (0..30).for_each(|i| round(i + 1));
    let after = session.stats();
    assert_eq!((after.objects, after.bytes_in_use), (before.objects, before.bytes_in_use));
    assert_eq!(after.deaths - before.deaths, 30);
}

//! Members that one process plays, and processes that really die.
#![allow(dead_code, unreachable_pub)] // shared by several test programs, each of which uses a part

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

use mp_session::{Blueprint, Kind, Message, Object, Place, Session, Shape, Status, Taking, Words};

/// How soon a death must be known.
pub const PROMPT: Duration = Duration::from_millis(100);
/// A bound for what must happen, generous because tests share the machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Waits for a condition that another thread or process brings about.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Carries a value to another member of a session on the heap, as a queue would.
pub fn carry<T: mp_wire::Message>(value: &T, from: &Session, to: &Session) -> T {
    const CELL: u64 = 64;
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 64 + CELL };
    let ring = Object::create(from, plan, |_, bytes| {
        // SAFETY: the block is ours alone until `create` returns, and has that many bytes.
        unsafe { bytes.unwrap().as_ptr().write_bytes(0, (64 + CELL) as usize) };
    })
    .unwrap();
    let cell = ring.ring_cell(0, CELL);
    let message = Message::encode(from, value).unwrap();
    assert!(Object::put_into(from, cell, cell.state(), message.as_object()).unwrap());
    assert_eq!(cell.state().status, Status::Full);
    match Object::claim_for_take(to, cell, cell.state()).unwrap() {
        Some(Taking::Message(object)) => Message::from_object(object).unwrap().decode().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A child process: this test binary again, running the test `role` only.
pub struct Actor {
    child: Child,
    _place: Place,
}

impl Actor {
    /// Starts it with `arguments`, which it gets by [`arguments`].
    pub fn start<T: mp_wire::Message>(role: &str, name: &str, arguments: &T) -> Actor {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"]).stdout(Stdio::null());
        let place = mp_session::inherit(&mut command, name).unwrap();
        place.put_arguments(&Message::encode(place.session(), arguments).unwrap()).unwrap();
        Actor { child: command.spawn().unwrap(), _place: place }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: what the parent sent. `None` when a test with a role is run by hand.
pub fn arguments<T: mp_wire::Message>() -> Option<T> {
    let session = Session::attach().unwrap()?;
    Some(session.take_arguments().unwrap()?.decode().unwrap())
}

/// Words that parent and children share to tell each other how far they are.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Board([Object; 2]);

impl Board {
    pub fn new() -> Board {
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };
        let object = || Object::create(&Session::current().unwrap(), plan, |_, _| {}).unwrap();
        Board([object(), object()])
    }

    pub fn word(&self, i: usize) -> &AtomicU64 {
        self.0[i / Words::COUNT].words().word(i % Words::COUNT)
    }

    pub fn add(&self, i: usize) {
        self.word(i).fetch_add(1, SeqCst);
    }

    pub fn get(&self, i: usize) -> u64 {
        self.word(i).load(SeqCst)
    }
}

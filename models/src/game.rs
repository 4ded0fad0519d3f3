//! A game: one iteration of a model, with its session and those who play in it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use mp_session::primitive::Bug;
use mp_session::{Blueprint, HeapSession, Kind, Message, Object, Session, Shape, Taking};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::JoinHandle;
use shuttle::{Config, MaxSteps, Runner};

use crate::world;

/// How often each model is tried, where nothing else is asked for (`MP_MODEL_ITERATIONS`).
const ITERATIONS: usize = 300;
/// How often a game is played at most to find a bug.
const ENOUGH: usize = 20_000;
/// The choices of every run, where nothing else is asked for (`MP_MODEL_SEED`).
const SEED: u64 = 1;
/// A game longer than this does not end.
const LONGEST: usize = 400_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays the game again and again: half of the time whoever goes on is chosen at random at each step, half of the time by
/// priorities that change at a few steps, which finds what needs one thread to stand still for long.
pub fn check(game: impl Fn(&Game) + Send + Sync + 'static) {
    run(number("MP_MODEL_ITERATIONS").map_or(ITERATIONS, |n| n as usize), game);
}

/// Plays the game with a bug in the code until it is found: a model that cannot fail says nothing.
///
/// # Panics
/// When the bug is not found.
pub fn finds(bug: Bug, game: impl Fn(&Game) + Send + Sync + 'static) {
    world::plant(Some(bug));
    let played = catch_unwind(AssertUnwindSafe(|| run(ENOUGH, game)));
    world::plant(None);
    assert!(played.is_err(), "{bug:?} was not found");
}

fn run(iterations: usize, game: impl Fn(&Game) + Send + Sync + 'static) {
    let iterations = iterations.div_ceil(2);
    let seed = number("MP_MODEL_SEED").unwrap_or(SEED);
    let game = std::sync::Arc::new(game);
    let play = {
        let game = game.clone();
        move || play(&*game)
    };
    let again = move || self::play(&*game);
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    config.max_steps = MaxSteps::FailAfter(LONGEST);
    Runner::new(RandomScheduler::new_from_seed(seed, iterations), config.clone()).run(play);
    Runner::new(PctScheduler::new_from_seed(seed, 4, iterations), config).run(again);
}

fn play(game: &impl Fn(&Game)) {
    world::begin();
    let table = world::quietly(|| Game {
        heap: Session::on_heap(0).expect("memory for a session"),
        members: Rc::default(),
    });
    game(&table);
    world::quietly(|| {
        for member in table.members.borrow_mut().drain(..) {
            member.abandon();
        }
    });
}

/// Chooses a number below `bound`; part of the schedule, so a failure can be played again.
pub fn chance(bound: u32) -> u32 {
    shuttle::rand::thread_rng().gen_range(0..bound)
}

/// The session of one iteration. Everything that lives in it must be gone when the game ends.
#[derive(Debug)]
pub struct Game {
    heap: HeapSession,
    members: Rc<RefCell<Vec<Session>>>,
}

/// A member that is played by a thread of its own.
#[derive(Debug)]
pub struct Player<T>(JoinHandle<T>);

/// How it ended for one who may have died.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Victim<T> {
    /// It got to its end first.
    Survived(T),
    /// It was killed.
    Killed,
}

impl<T> Player<T> {
    /// What it came to.
    pub fn join(self) -> T {
        self.0.join().expect("a player does not panic")
    }
}

impl Game {
    /// A new member.
    pub fn member(&self, name: &str) -> Session {
        let member = world::quietly(|| self.heap.member(name).expect("a place in the session"));
        self.members.borrow_mut().push(member.clone());
        member
    }

    /// Carries a value to another member, as a message does.
    pub fn carry<T: mp_wire::Message>(&self, value: &T, from: &Session, to: &Session) -> T {
        world::quietly(|| {
            const CELL: u64 = 64;
            let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 64 + CELL };
            let ring = Object::create(from, plan, |_, bytes| {
                let bytes = bytes.expect("a block of that size");
                // SAFETY: the block is ours alone until `create` returns, and has that many bytes.
                unsafe { bytes.as_ptr().write_bytes(0, (64 + CELL) as usize) };
            })
            .expect("a block");
            let cell = ring.ring_cell(0, CELL);
            let message = Message::encode(from, value).expect("a message");
            assert!(Object::put_into(from, cell, cell.state(), message.as_object()).expect("to put it"));
            match Object::claim_for_take(to, cell, cell.state()) {
                Ok(Some(Taking::Message(object))) => {
                    Message::from_object(object).and_then(|m| m.decode()).expect("the value")
                }
                other => panic!("no message but {other:?}"),
            }
        })
    }

    /// Does something as one step: what a model is not about.
    pub fn quietly<R>(&self, f: impl FnOnce() -> R) -> R {
        world::quietly(f)
    }

    /// Lets a thread play; it ends when `f` does.
    pub fn player<T: Send + 'static>(&self, f: impl FnOnce() -> T + 'static) -> Player<T> {
        Player(spawn(f))
    }

    /// Lets a thread play `member`, and kills it before its step number `fuse`, if it comes to that. All that it has of the
    /// session's must be in `f`, which is dropped with it.
    pub fn victim<T: Send + 'static>(
        &self,
        member: &Session,
        fuse: u32,
        f: impl FnOnce(&Session) -> T + 'static,
    ) -> Player<Victim<T>> {
        let member = member.clone();
        let members = self.members.clone();
        let play = move || {
            let body = || {
                world::light_fuse(fuse);
                let done = f(&member);
                world::put_out_fuse();
                done
            };
            match catch_unwind(AssertUnwindSafe(body)) {
                Ok(done) => Victim::Survived(done),
                Err(what) if what.is::<world::Died>() => {
                    world::is_buried();
                    members.borrow_mut().retain(|m| m.member() != member.member());
                    world::quietly(|| member.abandon());
                    world::tell_of_deaths();
                    Victim::Killed
                }
                Err(other) => resume_unwind(other),
            }
        };
        Player(spawn(play))
    }

    /// From now on every deadline has come. A thread that calls this makes deadlines come at any moment.
    pub fn time_passes() {
        world::it_is_late();
    }

    /// How many steps there were so far, over all threads.
    pub fn steps() -> u64 {
        world::steps()
    }

    /// How often the calling thread has slept.
    pub fn sleeps() -> u32 {
        world::sleeps()
    }

    /// Sees to it that nobody is in the middle of anything and that the session keeps its rules. `survivor` clears up after
    /// those who died.
    ///
    /// # Panics
    /// When it does not keep them.
    pub fn verify(&self, survivor: &Session) {
        world::quietly(|| {
            while survivor.notice_deaths().expect("a member") {}
            let found = self.heap.verify();
            assert!(found.is_empty(), "{found:#?}");
        });
    }
}

/// All threads of a model run on one thread of the system, so nothing of theirs need be `Send`.
fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    struct Here<T>(T);
    // SAFETY: shuttle's threads are coroutines of the thread that runs the model, which is the one that made `f` and the one
    // that gets what it returns.
    unsafe impl<T> Send for Here<T> {}
    let f = Here(f);
    shuttle::thread::spawn(move || {
        let whole = f;
        (whole.0)()
    })
}

//! Queues: every message arrives once and in order, everybody is woken, and the dead are missed.
#![cfg(mp_model)]

use std::cell::RefCell;
use std::rc::Rc;

use mp_models::{Game, Player, Victim, chance, check, finds};
use mp_queue::{Error, Queue, Receiver, Sender};
use mp_session::Session;
use mp_session::primitive::Bug;
use mp_wire::Message;

/// A message: who put it, and which of its own it is.
trait Pair: Message {
    fn of(producer: u32, number: u32) -> Self;
    fn pair(self) -> (u32, u32);
}

/// Goes the short way, and into its cell at once.
impl Pair for u64 {
    fn of(producer: u32, number: u32) -> u64 {
        u64::from(producer) << 32 | u64::from(number)
    }
    fn pair(self) -> (u32, u32) {
        ((self >> 32) as u32, self as u32)
    }
}

/// More than a word: the cell is claimed, filled and published.
type Long = (u32, u32, [u8; 8]);

impl Pair for Long {
    fn of(producer: u32, number: u32) -> Long {
        (producer, number, [7; 8])
    }
    fn pair(self) -> (u32, u32) {
        assert_eq!(self.2, [7; 8]);
        (self.0, self.1)
    }
}

type Arrived = Rc<RefCell<Vec<(u32, u32)>>>;

fn put_all<M: Pair>(sender: &Sender<M>, producer: u32, count: u32) -> u32 {
    for i in 0..count {
        match sender.put(M::of(producer, i)) {
            Ok(()) => {}
            Err(Error::Closed { .. } | Error::Disconnected { .. }) => {
                return i;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    count
}

fn get_all<M: Pair>(receiver: &Receiver<M>, arrived: &Arrived) {
    loop {
        match receiver.get() {
            Ok(message) => arrived.borrow_mut().push(message.pair()),
            Err(Error::Disconnected { .. } | Error::Closed { .. }) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Each once, and those of one producer in order among what one consumer got; here in the order of taking over all.
fn once_each(arrived: &Arrived, sent: &[u32]) {
    let mut sorted = arrived.borrow().clone();
    sorted.sort_unstable();
    let all: Vec<_> =
        (0..sent.len() as u32).flat_map(|p| (0..sent[p as usize]).map(move |i| (p, i))).collect();
    assert_eq!(sorted, all);
}

struct Table<M> {
    maker: Session,
    sender: Sender<M>,
    receiver: Receiver<M>,
}

fn table<M: Pair>(game: &Game, capacity: Option<usize>) -> Table<M> {
    let maker = game.member("maker");
    let (sender, receiver) = game.quietly(|| Queue::make(&maker, capacity).unwrap().split());
    Table { maker, sender, receiver }
}

fn producer<M: Pair>(game: &Game, table: &Table<M>, number: u32, count: u32) -> Player<u32> {
    let member = game.member(&format!("producer {number}"));
    let sender = game.carry(&table.sender, &table.maker, &member);
    game.player(move || {
        let sent = put_all(&sender, number, count);
        drop((sender, member));
        sent
    })
}

fn consumer<M: Pair>(game: &Game, table: &Table<M>, arrived: &Arrived) -> Player<()> {
    let member = game.member("consumer");
    let receiver = game.carry(&table.receiver, &table.maker, &member);
    let arrived = arrived.clone();
    game.player(move || {
        get_all(&receiver, &arrived);
        drop((receiver, member));
    })
}

/// Two producers and two consumers over a ring of two, until the last sender is gone.
#[test]
fn two_by_two_until_disconnected() {
    check(two_by_two_game::<u64>);
    check(two_by_two_game::<Long>);
}

fn two_by_two_game<M: Pair>(game: &Game) {
    let table = table::<M>(game, Some(2));
    let arrived = Arrived::default();
    let consumers = [consumer(game, &table, &arrived), consumer(game, &table, &arrived)];
    let producers = [producer(game, &table, 0, 3), producer(game, &table, 1, 2)];
    game.quietly(|| drop((table.sender, table.receiver)));
    let sent = producers.map(Player::join);
    consumers.into_iter().for_each(Player::join);
    once_each(&arrived, &sent);
    game.verify(&table.maker);
}

/// A queue without bound grows while it is used from both sides.
#[test]
fn a_queue_grows_under_its_users() {
    check(growing_game::<u64>);
    check(growing_game::<Long>);
}

fn growing_game<M: Pair>(game: &Game) {
    let table = table::<M>(game, None);
    let arrived = Arrived::default();
    let consumer = consumer(game, &table, &arrived);
    let producers = [producer(game, &table, 0, 9), producer(game, &table, 1, 9)];
    game.quietly(|| drop((table.sender, table.receiver)));
    let sent = producers.map(Player::join);
    consumer.join();
    once_each(&arrived, &sent);
    // One consumer sees each producer's messages in order.
    for p in 0..2 {
        let of_one: Vec<_> = arrived.borrow().iter().filter(|m| m.0 == p).map(|m| m.1).collect();
        assert!(of_one.is_sorted(), "{of_one:?}");
    }
    game.verify(&table.maker);
}

/// Closing while others put and get: what was put before it arrives, nothing after it.
#[test]
fn what_was_put_before_closing_arrives() {
    check(closing_game::<u64>);
    check(closing_game::<Long>);
}

/// *closed-behind-a-claim*
#[test]
fn what_was_put_before_closing_arrives_can_fail() {
    finds(Bug::NobodyLooksBehind, closing_game::<Long>);
}

fn closing_game<M: Pair>(game: &Game) {
    let table = table::<M>(game, Some(2));
    let arrived = Arrived::default();
    let consumers = [consumer(game, &table, &arrived), consumer(game, &table, &arrived)];
    let producers = [producer(game, &table, 0, 3), producer(game, &table, 1, 3)];
    table.sender.close().unwrap();
    let sent = producers.map(Player::join);
    consumers.into_iter().for_each(Player::join);
    once_each(&arrived, &sent);
    game.quietly(|| drop((table.sender, table.receiver)));
    game.verify(&table.maker);
}

/// A producer or a consumer is killed at any step: the others go on, a message is lost with a consumer at most, and one of the
/// producer's is there or is not.
#[test]
fn a_death_costs_one_message_at_most() {
    check(death_game::<u64>);
    check(death_game::<Long>);
}

fn death_game<M: Pair>(game: &Game) {
    let table = table::<M>(game, Some(2));
    let arrived = Arrived::default();
    let of_dead = Arrived::default();
    let victim = game.member("victim");
    let kills_producer = chance(2) == 0;
    let doomed = if kills_producer {
        let sender = game.carry(&table.sender, &table.maker, &victim);
        game.victim(&victim, chance(200), move |_| {
            put_all(&sender, 0, 2);
        })
    } else {
        let receiver = game.carry(&table.receiver, &table.maker, &victim);
        let arrived = of_dead.clone();
        game.victim(&victim, chance(250), move |_| get_all(&receiver, &arrived))
    };
    drop(victim);
    let first = if kills_producer { None } else { Some(producer(game, &table, 0, 2)) };
    let second = producer(game, &table, 1, 2);
    let consumer = consumer(game, &table, &arrived);
    game.quietly(|| drop((table.sender, table.receiver)));
    let sent = [first.map_or(0, Player::join), second.join()];
    consumer.join();
    let end = doomed.join();
    game.verify(&table.maker);
    let mut all: Vec<_> = arrived.borrow().iter().chain(of_dead.borrow().iter()).copied().collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "nothing arrives twice");
    assert!(all.is_sorted());
    let of = |p: u32| all.iter().filter(|m| m.0 == p).count() as u32;
    if kills_producer {
        assert_eq!(of(1), sent[1]);
        assert!(of(0) <= 2 && (end == Victim::Killed || of(0) == 2));
        // What arrived of the dead one is what it put first.
        assert!((0..of(0)).all(|i| all.contains(&(0, i))));
    } else {
        let lost = sent[0] + sent[1] - count as u32;
        assert!(lost <= u32::from(end == Victim::Killed), "{lost} lost");
    }
}

//! The classic producer and consumer: a store with room for few, a condition that says when it changed.

use mp::prelude::*;
use mp::sync::Condition;

const ROOM: u32 = 5;
const GOODS: u32 = 40;

/// Goods in the store, all that ever came in, and all that went out.
#[derive(Clone, Copy, mp::Shared)]
#[repr(C)]
struct Store {
    here: u32,
    made: u32,
    used: u32,
}

/// The store, its lock, and the news that it changed, in one handle.
type Changes = Condition<Mutex<Store>>;

fn produce(changes: Changes) -> mp::Result<u32> {
    for made in 0.. {
        let store = changes.lock()?;
        let mut store = changes.wait_for(store, |store| store.here < ROOM || store.made == GOODS)?;
        if store.made == GOODS {
            return Ok(made);
        }
        store.here += 1;
        store.made += 1;
        assert!(store.here <= ROOM, "never more than there is room for");
        drop(store);
        changes.notify_all()?;
    }
    unreachable!("the goods come to an end")
}

fn consume(changes: Changes) -> mp::Result<u32> {
    for used in 0.. {
        let store = changes.lock()?;
        let mut store = changes.wait_for(store, |store| store.here > 0 || store.used == GOODS)?;
        if store.used == GOODS {
            return Ok(used);
        }
        store.here -= 1;
        store.used += 1;
        drop(store);
        changes.notify_all()?;
    }
    unreachable!("the goods come to an end")
}

#[mp::main]
fn main() -> mp::Result<()> {
    let changes = Condition::on(Mutex::new(Store { here: 0, made: 0, used: 0 })?)?;
    let makers: Vec<_> =
        (0..2).map(|_| Process::spawn(produce, (changes.clone(),))).collect::<mp::Result<_>>()?;
    let users: Vec<_> =
        (0..3).map(|_| Process::spawn(consume, (changes.clone(),))).collect::<mp::Result<_>>()?;
    let made: Vec<u32> = makers.iter().map(Process::join).collect::<mp::Result<_>>()?;
    let used: Vec<u32> = users.iter().map(Process::join).collect::<mp::Result<_>>()?;
    println!("made {made:?}, used {used:?}");
    assert_eq!((made.iter().sum::<u32>(), used.iter().sum::<u32>()), (GOODS, GOODS));
    let store = *changes.lock()?;
    assert_eq!((store.here, store.made, store.used), (0, GOODS, GOODS));
    Ok(())
}

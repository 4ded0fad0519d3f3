//! Two locks taken in opposite orders: the deadlock is found and named. One lock that may be taken again does not have the problem.

use mp::prelude::*;
use mp::sync::RLock;

/// Pays out of one account into the other: one lock, then the other one.
fn transfer(from: Lock, to: Lock, ready: Sender<()>, go: Receiver<()>) -> mp::Result<()> {
    let _from = from.lock()?;
    ready.put(())?;
    go.get()?; // so that both hold their first lock
    let _to = to.lock()?;
    Ok(())
}

/// The same with one lock for both accounts, taken by each step: the inner one has it already.
fn transfer_under_one(bank: RLock, sum: Mutex<i64>) -> mp::Result<()> {
    let _all = bank.lock()?;
    for change in [-10, 10] {
        let _one = bank.lock()?;
        *sum.lock()? += change;
    }
    Ok(())
}

#[mp::main]
fn main() -> mp::Result<()> {
    mp::session::Session::current()?.find_deadlocks(true);
    let (alice, bob) = (Lock::named("alice's account")?, Lock::named("bob's account")?);
    let (ready, is_ready) = queue::unbounded()?;
    let (go, start) = queue::unbounded()?;
    let one = Process::builder()
        .name("alice to bob")
        .spawn(transfer, (alice.clone(), bob.clone(), ready.clone(), start.clone()))?;
    let other = Process::builder().name("bob to alice").spawn(transfer, (bob, alice, ready, start))?;
    for _ in 0..2 {
        is_ready.get()?;
    }
    go.put_many([(), ()])?;
    let ends = [one.join(), other.join()];
    let told: Vec<&mp::Error> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
    assert_eq!(told.len(), 1, "one of them is told, gives up, and so lets the other one go on");
    println!("{}", told[0]);
    let text = told[0].to_string();
    for name in ["deadlock", "alice's account", "bob's account", "alice to bob", "bob to alice"] {
        assert!(text.contains(name), "{name} is not in: {text}");
    }

    let (bank, sum) = (RLock::new()?, Mutex::new(100_i64)?);
    let transfers: Vec<_> = (0..4)
        .map(|_| Process::spawn(transfer_under_one, (bank.clone(), sum.clone())))
        .collect::<mp::Result<_>>()?;
    transfers.iter().try_for_each(Process::join)?;
    println!("with one re-entrant lock: all done, the sum is {}", *sum.lock()?);
    assert_eq!(*sum.lock()?, 100);
    Ok(())
}

//! The kinds of queues: three orders, two errors, and a queue that knows when its work is done.

use mp::Error;
use mp::prelude::*;

fn work(tasks: JoinableQueue<u32>, squares: Sender<u32>) -> mp::Result<()> {
    for task in tasks.iter() {
        let task = task?;
        squares.put(task * task)?;
        tasks.task_done()?;
    }
    Ok(())
}

#[mp::main]
fn main() -> mp::Result<()> {
    // First in, first out.
    let fifo = Queue::bounded(3)?;
    fifo.put_many(["first", "second", "third"].map(str::to_owned))?;
    assert_eq!((fifo.len(), fifo.is_full()), (3, true));
    let refused = fifo.try_put("fourth".to_owned()).unwrap_err();
    println!("put into a full queue: {refused}, and {:?} is given back", refused.value);
    assert_eq!(refused.error, Error::Full);
    println!("FIFO: {:?}", fifo.get_many(3)?);
    let nothing = fifo.try_get().unwrap_err();
    println!("get from an empty queue: {nothing}");
    assert_eq!((nothing, fifo.is_empty()), (Error::Empty, true));

    // Last in, first out.
    let lifo = LifoQueue::new()?;
    (1..=3).try_for_each(|n| lifo.put(n))?;
    lifo.close()?;
    let got = lifo.iter().collect::<mp::Result<Vec<i32>>>()?;
    println!("LIFO: {got:?}");
    assert_eq!(got, [3, 2, 1]);

    // By priority, and equals in the order in which they came.
    let sorted = PriorityQueue::new()?;
    for (priority, what) in [(3, "walk"), (1, "breathe"), (3, "talk"), (2, "eat")] {
        sorted.put(priority, what.to_owned())?;
    }
    sorted.close()?;
    let got = sorted.iter().collect::<mp::Result<Vec<(i32, String)>>>()?;
    println!("by priority: {got:?}");
    assert_eq!(got.iter().map(|(_, what)| &**what).collect::<Vec<_>>(), ["breathe", "eat", "walk", "talk"]);

    // A queue that is joined: not when it is empty, but when all is done.
    let (tasks, (tx, rx)) = (JoinableQueue::new()?, queue::unbounded()?);
    let workers =
        (0..2).map(|_| Process::spawn(work, (tasks.clone(), tx.clone()))).collect::<mp::Result<Vec<_>>>()?;
    tasks.put_many(1..=10)?;
    tasks.join()?;
    let mut squares = rx.get_many(100)?;
    squares.sort_unstable();
    println!("done: {squares:?}");
    assert_eq!(squares, (1..=10).map(|n| n * n).collect::<Vec<u32>>());
    assert!(tasks.task_done().is_err(), "nothing is left to be done");
    tasks.close()?;
    for worker in workers {
        worker.join()?;
    }
    Ok(())
}

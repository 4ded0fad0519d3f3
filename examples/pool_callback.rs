//! A hundred calls that nobody waits for: their callbacks run here, in the parent, each once.

use std::sync::mpsc;

use mp::prelude::*;

fn cube(x: u64) -> (u64, u32) {
    (x * x * x, std::process::id())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (done, results) = mpsc::channel();
    let pool = Pool::new(3)?;
    for x in 0..100 {
        let done = done.clone();
        pool.apply_with_callback(cube, (x,), move |result| {
            // On a thread of this process that is for callbacks alone.
            let _ = done.send((result, std::process::id()));
        })?;
    }
    drop(done);
    pool.close();
    pool.join()?;

    let (mut sum, mut count) = (0, 0);
    for (result, callback_ran_in) in results {
        let (cube, was_done_by) = result?;
        assert_eq!(callback_ran_in, std::process::id());
        assert_ne!(was_done_by, std::process::id());
        (sum, count) = (sum + cube, count + 1);
    }
    println!("{count} callbacks in process {}, the sum of the cubes is {sum}", std::process::id());
    assert_eq!((count, sum), (100, (0..100_u64).map(|x| x * x * x).sum()));
    Ok(())
}

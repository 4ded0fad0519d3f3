//! mp-sync alone: a value in shared memory, under a lock that several threads hold in turn.

use mp_sync::Mutex;

fn main() -> mp_sync::Result<()> {
    let stock = Mutex::new(0_u32)?;
    std::thread::scope(|scope| {
        let add = |mine: Mutex<u32>| {
            for _ in 0..1000 {
                *mine.lock()? += 1;
            }
            Ok::<(), mp_sync::Error>(())
        };
        let other = stock.clone();
        let thread = scope.spawn(move || add(other));
        add(stock.clone())?;
        thread.join().expect("the thread does not panic")
    })?;
    assert_eq!(*stock.lock()?, 2000);
    Ok(())
}

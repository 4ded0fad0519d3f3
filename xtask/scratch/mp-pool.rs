//! mp-pool alone: a function over many values on two processes.

use mp_pool::Pool;

fn main() -> mp_pool::Result<()> {
    mp_pool::init();
    let pool = Pool::new(2)?;
    let squares: Vec<u64> = pool.map(|number: u64| number * number, 0..100)?;
    assert!(squares.into_iter().eq((0..100).map(|number| number * number)));
    Ok(())
}

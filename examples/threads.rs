//! The same code on a pool of processes and on a pool of threads: a `ThreadPool` can be lent as a `Pool`.

use mp::pool::ThreadPool;
use mp::prelude::*;

fn letters(word: String) -> (String, usize) {
    let count = word.chars().filter(|letter| letter.is_alphabetic()).count();
    (word, count)
}

fn count(pool: &Pool) -> mp::Result<Vec<(String, usize)>> {
    let words = "the same pool code, on processes and on threads!".split(' ').map(str::to_owned);
    pool.map(letters, words)
}

#[mp::main]
fn main() -> mp::Result<()> {
    let processes = Pool::new(2)?;
    let threads = ThreadPool::new(2)?;
    let (by_processes, by_threads) = (count(&processes)?, count(&threads)?);
    for (word, letters) in &by_threads {
        println!("{letters} letters in {word}");
    }
    assert_eq!(by_processes, by_threads);
    let pid = |pool: &Pool| pool.apply(std::process::id, ());
    assert_eq!(pid(&threads)?, std::process::id());
    assert_ne!(pid(&processes)?, std::process::id());
    Ok(())
}

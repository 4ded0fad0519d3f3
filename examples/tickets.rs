//! Ten buyers, few tickets, and a stock that is kept in a file: who looks, and then buys, must hold a lock in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mp::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Stock {
    tickets: i32,
}

fn read(path: &Path) -> std::io::Result<i32> {
    let stock: Stock = serde_json::from_slice(&std::fs::read(path)?)?;
    Ok(stock.tickets)
}

fn write(path: &Path, tickets: i32) -> std::io::Result<()> {
    // In one step, so that nobody reads half a file; that alone does not make buying safe.
    let new = path.with_extension(format!("{}", std::process::id()));
    std::fs::write(&new, serde_json::to_vec(&Stock { tickets })?)?;
    std::fs::rename(new, path)
}

fn buy(
    lock: Option<Lock>,
    path: PathBuf,
    buyer: u32,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let _guard = lock.as_ref().map(Lock::lock).transpose()?;
    let left = read(&path)?;
    println!("buyer {buyer}: {left} left");
    std::thread::sleep(Duration::from_millis(20)); // the network
    if left <= 0 {
        return Ok(false);
    }
    write(&path, left - 1)?;
    println!("buyer {buyer}: bought one");
    Ok(true)
}

fn sell(lock: Option<&Lock>, path: &Path, tickets: i32) -> Result<usize, Box<dyn std::error::Error>> {
    write(path, tickets)?;
    let buyers: Vec<_> = (1..=10)
        .map(|n| Process::spawn(buy, (lock.cloned(), path.to_owned(), n)))
        .collect::<mp::Result<_>>()?;
    let sold: Vec<bool> = buyers.iter().map(Process::join).collect::<mp::Result<_>>()?;
    Ok(sold.into_iter().filter(|sold| *sold).count())
}

#[mp::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("tickets-{}.json", std::process::id()));
    let outcome = (|| {
        let without = sell(None, &path, 3)?;
        println!("without a lock: {without} sold of 3\n");
        let lock = Lock::new()?;
        let with = sell(Some(&lock), &path, 3)?;
        println!("with a lock: {with} sold of 3");
        assert!(without > 3, "ten buyers who look at the same time all see a ticket");
        assert_eq!((with, read(&path)?), (3, 0), "exactly the stock is sold");
        Ok(())
    })();
    std::fs::remove_file(&path)?;
    outcome
}

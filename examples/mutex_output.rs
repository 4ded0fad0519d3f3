//! Three tasks that print in turn under one lock, by guard and by acquire and release.

use std::io::Write;
use std::time::Duration;

use mp::prelude::*;

/// One letter after the other, as a slow printer would, and a copy for the test.
fn print_slowly(paper: &Sender<char>, text: &str) -> mp::Result<()> {
    for letter in text.chars() {
        print!("{letter}");
        std::io::stdout().flush()?;
        paper.put(letter)?;
        std::thread::sleep(Duration::from_millis(3));
    }
    println!();
    paper.put('\n')
}

fn by_guard(lock: Lock, paper: Sender<char>, text: String) -> mp::Result<()> {
    let _guard = lock.lock()?; // given back when it goes out of scope, also by `?` and panics, also by a kill
    print_slowly(&paper, &text)
}

fn by_hand(lock: Lock, paper: Sender<char>, text: String) -> mp::Result<()> {
    lock.acquire()?;
    let printed = print_slowly(&paper, &text);
    lock.release()?;
    printed
}

/// What came out, which must be whole lines.
fn check(printed: &Receiver<char>) {
    let letters: String = printed.iter().map_while(mp::Result::ok).collect();
    let mut lines: Vec<&str> = letters.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["and so does the third", "the first task prints", "the second one waits"]);
}

#[mp::main]
fn main() -> mp::Result<()> {
    let lock = Lock::new()?;
    let texts = ["the first task prints", "the second one waits", "and so does the third"].map(String::from);

    let (paper, printed) = queue::unbounded()?;
    let start = |text: &String| Process::spawn(by_guard, (lock.clone(), paper.clone(), text.clone()));
    let tasks: Vec<_> = texts.iter().map(start).collect::<mp::Result<_>>()?;
    tasks.iter().try_for_each(Process::join)?;
    drop(paper);
    check(&printed);

    let (paper, printed) = queue::unbounded()?;
    let start = |text: &String| Process::spawn(by_hand, (lock.clone(), paper.clone(), text.clone()));
    let tasks: Vec<_> = texts.iter().map(start).collect::<mp::Result<_>>()?;
    tasks.iter().try_for_each(Process::join)?;
    drop(paper);
    check(&printed);
    Ok(())
}

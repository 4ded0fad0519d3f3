//! Three hikers meet at each stop and go on together; one of them stamps the book, once a stop.

use mp::prelude::*;

const STOPS: usize = 4;

/// How many have arrived at each stop, and how often its stamp is in the book.
type Book = Mutex<[[u32; 2]; STOPS]>;

fn hike(hiker: u32, meet: Barrier, book: Book) -> mp::Result<()> {
    let _party = meet.party()?; // who dies on the way breaks the barrier: nobody waits for the dead
    for stop in 0..STOPS {
        book.lock()?[stop][0] += 1;
        println!("hiker {hiker} is at stop {stop}");
        let place = meet.wait_with(|| {
            let mut book = book.lock().expect("nobody dies here");
            assert_eq!(book[stop][0], 3, "all are here before anybody goes on");
            book[stop][1] += 1;
            println!("stop {stop} is stamped");
        })?;
        assert!(place < meet.parties());
    }
    Ok(())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (meet, book) = (Barrier::new(3)?, Book::new([[0; 2]; STOPS])?);
    let hikers: Vec<_> =
        (1..=3).map(|n| Process::spawn(hike, (n, meet.clone(), book.clone()))).collect::<mp::Result<_>>()?;
    hikers.iter().try_for_each(Process::join)?;
    assert_eq!(*book.lock()?, [[3, 1]; STOPS], "each stop was stamped once");
    Ok(())
}

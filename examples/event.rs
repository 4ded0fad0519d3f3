//! Two waiters for one event, one of which does not wait for ever; set, clear, and set again.

use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::sync::Event;

fn waits(event: Event) -> mp::Result<Duration> {
    let begin = Instant::now();
    event.wait()?;
    println!("the patient one: it is set");
    Ok(begin.elapsed())
}

fn waits_a_little(event: Event, time: Duration) -> mp::Result<bool> {
    let came = event.wait_timeout(time)?;
    println!("the impatient one: {}", if came { "it is set" } else { "it did not come in time" });
    Ok(came)
}

#[mp::main]
fn main() -> mp::Result<()> {
    let event = Event::new()?;
    let patient = Process::spawn(waits, (event.clone(),))?;
    let impatient = Process::spawn(waits_a_little, (event.clone(), Duration::from_millis(50)))?;
    assert!(!impatient.join()?, "it times out");
    assert!(patient.is_alive(), "the other one still waits");
    event.set()?;
    patient.join()?;

    // It stays set: who comes now does not wait at all.
    assert!(event.is_set());
    assert!(Process::spawn(waits_a_little, (event.clone(), Duration::ZERO))?.join()?);

    event.clear()?;
    let again = Process::spawn(waits, (event.clone(),))?;
    std::thread::sleep(Duration::from_millis(50));
    assert!(again.is_alive(), "cleared, it holds people up again");
    event.set()?;
    let waited = again.join()?;
    println!("waited {} ms the second time", waited.as_millis());
    Ok(())
}

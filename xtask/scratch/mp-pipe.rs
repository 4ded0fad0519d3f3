//! mp-pipe alone: an answer comes back, and the end is seen.

fn main() -> mp_pipe::Result<()> {
    let (ours, theirs) = mp_pipe::pipe()?;
    let answer = std::thread::spawn(move || -> mp_pipe::Result<()> {
        let number: u32 = theirs.recv()?;
        theirs.send(number + 1)
    });
    ours.send(41_u32)?;
    assert_eq!(ours.recv::<u32>()?, 42);
    answer.join().expect("it does not panic")?;
    assert!(ours.recv::<u32>().is_err());
    Ok(())
}

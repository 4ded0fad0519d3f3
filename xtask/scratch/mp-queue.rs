//! mp-queue alone: messages arrive in order, and the end of the sender is seen.

fn main() -> mp_queue::Result<()> {
    let (sender, receiver) = mp_queue::unbounded()?;
    sender.put("first".to_owned())?;
    sender.put("second".to_owned())?;
    assert_eq!(receiver.get()?, "first");
    assert_eq!(receiver.get()?, "second");
    drop(sender);
    assert!(receiver.get().is_err());
    Ok(())
}

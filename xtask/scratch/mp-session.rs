//! mp-session alone: a message in the memory that the processes of a session share.

use mp_session::{Message, Session};

fn main() -> mp_session::Result<()> {
    let session = Session::current()?;
    let message = Message::encode(&session, &vec!["shared".to_owned(), "memory".to_owned()])?;
    assert_eq!(message.decode::<Vec<String>>()?, ["shared", "memory"]);
    Ok(())
}

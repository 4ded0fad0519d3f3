//! Who knows the key: the mutual challenge of `multiprocessing.connection`, as a listener that must not wait for it.
//!
//! | state | comes | goes | next |
//! |---|---|---|---|
//! | | | `#CHALLENGE#{sha256}` and 40 random bytes | `Challenged` |
//! | `Challenged` | the right digest of the challenge | `#WELCOME#` | `Welcomed` |
//! | | anything else | `#FAILURE#` | closed |
//! | `Welcomed` | `#CHALLENGE#` and something | its digest | `Answered` |
//! | `Answered` | `#WELCOME#` | | the connection is open |
//!
//! The peer proves itself first, so who does not know the key gets nothing signed and sees nothing but random bytes and a refusal. Frames are limited
//! to [`LIMIT`] bytes until the connection is open. CPython up to 3.11 knows MD5 only, and answers and challenges without naming it; that HMAC is not
//! broken by MD5's collisions.

use super::auth::{self, CHALLENGE, FAILURE, WELCOME};

/// The longest frame of a handshake, as in CPython.
pub(crate) const LIMIT: usize = 256;

/// How far a handshake is.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// This was sent, and its digest is to come.
    Challenged(Vec<u8>),
    /// The peer was let in and will ask the same of us.
    Welcomed,
    /// We have answered.
    Answered,
}

/// What comes of a frame.
#[derive(Debug)]
pub(crate) enum Step {
    /// This is to be sent, and more will come.
    Send(Vec<u8>),
    /// The connection is open.
    Open,
    /// This is to be sent, and the connection closed.
    Refuse(Vec<u8>),
}

impl Handshake {
    /// Begins: what is to be sent first.
    pub(crate) fn begin() -> std::io::Result<(Handshake, Vec<u8>)> {
        let challenge = auth::challenge()?;
        let first = [CHALLENGE, &challenge].concat();
        Ok((Handshake::Challenged(challenge), first))
    }

    /// A frame has come.
    pub(crate) fn step(&mut self, key: &[u8], frame: &[u8]) -> Step {
        match self {
            Handshake::Challenged(challenge) if auth::is_answer(key, challenge, frame) => {
                *self = Handshake::Welcomed;
                Step::Send(WELCOME.to_vec())
            }
            Handshake::Welcomed => {
                match frame.strip_prefix(CHALLENGE).and_then(|asked| auth::answer(key, asked)) {
                    Some(answer) => {
                        *self = Handshake::Answered;
                        Step::Send(answer)
                    }
                    None => Step::Refuse(FAILURE.to_vec()),
                }
            }
            Handshake::Answered if frame == WELCOME => Step::Open,
            _ => Step::Refuse(FAILURE.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(step: Step) -> Vec<u8> {
        match step {
            Step::Send(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_knows_the_key_comes_in() {
        let (mut ours, first) = Handshake::begin().unwrap();
        let challenge = first.strip_prefix(CHALLENGE).unwrap();
        let answer = auth::answer(b"key", challenge).unwrap();
        assert_eq!(sent(ours.step(b"key", &answer)), WELCOME);
        let asked = auth::challenge().unwrap();
        let answer = sent(ours.step(b"key", &[CHALLENGE, &asked].concat()));
        assert!(auth::is_answer(b"key", &asked, &answer));
        assert!(matches!(ours.step(b"key", WELCOME), Step::Open));
    }

    #[test]
    fn who_does_not_is_signed_nothing() {
        let (mut ours, first) = Handshake::begin().unwrap();
        let challenge = first.strip_prefix(CHALLENGE).unwrap();
        // Neither the wrong key, nor asking first, nor saying "welcome".
        for frame in [auth::answer(b"other", challenge).unwrap(), first.clone(), WELCOME.to_vec(), Vec::new()]
        {
            match ours.step(b"key", &frame) {
                Step::Refuse(bytes) => assert_eq!(bytes, FAILURE),
                other => panic!("{other:?}"),
            }
        }
    }
}

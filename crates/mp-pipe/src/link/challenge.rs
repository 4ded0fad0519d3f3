//! Who knows the key? The mutual proof of CPython's `multiprocessing`, old and new.
//!
//! Each side in turn sends a *challenge*, random bytes, and gets back their keyed hash (HMAC). Nobody sends the key, and whoever does not have it
//! learns nothing but that. First the listener challenges, then the client.
//!
//! ```text
//! challenger                                          answerer
//! #CHALLENGE#{sha256}<40 random bytes>      ->
//!                                           <-        {sha256}<HMAC over all behind #CHALLENGE#>
//! #WELCOME#, or #FAILURE# and the end       ->
//! ```
//!
//! | the other side | its challenge | its answer |
//! |---|---|---|
//! | CPython 3.12 and later, and we | `{digest}` and 20 bytes or more | `{digest}` and the HMAC |
//! | CPython up to 3.11 | 20 bytes | 16 bytes, HMAC-MD5, whatever the challenge says |
//!
//! The hash covers the name of the digest in the challenge, so nobody in the middle can talk two new sides into an older digest. Every message of the
//! proof has at most 256 bytes.
//!
//! What this does *not* do: it encrypts nothing, and protects nothing that comes afterwards from whoever sits in the middle. For that there is TLS.

use hmac::{Hmac, Mac};
use md5::Md5;
use mp_wire::{Error, Result};
use sha2::{Sha256, Sha384};
use sha3::{Sha3_256, Sha3_384};

use crate::authkey::AuthKey;

/// No message of the proof is longer.
pub(crate) const LONGEST: u64 = 256;
const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";
/// The random bytes of our challenges: more than 20, by which the new kind is told from the old one.
const RANDOM: usize = 40;
/// The length of an old side's challenge.
const OLD_CHALLENGE: usize = 20;
/// The length of an old side's answer.
const OLD_ANSWER: usize = 16;

/// The frames of a connection that is not trusted yet.
pub(crate) trait Frames {
    fn put(&mut self, frame: &[u8]) -> Result<()>;
    /// Refuses longer ones than [`LONGEST`] before it has read them.
    fn take(&mut self) -> Result<Vec<u8>>;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
    Sha3_256,
    Sha3_384,
}

const DIGESTS: [(Digest, &[u8]); 5] = [
    (Digest::Md5, b"md5"),
    (Digest::Sha256, b"sha256"),
    (Digest::Sha384, b"sha384"),
    (Digest::Sha3_256, b"sha3_256"),
    (Digest::Sha3_384, b"sha3_384"),
];

macro_rules! with_digest {
    ($digest:expr, $key:expr, $message:expr, $mac:ident => $result:expr) => {
        match $digest {
            Digest::Md5 => with_digest!(@ Md5, $key, $message, $mac => $result),
            Digest::Sha256 => with_digest!(@ Sha256, $key, $message, $mac => $result),
            Digest::Sha384 => with_digest!(@ Sha384, $key, $message, $mac => $result),
            Digest::Sha3_256 => with_digest!(@ Sha3_256, $key, $message, $mac => $result),
            Digest::Sha3_384 => with_digest!(@ Sha3_384, $key, $message, $mac => $result),
        }
    };
    (@ $hash:ty, $key:expr, $message:expr, $mac:ident => $result:expr) => {{
        // A key of any length will do.
        match <Hmac<$hash> as Mac>::new_from_slice($key) {
            Ok(mut $mac) => {
                $mac.update($message);
                $result
            }
            Err(_) => Default::default(),
        }
    }};
}

impl Digest {
    fn hash(self, key: &AuthKey, message: &[u8]) -> Vec<u8> {
        with_digest!(self, key.as_bytes(), message, mac => mac.finalize().into_bytes().to_vec())
    }

    /// Compares in a time that does not tell where the difference is.
    fn verify(self, key: &AuthKey, message: &[u8], hash: &[u8]) -> bool {
        with_digest!(self, key.as_bytes(), message, mac => mac.verify_slice(hash).is_ok())
    }
}

/// The `{digest}` in front of a message, and what comes behind it.
fn digest_of(message: &[u8]) -> Option<(Digest, &[u8])> {
    let rest = message.strip_prefix(b"{")?;
    DIGESTS.iter().find_map(|(digest, name)| {
        rest.strip_prefix(*name).and_then(|rest| rest.strip_prefix(b"}")).map(|rest| (*digest, rest))
    })
}

fn failed(why: &str) -> Error {
    Error::Authentication { what: "the other side".into(), why: why.into() }
}

fn random() -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(3 * 16);
    while bytes.len() < RANDOM {
        let more = mp_sys::random_u128().map_err(|e| Error::os("random bytes for a challenge", e))?;
        bytes.extend_from_slice(&more.to_ne_bytes());
    }
    bytes.truncate(RANDOM);
    Ok(bytes)
}

/// Challenges the other side.
pub(crate) fn deliver(frames: &mut impl Frames, key: &AuthKey) -> Result<()> {
    let message = [b"{sha256}", random()?.as_slice()].concat();
    frames.put(&[CHALLENGE, &message].concat())?;
    let answer = frames.take()?;
    let judged = judge(key, &message, &answer);
    // An error of the proof counts more than one of telling it.
    let told = frames.put(if judged.is_ok() { WELCOME } else { FAILURE });
    judged.and(told)
}

fn judge(key: &AuthKey, message: &[u8], answer: &[u8]) -> Result<()> {
    let (digest, hash) = match answer.len() {
        OLD_ANSWER => (Digest::Md5, answer),
        _ => digest_of(answer).ok_or_else(|| failed("its answer is no answer"))?,
    };
    if digest.verify(key, message, hash) { Ok(()) } else { Err(failed("it does not have our key")) }
}

/// Answers the other side's challenge.
pub(crate) fn answer(frames: &mut impl Frames, key: &AuthKey) -> Result<()> {
    let first = frames.take()?;
    let message = first.strip_prefix(CHALLENGE).ok_or_else(|| failed("it does not challenge us"))?;
    let answer = match message.len() {
        0..OLD_CHALLENGE => return Err(failed("its challenge is too short")),
        OLD_CHALLENGE => Digest::Md5.hash(key, message),
        _ => {
            let (digest, _) = digest_of(message).ok_or_else(|| failed("it asks for an unknown digest"))?;
            let name = DIGESTS.iter().find(|(d, _)| *d == digest).map_or(&b""[..], |(_, name)| name);
            [b"{", name, b"}", &digest.hash(key, message)].concat()
        }
    };
    frames.put(&answer)?;
    match frames.take()?.as_slice() {
        WELCOME => Ok(()),
        FAILURE => Err(failed("it does not accept our key")),
        _ => Err(failed("it gives no verdict")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc;

    use super::*;

    struct Pair(mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>);

    impl Frames for Pair {
        fn put(&mut self, frame: &[u8]) -> Result<()> {
            // Whoever has gone does not read it.
            let _ = self.0.send(frame.to_vec());
            Ok(())
        }

        fn take(&mut self) -> Result<Vec<u8>> {
            self.1.recv().map_err(|_| Error::msg("gone"))
        }
    }

    /// What the listener and the client say of each other.
    fn meet(ours: &[u8], theirs: &[u8]) -> (Result<()>, Result<()>) {
        let ((to, from), (back_to, back_from)) = (mpsc::channel(), mpsc::channel());
        let theirs = AuthKey::from(theirs);
        let client = std::thread::spawn(move || {
            let mut frames = Pair(back_to, from);
            answer(&mut frames, &theirs).and_then(|()| deliver(&mut frames, &theirs))
        });
        let mut frames = Pair(to, back_from);
        let ours = AuthKey::from(ours);
        let judged = deliver(&mut frames, &ours).and_then(|()| answer(&mut frames, &ours));
        drop(frames);
        (judged, client.join().unwrap())
    }

    #[test]
    fn who_has_the_key_is_let_in_and_nobody_else() {
        for key in [&b""[..], b"key", &[7; 1000]] {
            assert_eq!(meet(key, key), (Ok(()), Ok(())));
        }
        let (ours, theirs) = meet(b"key", b"kez");
        assert!(matches!(ours, Err(Error::Authentication { .. })), "{ours:?}");
        assert!(matches!(theirs, Err(Error::Authentication { .. })), "{theirs:?}");
    }

    struct Script(VecDeque<Vec<u8>>, Vec<Vec<u8>>);

    impl Frames for Script {
        fn put(&mut self, frame: &[u8]) -> Result<()> {
            self.1.push(frame.to_vec());
            Ok(())
        }

        fn take(&mut self) -> Result<Vec<u8>> {
            self.0.pop_front().ok_or_else(|| Error::msg("gone"))
        }
    }

    /// What CPython's `hmac.new(b"key", message, digest).digest()` gives.
    #[test]
    fn the_hashes_are_cpythons() {
        let key = AuthKey::from(&b"key"[..]);
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let message = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(hex(Digest::Md5.hash(&key, message)), "80070713463e7749b90c2dc24911e275");
        assert_eq!(
            hex(Digest::Sha256.hash(&key, message)),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
    }

    #[test]
    fn every_digest_is_answered_and_unknown_ones_are_not() {
        let key = AuthKey::from(&b"key"[..]);
        for (digest, name) in DIGESTS {
            let message = [b"{", name, b"}", &[9; 40]].concat();
            let mut script = Script([[CHALLENGE, &message].concat(), WELCOME.to_vec()].into(), Vec::new());
            answer(&mut script, &key).unwrap();
            let (named, hash) = digest_of(&script.1[0]).unwrap();
            assert!(named == digest && digest.verify(&key, &message, hash));
            judge(&key, &message, &script.1[0]).unwrap();
        }
        let old = [5; OLD_CHALLENGE];
        let mut script = Script([[CHALLENGE, &old].concat(), WELCOME.to_vec()].into(), Vec::new());
        answer(&mut script, &key).unwrap();
        assert_eq!(script.1[0], Digest::Md5.hash(&key, &old));
        for bad in [
            &b"#CHALLENGE#short"[..],
            b"#CHALLENGE#{sha1}0123456789012345678901234567890123456789",
            b"#CHALLENGE#012345678901234567890123456789",
            b"{sha256}0123456789012345678901234567890123456789",
            b"",
        ] {
            let mut script = Script([bad.to_vec()].into(), Vec::new());
            assert!(matches!(answer(&mut script, &key), Err(Error::Authentication { .. })));
            assert!(script.1.is_empty(), "nothing is hashed for whoever does not ask properly");
        }
    }

    #[test]
    fn wrong_answers_are_told_so() {
        let key = AuthKey::from(&b"key"[..]);
        for bad in
            [&b""[..], &[0; OLD_ANSWER], b"{sha256}short", b"{sha256}01234567890123456789012345678901", b"x"]
        {
            let mut script = Script([bad.to_vec()].into(), Vec::new());
            assert!(matches!(deliver(&mut script, &key), Err(Error::Authentication { .. })));
            assert_eq!(script.1[1], FAILURE);
        }
    }
}

//! The digests of `multiprocessing.connection`'s challenge.
//!
//! A challenge since CPython 3.12 begins with the name of a digest in braces, and so does its answer; an older one is 20 bytes and its answer the bare
//! HMAC-MD5. The HMAC is of the whole challenge, the name included.

use hmac::{Hmac, Mac};

pub(crate) const CHALLENGE: &[u8] = b"#CHALLENGE#";
pub(crate) const WELCOME: &[u8] = b"#WELCOME#";
pub(crate) const FAILURE: &[u8] = b"#FAILURE#";

/// The random bytes of a challenge.
const RANDOM: usize = 40;
/// A challenge is no shorter than that, or it might be an answer.
const SHORTEST: usize = 20;

/// A challenge that was never made before.
pub(crate) fn challenge() -> std::io::Result<Vec<u8>> {
    let mut challenge = b"{sha256}".to_vec();
    while challenge.len() < 8 + RANDOM {
        challenge.extend(mp_sys::random_u128()?.to_le_bytes());
    }
    challenge.truncate(8 + RANDOM);
    Ok(challenge)
}

/// The digest's name and what follows it. Without a name it is MD5.
fn named(bytes: &[u8]) -> Option<(Digest, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b"{") else { return Some((Digest::Md5, bytes)) };
    let at = rest.iter().take(16).position(|b| *b == b'}')?;
    let digest = match &rest[..at] {
        b"md5" => Digest::Md5,
        b"sha256" => Digest::Sha256,
        b"sha384" => Digest::Sha384,
        _ => return None,
    };
    Some((digest, &rest[at + 1..]))
}

#[derive(Clone, Copy)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
}

impl Digest {
    fn name(self) -> &'static [u8] {
        match self {
            Digest::Md5 => b"{md5}",
            Digest::Sha256 => b"{sha256}",
            Digest::Sha384 => b"{sha384}",
        }
    }

    fn of(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Digest::Md5 => Digest::finish::<Hmac<md5::Md5>>(key, message),
            Digest::Sha256 => Digest::finish::<Hmac<sha2::Sha256>>(key, message),
            Digest::Sha384 => Digest::finish::<Hmac<sha2::Sha384>>(key, message),
        }
    }

    fn finish<M: Mac + hmac::digest::KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
        match <M as Mac>::new_from_slice(key) {
            Ok(mac) => mac.chain_update(message).finalize().into_bytes().to_vec(),
            // HMAC takes keys of any length.
            Err(_) => Vec::new(),
        }
    }
}

/// The answer to a challenge. `None`: it asks for a digest that is not known, or is none.
pub(crate) fn answer(key: &[u8], challenge: &[u8]) -> Option<Vec<u8>> {
    if challenge.len() < SHORTEST {
        return None;
    }
    // As CPython decides: 20 bytes are an old challenge, whatever they begin with.
    if challenge.len() == SHORTEST || !challenge.starts_with(b"{") {
        return (challenge.len() == SHORTEST).then(|| Digest::Md5.of(key, challenge));
    }
    let (digest, _) = named(challenge)?;
    Some([digest.name(), &digest.of(key, challenge)].concat())
}

/// Whether this is the answer to that challenge, compared in a time that tells nothing of where they differ.
pub(crate) fn is_answer(key: &[u8], challenge: &[u8], answer: &[u8]) -> bool {
    let old = answer.len() == 16;
    let Some((digest, given)) = (if old { Some((Digest::Md5, answer)) } else { named(answer) }) else {
        return false;
    };
    let expected = digest.of(key, challenge);
    !given.is_empty()
        && given.len() == expected.len()
        && given.iter().zip(&expected).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HMAC-MD5 of RFC 2104, and HMAC-SHA-256 of RFC 4231, test cases 2.
    #[test]
    fn the_digests_are_those_of_the_standards() {
        let md5 = Digest::Md5.of(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(md5[..4], [0x75, 0x0c, 0x78, 0x3e]);
        let sha = Digest::Sha256.of(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(sha[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }

    #[test]
    fn old_and_new_peers_are_answered_in_their_own_way() {
        assert_eq!(answer(b"k", &[b'x'; 20]).unwrap().len(), 16);
        assert_eq!(answer(b"k", b"{sha384}01234567890123").unwrap().len(), 8 + 48);
        assert_eq!(answer(b"k", b"{sha1}0123456789012345"), None);
        assert_eq!(answer(b"k", b"short"), None);
        let asked = challenge().unwrap();
        assert!(is_answer(b"k", &asked, &Digest::Md5.of(b"k", &asked)));
        assert!(!is_answer(b"k", &asked, b"{sha256}"));
        assert!(!is_answer(b"k", &asked, b""));
        assert_ne!(challenge().unwrap(), asked);
    }
}

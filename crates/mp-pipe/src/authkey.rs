//! The secret that both sides know.

use std::fmt;

use mp_wire::{Error, Result};

/// The secret by which two programs know each other (Python's `authkey`). It is never sent, and never shown.
///
/// # Examples
/// ```
/// use mp_pipe::AuthKey;
///
/// let key = AuthKey::from("open sesame");
/// assert_eq!(format!("{key:?}"), "AuthKey(11 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey(Box<[u8]>);

impl AuthKey {
    /// A key that nobody can guess: 32 random bytes.
    ///
    /// # Errors
    /// [`Error::Os`] when the system has no random bytes.
    pub fn random() -> Result<AuthKey> {
        let part = || mp_sys::random_u128().map(u128::to_ne_bytes).map_err(|e| Error::os("a random key", e));
        Ok(AuthKey([part()?, part()?].concat().into()))
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({} bytes)", self.0.len())
    }
}

impl From<&[u8]> for AuthKey {
    fn from(bytes: &[u8]) -> AuthKey {
        AuthKey(bytes.into())
    }
}

impl<const N: usize> From<&[u8; N]> for AuthKey {
    fn from(bytes: &[u8; N]) -> AuthKey {
        AuthKey(bytes.as_slice().into())
    }
}

impl From<Vec<u8>> for AuthKey {
    fn from(bytes: Vec<u8>) -> AuthKey {
        AuthKey(bytes.into())
    }
}

impl From<&str> for AuthKey {
    fn from(text: &str) -> AuthKey {
        AuthKey(text.as_bytes().into())
    }
}

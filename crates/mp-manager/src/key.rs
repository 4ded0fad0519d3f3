//! What a dict can be asked for, and how keys become bytes.

use std::any::Any as Type;
use std::hash::Hasher;

use mp_wire::{Message, Result};
use siphasher::sip::SipHasher13;

use crate::any::Any;
use crate::packed::no_key;

/// Something by which a `K` can be looked up: a `K`, and for strings and bytes their borrowed forms.
///
/// Keys compare by their encoded bytes, so the borrowed form has to have the same. That is why this is a trait of its own, and not
/// [`Borrow`](std::borrow::Borrow).
pub trait KeyOf<K> {
    /// Appends the bytes of the key.
    ///
    /// # Errors
    /// [`Error::Encode`](mp_wire::Error::Encode); [`Error::InvalidArgument`](mp_wire::Error::InvalidArgument) for what cannot be a key.
    fn encode_key(&self, out: &mut Vec<u8>) -> Result<()>;
}

impl<K: Message> KeyOf<K> for K {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) -> Result<()> {
        let value: &dyn Type = self;
        let encoded = match value.downcast_ref::<Any>() {
            Some(any) => mp_wire::encode(&any.to_key()?, out)?,
            None => mp_wire::encode(self, out)?,
        };
        if encoded.exports.is_empty() { Ok(()) } else { Err(no_key("a value with handles in it")) }
    }
}

impl KeyOf<String> for str {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) -> Result<()> {
        // A `String` is plain data: its bytes are itself.
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }
}

impl KeyOf<Vec<u8>> for [u8] {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) -> Result<()> {
        // As for strings.
        out.extend_from_slice(self);
        Ok(())
    }
}

impl KeyOf<Any> for str {
    fn encode_key(&self, out: &mut Vec<u8>) -> Result<()> {
        KeyOf::<Any>::encode_key(&Any::from(self), out)
    }
}

/// The hash of a key: SipHash-1-3 with the dict's own seed, so that nobody who sends keys can choose them to collide. It is the same in
/// every program.
#[inline]
pub(crate) fn hash(seed: (u64, u64), key: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed.0, seed.1);
    hasher.write(key);
    hasher.finish()
}

/// The codec of a key of that type, which its bytes do not tell.
pub(crate) fn decode<K: Message>(bytes: &[u8]) -> Result<K> {
    mp_wire::decode(mp_wire::codec_of::<K>(), bytes, Vec::new())
}

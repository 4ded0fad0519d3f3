//! Values as bytes.
//!
//! # Two codecs
//!
//! [`Codec::Plain`] is for data whose bytes are its value: numbers, `bool`, `char`, `()`, `String`,
//! `Box<[u8]>` and vectors of numbers. They are copied, which for a mebibyte of bytes is forty times as fast
//! as going through serde element by element. [`Codec::Postcard`] is for everything else. The type alone
//! decides, never the value, so both sides agree; the codec travels with the message all the same, so that a
//! disagreement is an error and not garbage.
//!
//! A vector of bytes *inside* another value goes through postcard. `serde_bytes` on that field makes it fast
//! there, too.
//!
//! # What postcard cannot do
//!
//! Its bytes do not describe themselves. `#[serde(untagged)]`, `#[serde(flatten)]`, `#[serde(tag = "...")]`
//! and `serde_json::Value` need that; `#[serde(skip_serializing_if = "...")]` leaves bytes out that the
//! reader expects. Some of these encode well and fail at the receiver, far from the mistake. So in debug
//! builds [`encode`] reads small values back at once and fails there, where the type is. The remedy is to
//! send them inside `Json` or `Cbor` (features `json` and `cbor`).

use std::any::{Any, type_name};

use crate::{Error, Message, Result, carrier, plain};

/// How values of that type are encoded: the type alone decides.
#[inline]
pub fn codec_of<T: Message>() -> Codec {
    if plain::is_plain::<T>() { Codec::Plain } else { Codec::Postcard }
}

/// How the bytes of a message were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// The bytes are the value.
    Plain = 0,
    /// serde through postcard.
    Postcard = 1,
}

impl TryFrom<u8> for Codec {
    type Error = Error;

    fn try_from(byte: u8) -> Result<Self> {
        match byte {
            0 => Ok(Codec::Plain),
            1 => Ok(Codec::Postcard),
            unknown => Err(Error::Decode {
                type_name: "Codec".to_owned(),
                detail: format!("no codec has number {unknown}"),
            }),
        }
    }
}

impl From<Codec> for u8 {
    fn from(codec: Codec) -> u8 {
        codec as u8
    }
}

/// What [`encode`] gives beside the bytes.
#[derive(Debug)]
pub struct Encoded {
    /// How to read the bytes.
    pub codec: Codec,
    /// The objects behind the handles in the value, for [`decode`] to get at the other end. See [`carrier`].
    pub exports: Vec<Box<dyn Any + Send>>,
}

/// In debug builds values of fewer bytes are read back at once.
const CHECKED_BELOW: usize = 4096;

/// Appends `value` to `out`.
///
/// # Errors
///
/// [`Error::Encode`] if the type's `Serialize` refuses, or postcard cannot do what it asks; or the error that
/// a handle inside the value gave as its reason. `out` is then as long as before.
#[inline]
pub fn encode<T: Message>(value: &T, out: &mut Vec<u8>) -> Result<Encoded> {
    // Settled at compile time: where it is a number, a few instructions are all that is left of this.
    if let Some((word, len)) = plain::encode_word(value) {
        out.extend_from_slice(&word.to_ne_bytes()[..len]);
        return Ok(Encoded { codec: Codec::Plain, exports: Vec::new() });
    }
    encode_any(value, out)
}

fn encode_any<T: Message>(value: &T, out: &mut Vec<u8>) -> Result<Encoded> {
    if plain::encode(value, out) {
        return Ok(Encoded { codec: Codec::Plain, exports: Vec::new() });
    }
    let start = out.len();
    let unpacked = carrier::loading(|| postcard::serialize_with_flavor(value, Append(out)))?;
    if let Err(error) = unpacked.result {
        out.truncate(start);
        return Err(unpacked.refusal.unwrap_or_else(|| encode_error::<T>(describe(&error))));
    }
    if cfg!(debug_assertions)
        && unpacked.exports.is_empty()
        && out.len() - start < CHECKED_BELOW
        && let Err(error) = decode::<T>(Codec::Postcard, &out[start..], Vec::new())
    {
        out.truncate(start);
        return Err(encode_error::<T>(format!("its bytes do not read back ({error}); {REMEDY}")));
    }
    Ok(Encoded { codec: Codec::Postcard, exports: unpacked.exports })
}

/// Reads a value from all of `bytes`; `imports` are the exports that [`encode`] gave. Those that the value
/// does not take are dropped.
///
/// # Errors
///
/// [`Error::Decode`] if the bytes are no such value, or more than the value; or the error that a handle
/// inside the value gave as its reason.
#[inline]
pub fn decode<T: Message>(codec: Codec, bytes: &[u8], imports: Vec<Box<dyn Any + Send>>) -> Result<T> {
    if codec == Codec::Plain
        && plain::is_word::<T>()
        && bytes.len() == size_of::<T>()
        && let mut word = [0; 8]
        && let Some(to) = word.get_mut(..size_of::<T>())
    {
        to.copy_from_slice(bytes);
        if let Some(value) = plain::decode_word(u64::from_ne_bytes(word), size_of::<T>()) {
            return Ok(value);
        }
    }
    decode_any(codec, bytes, imports)
}

fn decode_any<T: Message>(codec: Codec, bytes: &[u8], imports: Vec<Box<dyn Any + Send>>) -> Result<T> {
    match codec {
        Codec::Plain => match plain::decode(bytes) {
            Some(result) => result.map_err(decode_error::<T>),
            None => Err(decode_error::<T>("the bytes are plain data, which this type is not")),
        },
        Codec::Postcard if plain::is_plain::<T>() => {
            Err(decode_error::<T>("the bytes are postcard's, and this type travels as plain data"))
        }
        Codec::Postcard => {
            let unpacked = carrier::unloading(imports, || postcard::take_from_bytes::<T>(bytes))?;
            match unpacked.result {
                Ok((value, [])) => Ok(value),
                Ok((_, rest)) => {
                    Err(decode_error::<T>(format!("{} of {} bytes are left over", rest.len(), bytes.len())))
                }
                Err(error) => Err(unpacked.refusal.unwrap_or_else(|| decode_error::<T>(describe(&error)))),
            }
        }
    }
}

const REMEDY: &str = "serde's `untagged`, `flatten`, `tag` and `skip_serializing_if` need a self-describing \
                      format: send the value as `Json(value)` or `Cbor(value)`";

#[cold]
fn encode_error<T>(detail: impl Into<String>) -> Error {
    Error::Encode { type_name: type_name::<T>().to_owned(), detail: detail.into() }
}

#[cold]
fn decode_error<T>(detail: impl Into<String>) -> Error {
    Error::Decode { type_name: type_name::<T>().to_owned(), detail: detail.into() }
}

/// postcard's errors in words that say what to do.
#[cold]
fn describe(error: &postcard::Error) -> String {
    use postcard::Error as E;
    match error {
        E::WontImplement | E::NotYetImplemented | E::SerializeSeqLengthUnknown => REMEDY.to_owned(),
        E::SerdeSerCustom => {
            "a `Serialize` implementation refused the value (a path that is not UTF-8 does: \
                              send it as an `OsString`)"
                .to_owned()
        }
        E::SerdeDeCustom => "a `Deserialize` implementation refused the bytes".to_owned(),
        E::DeserializeUnexpectedEnd => "the bytes end too early".to_owned(),
        other => other.to_string(),
    }
}

/// postcard's output, appended to a vector that outlives a failure.
struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

//! Values that need a self-describing format.
//!
//! [`Json`] and [`Cbor`] write their content in that format, and the message carries it as bytes. Handles
//! inside work: they are exported into the message around.

/// One wrapper: its documentation, its name, and how the format writes and reads.
#[cfg(any(feature = "json", feature = "cbor"))]
macro_rules! wrapper {
    ($(#[$documentation:meta])* $name:ident, $write:path, $read:path) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name<T>(pub T);

        impl<T> $name<T> {
            /// The value itself.
            pub fn into_inner(self) -> T {
                self.0
            }
        }

        impl<T> From<T> for $name<T> {
            fn from(value: T) -> Self {
                Self(value)
            }
        }

        impl<T> std::ops::Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> std::ops::DerefMut for $name<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }

        impl<T: serde::Serialize> serde::Serialize for $name<T> {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match $write(&self.0) {
                    Ok(bytes) => to.serialize_bytes(&bytes),
                    Err(detail) => Err(serde::ser::Error::custom(bytes::cannot_encode::<T>(detail))),
                }
            }
        }

        impl<'de, T: serde::de::DeserializeOwned> serde::Deserialize<'de> for $name<T> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let read = |bytes: &[u8]| $read(bytes).map(Self).map_err(bytes::cannot_decode::<T>);
                from.deserialize_bytes(bytes::Through(read, stringify!($name)))
            }
        }

        impl<T: serde::Serialize + serde::de::DeserializeOwned + 'static> crate::Output for $name<T> {
            type Value = Self;

            fn into_result(self) -> Result<Self, crate::Failure> {
                Ok(self)
            }
        }
    };
}

#[cfg(feature = "json")]
wrapper! {
    /// A value that travels as JSON: for types that use serde's `untagged`, `flatten`, `tag` or
    /// `skip_serializing_if`.
    ///
    /// JSON's own limits hold: the keys of maps are text or numbers, and a float that is not finite does not
    /// come back. `Cbor` knows neither.
    ///
    /// ```
    /// use mp_wire::Json;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// #[serde(untagged)]
    /// enum Id { Number(u64), Name(String) }
    ///
    /// let mut bytes = Vec::new();
    /// let encoded = mp_wire::encode(&Json(Id::Name("bob".to_owned())), &mut bytes)?;
    /// let back: Json<Id> = mp_wire::decode(encoded.codec, &bytes, encoded.exports)?;
    /// assert!(matches!(back.into_inner(), Id::Name(name) if name == "bob"));
    /// # Ok::<(), mp_wire::Error>(())
    /// ```
    Json, json::write, json::read
}

#[cfg(feature = "cbor")]
wrapper! {
    /// A value that travels as CBOR: for types that use serde's `untagged`, `flatten`, `tag` or
    /// `skip_serializing_if`.
    ///
    /// ```
    /// use mp_wire::Cbor;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Options {
    ///     #[serde(skip_serializing_if = "Option::is_none")]
    ///     depth: Option<u32>,
    ///     width: u32,
    /// }
    ///
    /// let mut bytes = Vec::new();
    /// let encoded = mp_wire::encode(&Cbor(Options { depth: None, width: 3 }), &mut bytes)?;
    /// let back: Cbor<Options> = mp_wire::decode(encoded.codec, &bytes, encoded.exports)?;
    /// assert_eq!((back.depth, back.width), (None, 3));
    /// # Ok::<(), mp_wire::Error>(())
    /// ```
    Cbor, cbor::write, cbor::read
}

#[cfg(feature = "json")]
mod json {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub(super) fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
        serde_json::to_vec(value).map_err(|error| error.to_string())
    }

    pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

#[cfg(feature = "cbor")]
mod cbor {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub(super) fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    pub(super) fn read<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, String> {
        let value = ciborium::from_reader(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.is_empty() { Ok(value) } else { Err(format!("{} bytes are left over", bytes.len())) }
    }
}

/// What both wrappers share: bytes as serde hands them out.
#[cfg(any(feature = "json", feature = "cbor"))]
mod bytes {
    use std::any::type_name;
    use std::fmt;

    use serde::de::{Error as _, SeqAccess, Visitor};

    use crate::{Error, carrier};

    pub(super) fn cannot_encode<T>(detail: String) -> Error {
        first_reason(Error::Encode { type_name: type_name::<T>().to_owned(), detail })
    }

    pub(super) fn cannot_decode<T>(detail: String) -> Error {
        first_reason(Error::Decode { type_name: type_name::<T>().to_owned(), detail })
    }

    /// A handle inside may have given its own reason; the format only repeats it.
    fn first_reason(error: Error) -> Error {
        carrier::refuse_unless_refused(error)
    }

    /// Reads a value through a function of all its bytes.
    pub(super) struct Through<F>(pub(super) F, pub(super) &'static str);

    impl<'de, R, F: FnOnce(&[u8]) -> Result<R, Error>> Visitor<'de> for Through<F> {
        type Value = R;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "the bytes of a {}", self.1)
        }

        fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<R, E> {
            (self.0)(bytes).map_err(E::custom)
        }

        /// Formats without bytes of their own (JSON around CBOR) write a list of numbers.
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<R, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = list.next_element()? {
                bytes.push(byte);
            }
            (self.0)(&bytes).map_err(A::Error::custom)
        }
    }
}

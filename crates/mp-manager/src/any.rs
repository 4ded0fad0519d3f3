//! `Any`: a value whose type is known when the program runs, for what CPython may see.
//!
//! # Equal keys have equal bytes
//!
//! As a key an `Any` is first made canonical ([`Any::to_key`]): a truth value or a float that is a whole number becomes that number,
//! because Python's `1`, `True` and `1.0` are one key; a frozen set's elements are sorted by their bytes. So a key comes back as the number
//! when it was put in as `True` or `1.0`: equal to what was put in, and of another type.
//!
//! The encoding is postcard's of this enum, whose order is therefore not to be changed.

use std::fmt;

use mp_wire::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::handle::Handle;

mod big;
mod convert;

pub use big::BigInt;

/// A value of any type that Python and this crate have in common.
///
/// Containers that CPython may see are containers of these: `Dict<Any, Any>`, `List<Any>` and so on.
///
/// Two are equal when Python would say so: `1`, `1.0` and `True` are, a list and a tuple are not. Unlike in Python, a float that is no
/// number equals itself.
///
/// # Examples
///
/// ```
/// use mp_manager::{Any, Dict};
///
/// let mixed = Dict::<Any, Any>::new()?;
/// mixed.insert("colours", Any::list(["red", "blue"]))?;
/// mixed.insert(&Any::from(1), Any::from("one"))?;
/// assert_eq!(mixed.get(&Any::from(1.0))?, Some(Any::from("one")));
/// # Ok::<(), mp_manager::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Any {
    /// Python's `None`.
    #[default]
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` that fits.
    Int(i64),
    /// An `int` that does not fit into 64 bits.
    BigInt(BigInt),
    /// A `float`.
    Float(f64),
    /// A `complex`: its real and its imaginary part.
    Complex(f64, f64),
    /// A `str`.
    Str(String),
    /// `bytes`.
    Bytes(#[serde(with = "bytes")] Vec<u8>),
    /// A `bytearray`.
    ByteArray(#[serde(with = "bytes")] Vec<u8>),
    /// A `list`, as a value: a copy, not a shared list.
    List(Vec<Any>),
    /// A `tuple`.
    Tuple(Vec<Any>),
    /// A `dict`, as a value, in its order.
    Dict(Vec<(Any, Any)>),
    /// A `set`, as a value.
    Set(Vec<Any>),
    /// A `frozenset`.
    FrozenSet(Vec<Any>),
    /// An object that only Python understands, as the bytes of its pickle. Nobody here looks into it.
    Opaque(#[serde(with = "bytes")] Vec<u8>),
    /// A shared object: the same one wherever it arrives.
    Handle(Handle),
}

impl Any {
    /// A list of values.
    pub fn list<T: Into<Any>>(values: impl IntoIterator<Item = T>) -> Any {
        Any::List(values.into_iter().map(Into::into).collect())
    }

    /// A tuple of values.
    pub fn tuple<T: Into<Any>>(values: impl IntoIterator<Item = T>) -> Any {
        Any::Tuple(values.into_iter().map(Into::into).collect())
    }

    /// A dict of values, in this order. Of equal keys the last one's value counts.
    pub fn dict<K: Into<Any>, V: Into<Any>>(entries: impl IntoIterator<Item = (K, V)>) -> Any {
        let mut all: Vec<(Any, Any)> = Vec::new();
        for (key, value) in entries {
            let (key, value) = (key.into(), value.into());
            match all.iter_mut().find(|(k, _)| *k == key) {
                Some((_, old)) => *old = value,
                None => all.push((key, value)),
            }
        }
        Any::Dict(all)
    }

    /// What Python calls the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Any::None => "NoneType",
            Any::Bool(_) => "bool",
            Any::Int(_) | Any::BigInt(_) => "int",
            Any::Float(_) => "float",
            Any::Complex(..) => "complex",
            Any::Str(_) => "str",
            Any::Bytes(_) => "bytes",
            Any::ByteArray(_) => "bytearray",
            Any::List(_) => "list",
            Any::Tuple(_) => "tuple",
            Any::Dict(_) => "dict",
            Any::Set(_) => "set",
            Any::FrozenSet(_) => "frozenset",
            Any::Opaque(_) => "object",
            Any::Handle(handle) => handle.type_name(),
        }
    }

    /// The canonical form, which is the same for all values that are the same key.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what Python cannot hash (`list`, `dict`, `set`, `bytearray`), and for handles.
    pub fn to_key(&self) -> Result<Any> {
        Ok(match self {
            Any::Bool(b) => Any::Int(i64::from(*b)),
            Any::Float(f) => whole(*f).unwrap_or(Any::Float(*f)),
            Any::Complex(re, im) if *im == 0.0 => whole(*re).unwrap_or(Any::Float(*re)),
            // One zero, as in floats.
            Any::Complex(re, im) => Any::Complex(*re + 0.0, *im + 0.0),
            Any::Tuple(items) => Any::Tuple(items.iter().map(Any::to_key).collect::<Result<_>>()?),
            Any::FrozenSet(items) => Any::FrozenSet(canonical_set(items)?),
            Any::List(_) | Any::Dict(_) | Any::Set(_) | Any::ByteArray(_) | Any::Handle(_) => {
                let detail = format!("unhashable type: {:?}", self.type_name());
                return Err(Error::InvalidArgument { detail });
            }
            other => other.clone(),
        })
    }

    /// Whether it counts as true: Python's `bool(x)`.
    pub fn is_true(&self) -> bool {
        match self {
            Any::None => false,
            Any::Bool(b) => *b,
            Any::Int(i) => *i != 0,
            Any::Float(f) => *f != 0.0,
            Any::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Any::Str(s) => !s.is_empty(),
            Any::Bytes(b) | Any::ByteArray(b) => !b.is_empty(),
            Any::List(v) | Any::Tuple(v) | Any::Set(v) | Any::FrozenSet(v) => !v.is_empty(),
            Any::Dict(d) => !d.is_empty(),
            Any::BigInt(_) | Any::Opaque(_) | Any::Handle(_) => true,
        }
    }
}

/// The elements as keys, each once, in the order of their bytes.
fn canonical_set(items: &[Any]) -> Result<Vec<Any>> {
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let key = item.to_key()?;
        let mut bytes = Vec::new();
        mp_wire::encode(&key, &mut bytes)?;
        keyed.push((bytes, key));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    keyed.dedup_by(|a, b| a.0 == b.0);
    Ok(keyed.into_iter().map(|(_, key)| key).collect())
}

/// The whole number that a float is.
fn whole(f: f64) -> Option<Any> {
    if !f.is_finite() || f.fract() != 0.0 {
        return None;
    }
    // Exact: 2^63 is a float, and everything below it converts without loss.
    let limit = 9_223_372_036_854_775_808.0;
    if (-limit..limit).contains(&f) {
        Some(Any::Int(f as i64))
    } else {
        Some(Any::from(BigInt::from_whole(f)))
    }
}

impl PartialEq for Any {
    /// As Python's `==`.
    fn eq(&self, other: &Any) -> bool {
        use Any::*;
        let bits = |f: f64| if f == 0.0 { 0 } else { f.to_bits() };
        match (self, other) {
            (None, None) => true,
            (Int(a), Int(b)) => a == b,
            (Str(a), Str(b)) => a == b,
            (Bytes(a) | ByteArray(a), Bytes(b) | ByteArray(b)) => a == b,
            (List(a), List(b)) | (Tuple(a), Tuple(b)) => a == b,
            (Dict(a), Dict(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| b.iter().any(|(l, w)| k == l && v == w))
            }
            (Set(a) | FrozenSet(a), Set(b) | FrozenSet(b)) => match (canonical_set(a), canonical_set(b)) {
                (Ok(a), Ok(b)) => a == b,
                _ => false,
            },
            (Opaque(a), Opaque(b)) => a == b,
            (Handle(a), Handle(b)) => a == b,
            (BigInt(a), BigInt(b)) => a == b,
            (Float(a), Float(b)) => bits(*a) == bits(*b),
            (Complex(a, b), Complex(c, d)) => bits(*a) == bits(*c) && bits(*b) == bits(*d),
            // Numbers of different types are equal as keys.
            (
                Bool(_) | Int(_) | BigInt(_) | Float(_) | Complex(..),
                Bool(_) | Int(_) | BigInt(_) | Float(_) | Complex(..),
            ) => match (self.to_key(), other.to_key()) {
                (Ok(Int(a)), Ok(Int(b))) => a == b,
                (Ok(BigInt(a)), Ok(BigInt(b))) => a == b,
                (Ok(Float(a)), Ok(Float(b))) => bits(a) == bits(b),
                _ => false,
            },
            _ => false,
        }
    }
}

impl fmt::Display for Any {
    /// As Python's `repr`, more or less.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn row(f: &mut fmt::Formatter<'_>, open: &str, items: &[Any], close: &str) -> fmt::Result {
            f.write_str(open)?;
            for (i, item) in items.iter().enumerate() {
                write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str(close)
        }
        match self {
            Any::None => f.write_str("None"),
            Any::Bool(b) => f.write_str(if *b { "True" } else { "False" }),
            Any::Int(i) => write!(f, "{i}"),
            Any::BigInt(i) => write!(f, "{i}"),
            Any::Float(x) => write!(f, "{x:?}"),
            Any::Complex(re, im) => write!(f, "({re}{im:+}j)"),
            Any::Str(s) => write!(f, "{s:?}"),
            Any::Bytes(b) => write!(f, "b\"{}\"", b.escape_ascii()),
            Any::ByteArray(b) => write!(f, "bytearray(b\"{}\")", b.escape_ascii()),
            Any::List(items) => row(f, "[", items, "]"),
            Any::Tuple(items) if items.len() == 1 => write!(f, "({},)", items[0]),
            Any::Tuple(items) => row(f, "(", items, ")"),
            Any::Set(items) if !items.is_empty() => row(f, "{", items, "}"),
            Any::Set(_) => f.write_str("set()"),
            Any::FrozenSet(items) => row(f, "frozenset({", items, "})"),
            Any::Dict(items) => {
                f.write_str("{")?;
                for (i, (key, value)) in items.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Any::Opaque(b) => write!(f, "<object of {} bytes>", b.len()),
            Any::Handle(handle) => write!(f, "<{} of the session>", handle.type_name()),
        }
    }
}

/// Bytes as bytes: serde's default is a sequence of numbers, which takes forty times as long.
mod bytes {
    use std::fmt;

    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests;

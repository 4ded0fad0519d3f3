//! What a `ShareableList` holds.

use std::fmt;

/// A value of a [`ShareableList`](crate::ShareableList): what Python's holds.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Item {
    /// Python's `None`.
    None,
    /// Python's `bool`.
    Bool(bool),
    /// Python's `int`, if it fits.
    Int(i64),
    /// Python's `float`.
    Float(f64),
    /// Python's `str`.
    Str(String),
    /// Python's `bytes`.
    Bytes(Vec<u8>),
}

impl Item {
    /// Code and bytes.
    pub(crate) fn encode(&self) -> (u8, std::borrow::Cow<'_, [u8]>) {
        match self {
            Item::None => (0, [].as_slice().into()),
            Item::Bool(value) => (1, vec![u8::from(*value)].into()),
            Item::Int(value) => (2, value.to_le_bytes().to_vec().into()),
            Item::Float(value) => (3, value.to_le_bytes().to_vec().into()),
            Item::Str(text) => (4, text.as_bytes().into()),
            Item::Bytes(bytes) => (5, bytes.as_slice().into()),
        }
    }

    /// The reverse of [`Item::encode`]; `None` for what it never returns.
    pub(crate) fn decode(code: u8, bytes: &[u8]) -> Option<Item> {
        Some(match code {
            0 => Item::None,
            1 => Item::Bool(*bytes.first()? != 0),
            2 => Item::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
            3 => Item::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
            4 => Item::Str(std::str::from_utf8(bytes).ok()?.to_owned()),
            5 => Item::Bytes(bytes.to_vec()),
            _ => return None,
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::None => f.write_str("None"),
            Item::Bool(value) => value.fmt(f),
            Item::Int(value) => value.fmt(f),
            Item::Float(value) => value.fmt(f),
            Item::Str(text) => text.fmt(f),
            Item::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),+ $(,)?) => { $(
        impl From<$type> for Item {
            fn from(value: $type) -> Item {
                Item::$variant(value.into())
            }
        }
    )+ };
}

from! {
    bool => Bool,
    i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int,
    f32 => Float, f64 => Float,
    &str => Str, String => Str,
    &[u8] => Bytes, Vec<u8> => Bytes,
}

impl<const N: usize> From<&[u8; N]> for Item {
    fn from(bytes: &[u8; N]) -> Item {
        Item::Bytes(bytes.to_vec())
    }
}

impl From<()> for Item {
    fn from((): ()) -> Item {
        Item::None
    }
}

impl<T: Into<Item>> From<Option<T>> for Item {
    fn from(value: Option<T>) -> Item {
        value.map_or(Item::None, Into::into)
    }
}

//! Rust's types as `Any`, and back.

use mp_wire::{Error, Result};

use super::{Any, BigInt};
use crate::handle::Handle;

macro_rules! from_small {
    ($($number:ty),*) => { $(
        impl From<$number> for Any {
            fn from(number: $number) -> Any {
                Any::Int(i64::from(number))
            }
        }
    )* };
}

from_small!(i8, i16, i32, i64, u8, u16, u32);

macro_rules! from_large {
    ($($number:ty),*) => { $(
        impl From<$number> for Any {
            fn from(number: $number) -> Any {
                match i64::try_from(number) {
                    Ok(small) => Any::Int(small),
                    // One byte more for the sign of what has none.
                    Err(_) => {
                        let mut bytes = number.to_le_bytes().to_vec();
                        #[allow(unused_comparisons)] // for those that have no sign
                        bytes.push(if number < 0 { 0xFF } else { 0 });
                        Any::from(BigInt::from_le_bytes(&bytes))
                    }
                }
            }
        }
    )* };
}

from_large!(u64, i128, u128, usize, isize);

macro_rules! to_number {
    ($($number:ty),*) => { $(
        impl TryFrom<Any> for $number {
            type Error = Error;

            fn try_from(any: Any) -> Result<$number> {
                let fits = match &any {
                    Any::Bool(b) => Some(<$number>::from(*b)),
                    Any::Int(i) => <$number>::try_from(*i).ok(),
                    Any::BigInt(big) => unsigned(big).map_or_else(
                        || big.to_i128().and_then(|i| <$number>::try_from(i).ok()),
                        |u| <$number>::try_from(u).ok(),
                    ),
                    _ => None,
                };
                fits.ok_or_else(|| wrong::<$number>(&any))
            }
        }
    )* };
}

to_number!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

/// A number without sign in up to 128 bits, which may be too large for `i128`.
fn unsigned(big: &BigInt) -> Option<u128> {
    match big.as_le_bytes() {
        bytes @ [.., 0] if bytes.len() == 17 => {
            let mut all = [0; 16];
            all.copy_from_slice(&bytes[..16]);
            Some(u128::from_le_bytes(all))
        }
        _ => None,
    }
}

#[cold]
fn wrong<T>(any: &Any) -> Error {
    Error::Decode {
        type_name: std::any::type_name::<T>().into(),
        detail: format!("the value is of Python's type {:?}, or out of range", any.type_name()),
    }
}

macro_rules! both_ways {
    ($($type:ty, $variant:ident);* $(;)?) => { $(
        impl From<$type> for Any {
            fn from(value: $type) -> Any {
                Any::$variant(value)
            }
        }

        impl TryFrom<Any> for $type {
            type Error = Error;

            fn try_from(any: Any) -> Result<$type> {
                match any {
                    Any::$variant(value) => Ok(value),
                    other => Err(wrong::<$type>(&other)),
                }
            }
        }
    )* };
}

both_ways! {
    bool, Bool;
    String, Str;
    Vec<u8>, Bytes;
    Vec<Any>, List;
    Handle, Handle;
}

impl From<()> for Any {
    fn from((): ()) -> Any {
        Any::None
    }
}

impl From<&str> for Any {
    fn from(text: &str) -> Any {
        Any::Str(text.to_owned())
    }
}

impl From<f64> for Any {
    fn from(number: f64) -> Any {
        Any::Float(number)
    }
}

impl From<f32> for Any {
    fn from(number: f32) -> Any {
        Any::Float(f64::from(number))
    }
}

impl TryFrom<Any> for f64 {
    type Error = Error;

    fn try_from(any: Any) -> Result<f64> {
        match any {
            Any::Float(number) => Ok(number),
            Any::Int(number) => Ok(number as f64),
            Any::Bool(b) => Ok(f64::from(u8::from(b))),
            other => Err(wrong::<f64>(&other)),
        }
    }
}

impl<T: Into<Any>> From<Option<T>> for Any {
    fn from(value: Option<T>) -> Any {
        value.map_or(Any::None, Into::into)
    }
}

impl<A: Into<Any>, B: Into<Any>> From<(A, B)> for Any {
    fn from((a, b): (A, B)) -> Any {
        Any::Tuple(vec![a.into(), b.into()])
    }
}

impl<A: Into<Any>, B: Into<Any>, C: Into<Any>> From<(A, B, C)> for Any {
    fn from((a, b, c): (A, B, C)) -> Any {
        Any::Tuple(vec![a.into(), b.into(), c.into()])
    }
}

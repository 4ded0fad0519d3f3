//! Python's order of values, as far as values of different types have one.

use std::cmp::Ordering;

use crate::any::Any;

use super::{Exception, Result};

/// `a < b`, `a == b` or `a > b`, or a `TypeError`.
pub(crate) fn compare(a: &Any, b: &Any) -> Result<Ordering> {
    use Any::{Bool, ByteArray, Bytes, Float, Int, List, Str, Tuple};
    let number = |value: &Any| match value {
        Bool(b) => Some(f64::from(u8::from(*b))),
        Int(i) => Some(*i as f64),
        Float(f) => Some(*f),
        _ => None,
    };
    match (a, b) {
        (Int(a), Int(b)) => Ok(a.cmp(b)),
        (Str(a), Str(b)) => Ok(a.chars().cmp(b.chars())),
        (Bytes(a) | ByteArray(a), Bytes(b) | ByteArray(b)) => Ok(a.cmp(b)),
        (List(a), List(b)) | (Tuple(a), Tuple(b)) => {
            for (a, b) in a.iter().zip(b) {
                if a != b {
                    return compare(a, b);
                }
            }
            Ok(a.len().cmp(&b.len()))
        }
        _ => match (number(a), number(b)) {
            (Some(x), Some(y)) => Ok(x.partial_cmp(&y).unwrap_or(Ordering::Equal)),
            _ => match (big(a), big(b)) {
                (Some(x), Some(y)) => Ok(x.cmp(&y)),
                _ => Err(Exception::Type.says(format!(
                    "'<' not supported between instances of {:?} and {:?}",
                    a.type_name(),
                    b.type_name()
                ))),
            },
        },
    }
}

fn big(value: &Any) -> Option<i128> {
    match value {
        Any::Int(i) => Some(i128::from(*i)),
        Any::BigInt(big) => big.to_i128(),
        _ => None,
    }
}

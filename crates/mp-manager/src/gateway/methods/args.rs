//! The arguments of a call.

use std::time::Duration;

use crate::any::Any;

use super::{Exception, Result};

/// Positional and named arguments, taken one by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    positional: std::collections::VecDeque<Any>,
    pub(crate) named: Vec<(String, Any)>,
}

impl Args {
    pub(crate) fn new(positional: Vec<Any>, named: Vec<(String, Any)>) -> Args {
        Args { positional: positional.into(), named }
    }

    /// The next one, by its place or its name.
    pub(crate) fn next(&mut self, name: &str) -> Option<Any> {
        self.positional.pop_front().or_else(|| {
            let at = self.named.iter().position(|(named, _)| named == name)?;
            Some(self.named.swap_remove(at).1)
        })
    }

    /// The next one, which there must be.
    pub(crate) fn need(&mut self, name: &str) -> Result<Any> {
        self.next(name).ok_or_else(|| Exception::Type.says(format!("missing required argument: {name:?}")))
    }

    /// The next one, as a truth value.
    pub(crate) fn truth(&mut self, name: &str, default: bool) -> bool {
        self.next(name).map_or(default, |value| value.is_true())
    }

    /// The next one, as a number.
    pub(crate) fn int(&mut self, name: &str) -> Result<Option<i64>> {
        match self.next(name) {
            None => Ok(None),
            Some(value) => int(&value).map(Some),
        }
    }

    /// The next one, as a time limit: `None` where there is none.
    pub(crate) fn timeout(&mut self) -> Result<Option<f64>> {
        match self.next("timeout") {
            None | Some(Any::None) => Ok(None),
            Some(Any::Float(seconds)) if !seconds.is_nan() => Ok(Some(seconds)),
            Some(Any::Int(seconds)) => Ok(Some(seconds as f64)),
            Some(Any::Bool(b)) => Ok(Some(f64::from(u8::from(b)))),
            Some(other) => Err(Exception::Type
                .says(format!("{:?} object cannot be interpreted as a time", other.type_name()))),
        }
    }

    /// There must be no more.
    pub(crate) fn end(&self) -> Result<()> {
        if let Some((name, _)) = self.named.first() {
            return Err(Exception::Type.says(format!("unexpected keyword argument {name:?}")));
        }
        match self.positional.len() {
            0 => Ok(()),
            n => Err(Exception::Type.says(format!("{n} arguments more than are expected"))),
        }
    }

    /// How many there are that go by their place.
    pub(crate) fn len(&self) -> usize {
        self.positional.len()
    }
}

/// A whole number.
pub(crate) fn int(value: &Any) -> Result<i64> {
    match value {
        Any::Int(i) => Ok(*i),
        Any::Bool(b) => Ok(i64::from(*b)),
        other => Err(Exception::Type
            .says(format!("{:?} object cannot be interpreted as an integer", other.type_name()))),
    }
}

/// So many seconds; none for what is below zero, and the longest there is for what is too long.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// What one goes through: the elements of a list, a tuple, a set, the keys of a dict, the characters of a string, the numbers of bytes.
pub(crate) fn elements(value: Any) -> Result<Vec<Any>> {
    use crate::handle::Handle;
    Ok(match value {
        Any::List(items) | Any::Tuple(items) | Any::Set(items) | Any::FrozenSet(items) => items,
        Any::Dict(entries) => entries.into_iter().map(|(key, _)| key).collect(),
        Any::Str(text) => text.chars().map(|c| Any::Str(c.into())).collect(),
        Any::Bytes(bytes) | Any::ByteArray(bytes) => bytes.into_iter().map(|b| Any::Int(b.into())).collect(),
        Any::Handle(Handle::List(list)) => list.to_vec()?,
        Any::Handle(Handle::Array(array)) => array.to_vec()?,
        Any::Handle(Handle::Dict(dict)) => dict.keys()?,
        Any::Handle(Handle::Set(set)) => set.to_vec()?,
        other => return Err(Exception::Type.says(format!("{:?} object is not iterable", other.type_name()))),
    })
}

/// What a dict is updated from: another one, or pairs.
pub(crate) fn entries(value: Any) -> Result<Vec<(Any, Any)>> {
    use crate::handle::Handle;
    match value {
        Any::Dict(entries) => Ok(entries),
        Any::Handle(Handle::Dict(dict)) => Ok(dict.items()?),
        other => elements(other)?
            .into_iter()
            .map(|pair| match <[Any; 2]>::try_from(elements(pair)?) {
                Ok([key, value]) => Ok((key, value)),
                Err(other) => Err(Exception::Value.says(format!(
                    "dictionary update sequence element has length {}; 2 is required",
                    other.len()
                ))),
            })
            .collect(),
    }
}

//! What the typed handles of a client have in common.

use std::fmt::Display;
use std::time::Duration;

use mp_wire::{Error, Result};

use super::super::fault::{Exception, Fault};
use super::Reference;
use crate::any::Any;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident $(<$($type:ident),+>)?) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// Those of [`RemoteManager`](crate::RemoteManager). Values that are of another type than is asked for are [`Error::Decode`](mp_wire::Error::Decode).
        ///
        /// # Blocking
        /// Each call waits for its answer.
        pub struct $name $(<$($type),+>)? (pub(super) Arc<Reference> $(, PhantomData<fn() -> ($($type,)+)>)?);

        impl $(<$($type),+>)? Clone for $name $(<$($type),+>)? {
            fn clone(&self) -> Self {
                Self(self.0.clone() $(, PhantomData::<fn() -> ($($type,)+)>)?)
            }
        }

        impl $(<$($type),+>)? fmt::Debug for $name $(<$($type),+>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.id)
            }
        }

        impl $(<$($type),+>)? From<&$name $(<$($type),+>)?> for Any {
            /// The object, to be put into another one.
            fn from(handle: &$name $(<$($type),+>)?) -> Any {
                python::proxy_value(&handle.0.kind, &handle.0.id)
            }
        }
    };
}

pub(super) use handle;

pub(super) fn typed<T: TryFrom<Any, Error: Display>>(value: Any) -> Result<T> {
    let type_name = std::any::type_name::<T>();
    T::try_from(value)
        .map_err(|error| Error::Decode { type_name: type_name.into(), detail: error.to_string() })
}

pub(super) fn all<T: TryFrom<Any, Error: Display>>(values: Any) -> Result<Vec<T>> {
    match values {
        Any::List(values) | Any::Tuple(values) | Any::Set(values) => values.into_iter().map(typed).collect(),
        other => Err(Error::Decode {
            type_name: "a list".into(),
            detail: format!("it is a {:?}", other.type_name()),
        }),
    }
}

/// `None` where Python would raise that.
pub(super) fn unless(asked: Result<Any, Fault>, exception: &Exception) -> Result<Option<Any>> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.exception == *exception => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

pub(super) fn seconds(timeout: Duration) -> Any {
    Any::Float(timeout.as_secs_f64())
}

mod sealed {
    use std::sync::Arc;

    pub trait Sealed {
        #[doc(hidden)]
        const KINDS: &'static [&'static str];
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "nobody outside calls it")]
        fn of(reference: Arc<super::Reference>) -> Self;
    }
}

pub(super) use sealed::Sealed;

/// The handles that a client has.
pub trait RemoteHandle: Sealed {}

impl<H: Sealed> RemoteHandle for H {}

macro_rules! kinds {
    ($name:ident $(<$($type:ident),+>)?, $($kind:literal),+) => {
        impl $(<$($type),+>)? Sealed for $name $(<$($type),+>)? {
            const KINDS: &'static [&'static str] = &[$($kind),+];
            #[expect(private_interfaces, reason = "nobody outside calls it")]
            fn of(reference: Arc<Reference>) -> Self {
                Self(reference $(, PhantomData::<fn() -> ($($type,)+)>)?)
            }
        }
    };
}

pub(super) use kinds;

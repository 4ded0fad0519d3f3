//! Handles of the operating system as values.

use std::fmt;
use std::ops::{Deref, DerefMut};

use mp_sys::AsOsHandle;
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A file, a pipe, a socket or what else has a handle of the operating system, as an argument of a process.
///
/// It is the same open file where it arrives: the two processes share its position. The one that stays here is still open.
/// It travels where the kernel carries it, in the arguments of a process and over a link of mp-pipe that is a local socket, and nowhere else: in a queue, a
/// result, or the arguments of a pool's task it is [`Error::Unsupported`], and outside of mp [`Error::NotInCarrier`]. (Python sends connections and sockets
/// by servers of descriptors of its own.)
///
/// # Platform
/// On Windows files and pipes, but not sockets, and in the arguments of a process only.
pub struct OsHandle<T>(
    /// What has the handle.
    pub T,
);

impl<T> OsHandle<T> {
    /// What has the handle.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for OsHandle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for OsHandle<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for OsHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OsHandle").field(&self.0).finish()
    }
}

impl<T: AsOsHandle> Serialize for OsHandle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let copy =
            mp_sys::duplicate_handle(self.0.as_os_handle()).map_err(|e| carrier::refuse(copy_error(e)));
        let index = copy.and_then(|copy| carrier::export(Box::new(copy))).map_err(ser::Error::custom)?;
        serializer.serialize_u32(index)
    }
}

impl<'de, T: From<mp_sys::OsHandle>> Deserialize<'de> for OsHandle<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OsHandle<T>, D::Error> {
        let index = u32::deserialize(deserializer)?;
        let object = carrier::import(index).map_err(de::Error::custom)?;
        match object.downcast::<mp_sys::OsHandle>() {
            Ok(handle) => Ok(OsHandle(T::from(*handle))),
            Err(_) => {
                let error = Error::WrongKind {
                    expected: "handle of the operating system".into(),
                    found: "object of the session".into(),
                };
                Err(de::Error::custom(carrier::refuse(error)))
            }
        }
    }
}

fn copy_error(e: std::io::Error) -> Error {
    if mp_sys::is_out_of_descriptors(&e) {
        let detail = format!("copy a handle for a message: {e}");
        return Error::LimitReached { limit: "open descriptors".into(), detail };
    }
    Error::os("copy a handle for a message", e)
}

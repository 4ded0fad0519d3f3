//! Links inside messages.
//!
//! A link travels as any handle of the operating system does, in the arguments of a process or over another link, with what was set for it. What was read
//! ahead cannot go with it, so one that holds some is refused. The kernel keeps the connection open while it is on its way.

use std::io;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_sys::{OsHandle, Socket};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::Link;

/// What goes along: the place of the handle, the name, the longest message, and the two times.
type Given = (u32, String, u64, u64, u64);

impl Link {
    fn copy(&self) -> Result<OsHandle> {
        if self.inlet.try_lock().is_none_or(|inlet| inlet.has_any()) {
            let detail = "something of it was read here already, or is being received".into();
            return Err(Error::InUse { what: self.what.clone(), detail });
        }
        if self.wire.tls.is_some() {
            return Err(Error::Unsupported {
                what: format!("{} inside a message, as it is under TLS", self.what),
            });
        }
        match self.wire.socket.duplicate() {
            Ok(Some(handle)) => Ok(handle),
            Ok(None) => Err(Error::Unsupported { what: format!("{} inside a message", self.what) }),
            Err(e) => Err(Error::os(format!("copy {}", self.what), e)),
        }
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let copy = self.copy().map_err(|e| ser::Error::custom(carrier::refuse(e)))?;
        let place = carrier::export(Box::new(copy)).map_err(ser::Error::custom)?;
        let number = |word: &AtomicU64| word.load(Relaxed);
        let (max, receive, send) =
            (number(&self.max_message), number(&self.receive_within), number(&self.send_within));
        (place, &self.what, max, receive, send).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (place, what, max, receive, send) = Given::deserialize(from)?;
        let object = carrier::import(place).map_err(de::Error::custom)?;
        let refuse = |error| de::Error::custom(carrier::refuse(error));
        let wrong = |found: &str| Error::WrongKind { expected: "Link".into(), found: found.into() };
        let handle = object.downcast::<OsHandle>().map_err(|_| refuse(wrong("object of the session")))?;
        let socket = Socket::from_handle(*handle).map_err(|e| {
            refuse(match e.kind() {
                io::ErrorKind::InvalidData => wrong("handle of something that is no connection"),
                _ => Error::os("take a link over", e),
            })
        })?;
        let link = Link::new(socket, what);
        link.max_message.store(max, Relaxed);
        link.receive_within.store(receive, Relaxed);
        link.send_within.store(send, Relaxed);
        Ok(link)
    }
}

//! Values in frames.
//!
//! ```text
//! "mpv1" | codec (1) | 0 (1) | handles (2, little-endian) | the value as its codec writes it
//! ```
//!
//! The handles travel beside the bytes. A frame that does not begin so was sent as bytes, or by a program that knows nothing of mp.

use std::any::{Any, type_name};

use mp_sys::OsHandle;
use mp_wire::{Codec, Error, Message, Result};

use super::inlet::{MAX_HANDLES, Payload, Received};

const MAGIC: [u8; 4] = *b"mpv1";
const HEAD: usize = 8;

#[derive(Debug)]
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) handles: Vec<OsHandle>,
}

pub(super) fn pack<T: Message>(value: &T, carries_handles: bool) -> Result<Packed> {
    let mut bytes = vec![0; HEAD];
    let encoded = mp_wire::encode(value, &mut bytes)?;
    let mut handles = Vec::with_capacity(encoded.exports.len());
    for export in encoded.exports {
        match export.downcast::<OsHandle>() {
            Ok(handle) if carries_handles => handles.push(*handle),
            Ok(_) => {
                let what = "a file or socket inside a message over a connection that is no local socket";
                return Err(Error::Unsupported { what: what.into() });
            }
            Err(_) => {
                let what = "a handle of the session inside a message to another program";
                return Err(Error::Unsupported { what: what.into() });
            }
        }
    }
    if handles.len() > MAX_HANDLES {
        return Err(Error::LimitReached {
            limit: "OS handles in a message".into(),
            detail: format!("{}, of {MAX_HANDLES}", handles.len()),
        });
    }
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4] = encoded.codec.into();
    bytes[6..HEAD].copy_from_slice(&(handles.len() as u16).to_le_bytes());
    Ok(Packed { bytes, handles })
}

pub(super) fn unpack<T: Message>(received: Received) -> Result<T> {
    let bad = |detail: String| Error::Decode { type_name: type_name::<T>().into(), detail };
    let Payload::Bytes(bytes) = received.payload else { return Err(bad("it is elsewhere".into())) };
    let (head, value) =
        bytes.split_first_chunk::<HEAD>().filter(|(head, _)| head[..4] == MAGIC).ok_or_else(|| {
            bad("the message was sent as bytes, or not by mp; recv_bytes receives those".into())
        })?;
    let announced = usize::from(u16::from_le_bytes([head[6], head[7]]));
    if announced != received.handles.len() {
        return Err(bad(format!("{announced} OS handles were announced, {} came", received.handles.len())));
    }
    let codec = Codec::try_from(head[4])?;
    let handles = received.handles.into_iter().map(|handle| Box::new(handle) as Box<dyn Any + Send>);
    mp_wire::decode(codec, value, handles.collect())
}

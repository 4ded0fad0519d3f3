//! Sending frames.

use std::io;
use std::time::Instant;

use mp_sys::{AsOsHandle, MAX_IN_PACKET, OsHandle};
use mp_wire::{Error, Result};

use super::framing::Head;
use super::inlet::{disconnected, is_gone};
use super::wire::Wire;

#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// Nothing more can be sent, and why.
    pub(crate) ended: Option<Error>,
}

impl Outlet {
    /// Sends a frame, with handles. `false`: the deadline came before anything was written.
    ///
    /// A deadline in the middle is [`Error::TimedOut`], and the end of the connection: the other side could not tell where the next frame begins.
    pub(crate) fn send(
        &mut self,
        wire: &Wire,
        what: &str,
        payload: &[u8],
        handles: &[OsHandle],
        deadline: Option<Instant>,
    ) -> Result<bool> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let head = Head::new(payload.len());
        let head = if wire.socket.keeps_bounds() { &[][..] } else { head.as_bytes() };
        let total = head.len() + payload.len();
        let mut packets = handles.chunks(MAX_IN_PACKET);
        let (mut done, mut next) = (0, packets.next());
        loop {
            let mut parts =
                [head.get(done..).unwrap_or_default(), &payload[done.saturating_sub(head.len())..]];
            let packet: Vec<_> = next.unwrap_or_default().iter().map(AsOsHandle::as_os_handle).collect();
            if packets.len() > 0 {
                // Some bytes of this frame have to be left for those that come later.
                parts = match parts {
                    [[], rest] => [&[], &rest[..1]],
                    [rest, _] => [&rest[..1], &[]],
                };
            }
            match wire.write(parts, &packet, deadline) {
                Ok(count) => {
                    done += count;
                    next = packets.next();
                    if done >= total {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut && done == 0 => return Ok(false),
                Err(error) => {
                    let error = match error {
                        error if error.kind() == io::ErrorKind::TimedOut => {
                            Error::TimedOut { what: format!("{what}: the middle of a message") }
                        }
                        error if is_gone(&error) => disconnected(what),
                        error => Error::os(format!("send to {what}"), error),
                    };
                    if done > 0 || matches!(error, Error::Disconnected { .. }) {
                        self.ended = Some(match &error {
                            Error::Disconnected { .. } => error.clone(),
                            cause => Error::Broken {
                                what: what.into(),
                                why: format!("a message was cut off ({cause})"),
                                who: None,
                            },
                        });
                        wire.shutdown();
                    }
                    return Err(error);
                }
            }
        }
    }
}

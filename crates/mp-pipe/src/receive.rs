//! Receiving at an end of a pipe.

use mp_session::primitive::Ordering::*;
use mp_session::{Message, ThreadId};
use mp_wire::{Error, Result};

use crate::connection::BYTES;
use crate::deadline::Deadline;
use crate::end::End;
use crate::frame::{Frame, HEAD, Kind};
use crate::turn::Turn;

/// Memory for a message in parts is asked for in steps of this many bytes at most: what the first part claims may not come.
const STEP: usize = 16 << 20;

/// A message in parts of which some have come.
#[derive(Debug)]
pub(crate) struct Partial {
    codec: u8,
    total: u64,
    bytes: Vec<u8>,
}

/// What was received.
#[derive(Debug)]
pub(crate) enum Received {
    /// Bytes with this codec, which the vector holds now.
    Bytes(u8),
    /// So many bytes, which lie in the slice.
    InSlice(usize),
    /// A message of the session.
    Message(Message),
}

/// Where the bytes of a message go: into the slice if there is one and they fit, or into the vector, whose contents they replace.
pub(crate) struct Buffer<'a> {
    pub(crate) slice: Option<&'a mut [u8]>,
    pub(crate) vec: &'a mut Vec<u8>,
}

impl Buffer<'_> {
    fn whole(&mut self, end: &End, at: u64, frame: Frame) -> Received {
        let length = frame.length as usize;
        if let Some(slice) = self.slice.as_mut().and_then(|slice| slice.get_mut(..length)) {
            end.incoming.read(at, slice);
            return Received::InSlice(length);
        }
        self.vec.clear();
        end.incoming.read_onto(at, length, self.vec);
        Received::Bytes(frame.codec)
    }

    /// Bytes that came as an object.
    fn object(&mut self, message: &Message) -> Result<Received> {
        let (_, bytes) = message.payload()?;
        if let Some(slice) = self.slice.as_mut().and_then(|slice| slice.get_mut(..bytes.len())) {
            slice.copy_from_slice(bytes);
            return Ok(Received::InSlice(bytes.len()));
        }
        self.vec.clear();
        self.vec.extend_from_slice(bytes);
        Ok(Received::Bytes(BYTES))
    }

    fn parts(&mut self, partial: Partial) -> Received {
        let length = partial.bytes.len();
        if let Some(slice) = self.slice.as_mut().and_then(|slice| slice.get_mut(..length)) {
            slice.copy_from_slice(&partial.bytes);
            return Received::InSlice(length);
        }
        *self.vec = partial.bytes;
        Received::Bytes(partial.codec)
    }
}

impl End {
    /// Receives one message. `None`: the deadline came first; parts of a message that have come are kept for the next call.
    #[inline]
    pub(crate) fn receive(&self, deadline: Deadline, buffer: Buffer<'_>) -> Result<Option<Received>> {
        let received = self.take(deadline, buffer);
        if let Some(descriptor) = self.descriptor.get() {
            descriptor.rearm();
        }
        received
    }

    fn take(&self, deadline: Deadline, mut buffer: Buffer<'_>) -> Result<Option<Received>> {
        let turn = Turn::take(self.object.session(), self.incoming.reader(), self.waiters(), deadline)?;
        if turn.is_none() {
            return Ok(None);
        }
        loop {
            let head = self.incoming.head().load(Relaxed);
            // It may be behind the head: another process that has this end has read meanwhile.
            if self.tail_seen.load(Relaxed) <= head && !self.wait_for_frame(head, deadline)? {
                return Ok(None);
            }
            let frame = self.frame_at(head)?;
            let at = head + HEAD;
            if matches!(frame.kind, Kind::Whole | Kind::First | Kind::Cell) {
                self.nothing_half_done()?;
            }
            match frame.kind {
                Kind::Whole => {
                    let received = buffer.whole(self, at, frame);
                    self.advance(head, frame);
                    return Ok(Some(received));
                }
                Kind::Cell => {
                    let message = self.announced(frame)?;
                    self.advance(head, frame);
                    if let Some(message) = message {
                        let bytes = frame.codec == BYTES;
                        let received =
                            if bytes { buffer.object(&message)? } else { Received::Message(message) };
                        return Ok(Some(received));
                    }
                }
                Kind::First => self.begin_parts(head, frame)?,
                Kind::More | Kind::Last => {
                    if let Some(partial) = self.continue_parts(head, frame)? {
                        return Ok(Some(buffer.parts(partial)));
                    }
                    // A message without an end must not outlast it.
                    if deadline.is_over() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Waits for something to read, or the end. `false`: the deadline came first.
    fn wait_for_frame(&self, head: u64, deadline: Deadline) -> Result<bool> {
        let look = || {
            // Read before the tail is: who is gone by then sends nothing after it.
            let gone = self.peer_is_gone();
            let tail = self.incoming.tail().load(SeqCst);
            self.tail_seen.store(tail, Relaxed);
            if tail != head {
                return Ok(Some(()));
            }
            if gone {
                self.nothing_half_done()?;
                return Err(self.disconnected());
            }
            Ok(None)
        };
        if look()?.is_some() {
            return Ok(true);
        }
        Ok(deadline.wait(self.object.session(), self.waiters(), &|| ThreadId::NONE, look)?.is_some())
    }

    fn frame_at(&self, head: u64) -> Result<Frame> {
        let there = self.tail_seen.load(Relaxed).wrapping_sub(head);
        Frame::unpack(self.incoming.read_head(head))
            .filter(|frame| frame.size() <= there && frame.size() <= self.incoming.capacity())
            .ok_or_else(damaged)
    }

    /// *torn*: something else comes, or nothing, in the place of the rest of a message.
    fn nothing_half_done(&self) -> Result<()> {
        match self.partial.lock().take() {
            Some(_) => {
                let who = self.object.departed(self.peer()).map(|(who, _)| who);
                Err(Error::Torn { what: "pipe".into(), who })
            }
            None => Ok(()),
        }
    }

    fn begin_parts(&self, head: u64, frame: Frame) -> Result<()> {
        let length = (frame.length as usize).checked_sub(8).ok_or_else(damaged)?;
        let mut total = [0; 8];
        self.incoming.read(head + HEAD, &mut total);
        let total = u64::from_le_bytes(total);
        let mut bytes = Vec::with_capacity(usize::try_from(total).map_err(|_| damaged())?.min(STEP));
        self.incoming.read_onto(head + HEAD + 8, length, &mut bytes);
        *self.partial.lock() = Some(Partial { codec: frame.codec, total, bytes });
        self.advance(head, frame);
        Ok(())
    }

    /// Adds a part; gives the message back when it is complete. Parts without a beginning went to a reader that died: they are stepped
    /// over.
    fn continue_parts(&self, head: u64, frame: Frame) -> Result<Option<Partial>> {
        let mut slot = self.partial.lock();
        if let Some(partial) = slot.as_mut() {
            let (length, have) = (frame.length as usize, partial.bytes.len());
            if have + length > partial.bytes.capacity() {
                let left = usize::try_from(partial.total).unwrap_or(usize::MAX).saturating_sub(have);
                partial.bytes.reserve_exact(left.min(have.max(STEP)).max(length));
            }
            self.incoming.read_onto(head + HEAD, length, &mut partial.bytes);
        }
        self.advance(head, frame);
        if frame.kind != Kind::Last {
            return Ok(None);
        }
        match slot.take() {
            Some(partial) if partial.bytes.len() as u64 != partial.total => Err(damaged()),
            whole => Ok(whole),
        }
    }

    /// Gives the room of a frame back.
    #[inline]
    fn advance(&self, head: u64, frame: Frame) {
        self.incoming.head().store(head + frame.size(), SeqCst);
        let need = self.incoming.need().load(SeqCst);
        if need != 0 && self.incoming.room() >= need {
            self.wake_peer();
        }
    }

    /// Waits until a message has begun to come, or the other end is gone. `false`: the deadline came first.
    pub(crate) fn poll(&self, deadline: Deadline) -> Result<bool> {
        let ready = || {
            let gone = self.peer_is_gone();
            Ok((gone || self.incoming.has_any()).then_some(()))
        };
        if ready()?.is_some() {
            return Ok(true);
        }
        Ok(deadline.wait(self.object.session(), self.waiters(), &|| ThreadId::NONE, ready)?.is_some())
    }
}

fn damaged() -> Error {
    Error::Layout { detail: "a frame in a pipe that nobody wrote".into() }
}

//! Doors for the fuzz targets: what a gateway reads from strangers, and does not show.

use crate::any::Any;
use crate::gateway::frame::Input;
use crate::handle::Handle;
use crate::python::{self, Proxies, Request, Token, Writer};

struct Nobodys;

impl Proxies for Nobodys {
    fn find(&self, _: Token<'_>) -> Option<Handle> {
        None
    }

    fn write(&self, _: &Handle, to: &mut Writer) {
        to.none();
    }
}

/// A request, as a gateway reads it. Whether it is one.
pub fn request(bytes: &[u8]) -> bool {
    Request::read(bytes, &Nobodys).is_ok()
}

/// A pickle as a value. `None`: it is none.
pub fn value(bytes: &[u8]) -> Option<Any> {
    python::read(bytes, &Nobodys).ok()
}

/// The value as a pickle.
pub fn pickle(value: &Any) -> Vec<u8> {
    let mut to = Writer::after(Vec::new());
    python::write(value, &Nobodys, &mut to);
    to.finish()
}

/// What comes over a connection, in pieces of that size. How many frames it was.
pub fn frames(bytes: &[u8], piece: usize) -> usize {
    let mut input = Input::default();
    let mut frames = 0;
    for piece in bytes.chunks(piece.max(1)) {
        input.room()[..piece.len()].copy_from_slice(piece);
        input.came(piece.len());
        loop {
            match input.next(1 << 16) {
                Ok(Some(_)) => frames += 1,
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

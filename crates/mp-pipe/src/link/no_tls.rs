//! TLS, where the feature is off: there is none.

use std::io;
use std::time::Instant;

use mp_sys::Socket;

/// No value of this is ever made.
#[derive(Debug)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn shake_hands(&self, _: &Socket, _: Option<Instant>) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn has_plain(&self) -> bool {
        match *self {}
    }

    pub(crate) fn readable(&self, _: &Socket, _: Option<Instant>) -> io::Result<bool> {
        match *self {}
    }

    pub(crate) fn read(&self, _: &Socket, _: &mut [u8], _: Option<Instant>) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn write(&self, _: &Socket, _: [&[u8]; 2], _: Option<Instant>) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn finish(&self, _: &Socket) {
        match *self {}
    }
}

//! The two ends of a pipe that goes one way.

use std::fmt;
use std::time::Duration;

use mp_sys::BorrowedOsHandle;
use mp_wire::{Error, Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Connection, RecvIntoError, SendError};

/// The end of a one-way pipe that receives: see [`one_way`](crate::one_way).
pub struct Reader(pub(crate) Connection);

/// The end of a one-way pipe that sends: see [`one_way`](crate::one_way).
pub struct Writer(pub(crate) Connection);

impl Reader {
    /// As [`Connection::recv`].
    ///
    /// # Errors
    /// As there.
    pub fn recv<T: Message>(&self) -> Result<T> {
        self.0.recv()
    }

    /// As [`Connection::recv_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn recv_timeout<T: Message>(&self, timeout: Duration) -> Result<T> {
        self.0.recv_timeout(timeout)
    }

    /// As [`Connection::try_recv`].
    ///
    /// # Errors
    /// As there.
    pub fn try_recv<T: Message>(&self) -> Result<T> {
        self.0.try_recv()
    }

    /// As [`Connection::recv_bytes`].
    ///
    /// # Errors
    /// As there.
    pub fn recv_bytes(&self) -> Result<Vec<u8>> {
        self.0.recv_bytes()
    }

    /// As [`Connection::recv_bytes_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.0.recv_bytes_timeout(timeout)
    }

    /// As [`Connection::recv_bytes_into`].
    ///
    /// # Errors
    /// As there.
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, RecvIntoError> {
        self.0.recv_bytes_into(buffer)
    }

    /// As [`Connection::poll`].
    ///
    /// # Errors
    /// As there.
    pub fn poll(&self, timeout: Duration) -> Result<bool> {
        self.0.poll(timeout)
    }

    /// As [`Connection::descriptor`].
    ///
    /// # Errors
    /// As there.
    pub fn descriptor(&self) -> Result<BorrowedOsHandle<'_>> {
        self.0.descriptor()
    }
}

impl Writer {
    /// As [`Connection::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send<T: Message>(&self, value: T) -> Result<()> {
        self.0.send(value)
    }

    /// As [`Connection::send_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn send_timeout<T: Message>(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.0.send_timeout(value, timeout)
    }

    /// As [`Connection::send_bytes`].
    ///
    /// # Errors
    /// As there.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.0.send_bytes(bytes)
    }
}

/// What the two have in common. The reader has the pipe's first end.
macro_rules! one_way_end {
    ($name:ident, $first:literal) => {
        impl $name {
            /// As [`Connection::try_clone`].
            ///
            /// # Errors
            /// As there.
            pub fn try_clone(&self) -> Result<$name> {
                Ok($name(self.0.try_clone()?))
            }

            /// Whether somebody still has the other end.
            pub fn is_connected(&self) -> bool {
                self.0.is_connected()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let connection = Connection::deserialize(from)?;
                if connection.is_first() == $first {
                    return Ok($name(connection));
                }
                let found = "the other end of a pipe".into();
                let error = Error::WrongKind { expected: stringify!($name).into(), found };
                Err(de::Error::custom(carrier::refuse(error)))
            }
        }
    };
}

one_way_end!(Reader, true);
one_way_end!(Writer, false);

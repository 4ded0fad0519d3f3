//! Values, handles and errors as bytes.
//!
//! This is the bottom of mp's data path. It knows no session, no process and no operating system: it turns a
//! value into bytes and bytes into a value, and it defines the errors that travel the same way.
//!
//! # What goes over the wire
//!
//! A **message** is three things: a [`Codec`] that says how the bytes were made, the bytes, and a list of
//! **exports**: the objects behind the handles that the value holds. [`encode`] makes all three, [`decode`]
//! takes all three; whoever carries the message decides how an export crosses (as a reference into shared
//! memory, as a descriptor).
//!
//! ```
//! let mut bytes = Vec::new();
//! let encoded = mp_wire::encode(&(7_u32, "seven".to_owned()), &mut bytes)?;
//! let back: (u32, String) = mp_wire::decode(encoded.codec, &bytes, encoded.exports)?;
//! assert_eq!(back, (7, "seven".to_owned()));
//! # Ok::<(), mp_wire::Error>(())
//! ```
//!
//! * [`codec`]: plain data is copied, everything else goes through [postcard]. What postcard cannot do is
//!   caught early in debug builds and served by the `Json` and `Cbor` wrappers (features `json` and `cbor`).
//! * [`carrier`]: how a handle inside a value gets its object into the message, and why it refuses to be
//!   serialised anywhere else.
//!
//! # How a call ends
//!
//! What a function gives back from another process is an [`Outcome`]: its value follows, or its error as a
//! [`Failure`], or its panic as a [`PanicReport`]. That encoding is written by hand and is *total*: whatever
//! the bytes, decoding yields an outcome, because a worker that dies or lies must not take down the one who
//! reads. [`Output`] says what a function may return.
//!
//! [`Error`] is the one error of all mp crates. It is plain data, so that it can be cloned, compared and
//! sent.
//!
//! # Limits
//!
//! The size of a message is limited by its carrier, not here. Whatever a length prefix claims, a sequence
//! gets memory for at most one element per byte that is left, and no more than a mebibyte before they are
//! read; a hash table takes at most a little over two. Two things stay with the type that is decoded: a
//! sequence of zero-sized elements costs nothing on the wire and may claim any length, and a recursive type
//! recurses as deep as the bytes say. Do not decode such types from bytes of strangers.
//!
//! [postcard]: https://docs.rs/postcard

#![forbid(unsafe_code)]

mod blocked;
pub mod carrier;
pub mod codec;
mod departure;
mod error;
mod failure;
mod message;
mod outcome;
mod output;
mod panic_report;
mod plain;
mod text;
mod wrappers;

pub use crate::blocked::BlockedThread;
pub use crate::codec::{Codec, Encoded, codec_of, decode, encode};
pub use crate::departure::{Departure, Ident};
pub use crate::error::{Error, Result};
pub use crate::failure::Failure;
pub use crate::message::Message;
pub use crate::outcome::Outcome;
pub use crate::output::Output;
pub use crate::panic_report::PanicReport;
pub use crate::plain::{as_bytes, decode_word, encode_word, from_bytes, is_bytes, is_plain, is_word};
#[cfg(feature = "cbor")]
pub use crate::wrappers::Cbor;
#[cfg(feature = "json")]
pub use crate::wrappers::Json;

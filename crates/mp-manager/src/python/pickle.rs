//! Pickle, read without making anything and written for any CPython from 3.6 on.
//!
//! A pickle is a program that makes objects by calling whatever it names, so unpickling a stranger's bytes is running a stranger's code.
//! Here a pickle is [read](read()) into a [`Graph`] in which a call is a node like any other. Plain data is taken from it as it is. An object of a class
//! is kept as the part of the graph that would make it, written as a pickle again ([`fragment`]): its bytes mean nothing here, and go back into the
//! next reply as they are ([`Writer::fragment`]).
//!
//! # Why not a library
//!
//! The libraries for pickle in Rust decode into plain values and refuse, or drop, what is made by a call; so an object of a class could be neither
//! kept nor returned.
//!
//! # Fragments
//!
//! A fragment is opcodes that leave one object on the stack: no `PROTO`, no `STOP`, and a memo of its own that begins at place 0. Places are given
//! by number (`LONG_BINPUT`) and filled before they are used, so that several fragments may follow each other in one pickle: each writes over the
//! places of the one before. The same object pickled twice in the same way gives the same fragment, which is why objects may be keys.
//!
//! | file | idea |
//! |---|---|
//! | `read` | the machine; limits |
//! | `graph` | what it leaves |
//! | `write` | plain data and fragments |
//! | `opcode` | names |

mod graph;
mod opcode;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use graph::{Graph, Id, Made, Node, Step};
pub(crate) use read::{Limits, PickleError, read};
pub(crate) use write::{Writer, fragment};

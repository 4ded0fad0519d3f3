//! Model checks: the crates' own code under interleavings and deaths that a scheduler chooses.
//!
//! `cargo xtask model` builds the workspace with `--cfg mp_model`, under which `mp_session::primitive` asks a scheduler before
//! each atomic operation who goes on. Here that scheduler is shuttle's: each thread of a model is a coroutine that plays a
//! *member*, a process, of a session on the heap. The members run what they always run; only these are played:
//!
//! | in truth | here |
//! |---|---|
//! | the processor decides who runs | a seeded random choice, or shuttle's PCT with few changes of priority |
//! | `futex_wait` and `futex_waitv` | the coroutine is blocked until its bell is rung or a watched beacon changes |
//! | `kill -9` | the victim's stack is unwound with nobody seeing anything of it, then its beacon is marked and one watcher woken |
//! | time | there is none: slices and backstops never come, so that they cannot hide a wake-up that was lost |
//! | a deadline | comes when the model says so (`Game::time_passes`) |
//!
//! A model that cannot go on is a deadlock, and fails. What fails prints its schedule, for `shuttle::replay`.
//!
//! Every operation is sequentially consistent here: what goes wrong only where less is asked for is not found.
#![cfg(mp_model)]

mod game;
mod world;

pub use game::{Game, Player, Victim, chance, check, finds};

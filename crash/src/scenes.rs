//! The scenes, by crate and subject.

mod broken;
mod cells;
mod directory;
mod heap;
mod kinds;
mod ledger;
mod manager;
mod members;
mod messages;
mod parking;
mod permits;
mod pipe;
mod queue;
mod sync;
mod table;
mod threads;

use crate::scene::Scene;

/// Those that fail, to see that they do.
pub(crate) const BROKEN: &[&[Scene]] = &[broken::SCENES];

/// All others.
pub(crate) const ALL: &[&[Scene]] = &[
    heap::SCENES,
    ledger::SCENES,
    table::SCENES,
    cells::SCENES,
    messages::SCENES,
    threads::SCENES,
    members::SCENES,
    parking::SCENES,
    directory::SCENES,
    queue::SCENES,
    kinds::SCENES,
    pipe::SCENES,
    sync::SCENES,
    permits::SCENES,
    manager::SCENES,
];

//! A worker's life: take a task, do it, send the result.

use mp_session::primitive::Ordering::*;

use mp_process::__private::{Produced, shim_of};
use mp_session::{Error, Message, Object, Result, Role, Session, ThreadId};
use serde::{Deserialize, Serialize};

use crate::lane::{Found, Parcel, Ring};
use crate::shim;

/// What a worker is started with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Contract {
    pub(crate) tasks: Ring,
    pub(crate) results: Ring,
    /// The pool's own object: its waiters are woken by results.
    pub(crate) control: Object,
    pub(crate) initializer: Option<(i64, Object)>,
    pub(crate) max_tasks: Option<u64>,
}

/// Words of the task ring that worker and pool share.
pub(crate) const CLOSING: usize = 0;
pub(crate) const READY: usize = 1;
/// The element of a chunk that is being worked on.
pub(crate) const ELEMENT: usize = 2;

/// The function of a worker's process.
pub(crate) fn work(contract: Contract) -> Result<()> {
    let session = Session::current()?;
    let Contract { tasks, results, control, initializer, max_tasks } = contract;
    let (tasks, results) = (tasks.checked()?, results.checked()?);
    if let Some((name, message)) = initializer {
        initialise(name, Message::from_object(message)?)?;
    }
    tasks.word(READY).store(1, Release);
    wake_pool(&session, &control);
    let mut done = 0;
    let mut sequence = 0;
    while max_tasks.is_none_or(|max| done < max) {
        let nobody = || ThreadId::NONE;
        let found = session.wait(tasks.waiters(), None, &nobody, || {
            Ok(match tasks.look(sequence) {
                Found::Nothing if tasks.word(CLOSING).load(Acquire) != 0 => Some(None),
                Found::Nothing => None,
                found => Some(Some(found)),
            })
        })?;
        match found {
            Some(Some(Found::Ready)) if tasks.begin(sequence) => {
                let produced = one(&tasks, sequence);
                send(&results, sequence, produced)?;
                wake_pool(&session, &control);
                done += 1;
                sequence += 1;
            }
            // Revoked, now or in the last moment.
            Some(Some(_)) => sequence += 1,
            _ => break,
        }
    }
    Ok(())
}

fn wake_pool(session: &Session, control: &Object) {
    // Whoever waits for a result in a call; else the thread that minds the pool.
    if !session.wake_one(control.words().waiters(Role::First)) {
        session.wake_one(control.words().waiters(Role::Second));
    }
}

fn one(tasks: &Ring, sequence: u64) -> Produced {
    let run = || -> Result<Produced> {
        let delivery = tasks.read(sequence)?;
        // SAFETY: the pool named it, in the image that this process proved to run when it was started.
        let shim = unsafe { shim::of_name(delivery.name) };
        Ok(shim(delivery.codec, delivery.bytes()?, delivery.imports()?, tasks.word(ELEMENT)))
    };
    run().unwrap_or_else(Produced::failed)
}

fn send(results: &Ring, sequence: u64, produced: Produced) -> Result<()> {
    let Produced { payload, codec, exports, .. } = produced;
    results.write(sequence, Parcel { name: 0, codec, bytes: &payload, exports }).or_else(|error| {
        // A result that does not fit into the session is this task's error.
        let Produced { payload, codec, .. } = Produced::failed(error);
        results.write(sequence, Parcel { name: 0, codec, bytes: &payload, exports: Vec::new() })
    })
}

fn initialise(name: i64, message: Message) -> Result<()> {
    // SAFETY: as in `one`.
    let shim = unsafe { shim_of(name) };
    let (codec, payload) = message.payload()?;
    let produced = shim(codec, payload, message.imports()?);
    mp_wire::Outcome::decode(&produced.payload)
        .0
        .into_result()
        .map_err(|error| Error::PoolBroken { detail: format!("the initializer of a worker failed: {error}") })
}

//! Somebody who asks: its lanes, and what it holds.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use mp_session::CancelToken;
use mp_wire::Result;
use parking_lot::Mutex;

use crate::handle::Handle;

use super::agent::Lane;
use super::core::Core;
use super::id::ObjectId;
use super::job::Job;
use super::journal::Journal;
use super::link::Link;
use super::store::Hold;

/// A client: a connection of CPython's, or a client of our own protocol over all its connections.
#[derive(Debug)]
pub(crate) struct Client {
    /// A number that no other client ever has.
    pub(crate) number: u128,
    pub(crate) core: Weak<Core>,
    /// Where answers go.
    link: Mutex<Arc<Link>>,
    token: CancelToken,
    lanes: Mutex<HashMap<u32, Arc<Lane<Job>>>>,
    /// What was done for it, if it comes back.
    pub(crate) journal: Option<Mutex<Journal>>,
}

impl Client {
    pub(crate) fn new(
        core: &Arc<Core>,
        number: u128,
        link: &Arc<Link>,
        journal: Option<Journal>,
    ) -> Result<Client> {
        Ok(Client {
            number,
            core: Arc::downgrade(core),
            link: Mutex::new(link.clone()),
            token: CancelToken::in_session(&core.session)?,
            lanes: Mutex::default(),
            journal: journal.map(Mutex::new),
        })
    }

    /// Where answers go.
    pub(crate) fn link(&self) -> Arc<Link> {
        self.link.lock().clone()
    }

    /// It has come back: answers go there from now on. What was there before is ended.
    pub(crate) fn relink(&self, link: &Arc<Link>) {
        let old = std::mem::replace(&mut *self.link.lock(), link.clone());
        if !Arc::ptr_eq(&old, link) {
            old.close();
        }
    }

    /// The lane of that number, if there was one.
    pub(crate) fn lane_if_any(&self, number: u32) -> Option<Arc<Lane<Job>>> {
        self.lanes.lock().get(&number).cloned()
    }

    /// The lane of that number.
    pub(crate) fn lane(&self, number: u32) -> Arc<Lane<Job>> {
        let mut lanes = self.lanes.lock();
        // A lane that is free has nothing that is worth keeping.
        if lanes.len() >= 64 {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.is_busy());
        }
        lanes.entry(number).or_insert_with(|| Arc::new(Lane::new(self.token.clone()))).clone()
    }

    /// It is about to take something: recorded, so that whatever becomes of us it is given back when the client is gone.
    pub(crate) fn will_hold(&self, object: ObjectId, handle: &Handle) -> Result<u64> {
        let Some(core) = self.core.upgrade() else { return Err(mp_wire::Error::Cancelled) };
        let record = core.next_record();
        let hold = Hold { client: self.number, object, handle: handle.clone(), taken: false };
        core.store.holds.insert(&record, hold.clone())?;
        core.holds.lock().insert(record, hold);
        Ok(record)
    }

    /// It has taken it, or has not.
    pub(crate) fn holds(&self, record: u64, taken: bool) -> Result<()> {
        let Some(core) = self.core.upgrade() else { return Err(mp_wire::Error::Cancelled) };
        let mut holds = core.holds.lock();
        if taken {
            if let Some(hold) = holds.get_mut(&record) {
                hold.taken = true;
                core.store.holds.insert(&record, hold.clone())?;
            }
        } else {
            holds.remove(&record);
            core.store.holds.remove(&record)?;
        }
        Ok(())
    }

    /// It has given something back: its own if it held that, otherwise what somebody else had taken.
    pub(crate) fn gave_back(&self, object: ObjectId) -> Result<()> {
        let Some(core) = self.core.upgrade() else { return Err(mp_wire::Error::Cancelled) };
        let mut holds = core.holds.lock();
        let of = |hold: &Hold| hold.taken && hold.object == object;
        let own =
            holds.iter().find(|(_, hold)| of(hold) && hold.client == self.number).map(|(record, _)| *record);
        let any = || holds.iter().filter(|(_, hold)| of(hold)).map(|(record, _)| *record).min();
        if let Some(record) = own.or_else(any) {
            holds.remove(&record);
            core.store.holds.remove(&record)?;
        }
        Ok(())
    }

    /// It is gone: its calls end, and what it held is given back.
    pub(crate) fn end(&self) {
        self.token.cancel();
        for (_, lane) in self.lanes.lock().drain() {
            lane.end();
        }
        if let Some(core) = self.core.upgrade() {
            core.release_holds_of(self.number);
        }
    }
}

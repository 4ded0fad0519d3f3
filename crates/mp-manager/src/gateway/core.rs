//! What all parts of a gateway share: the objects that were given out, and what clients hold.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_session::Session;
use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_sys::{Poller, ProcessState};
use mp_wire::Result;
use parking_lot::{Mutex, RwLock};

use crate::any::Any;
use crate::handle::Handle;

use super::agent::Agents;
use super::fault::Fault;
use super::id::ObjectId;
use super::job::Job;
use super::make;
use super::methods;
use super::rust::Remotes;
use super::store::{Given, Hold, Holder, Store};

/// How long an object that nobody refers to may still be asked for: a proxy that is on its way counts nowhere.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// What a gateway takes from one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest frame.
    pub(crate) frame: usize,
}

/// An object that was given out.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: ObjectId,
    pub(crate) typeid: String,
    pub(crate) handle: Handle,
    refs: Mutex<Refs>,
}

#[derive(Debug)]
struct Refs {
    by: Vec<(Holder, u64)>,
    /// Since when nobody has referred to it.
    unused: Option<Instant>,
}

/// See above.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) session: Session,
    pub(crate) key: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) poller: Arc<Poller>,
    pub(crate) stopping: AtomicU64,
    pub(crate) agents: Arc<Agents<Job>>,
    pub(crate) store: Store,
    /// Where answers are put together.
    pub(crate) scratch: Mutex<Vec<u8>>,
    /// As [`Store::holds`].
    pub(crate) holds: Mutex<HashMap<u64, Hold>>,
    pub(crate) remotes: Remotes,
    /// The address, as Python has it: a pickle's fragment.
    pub(crate) address: Vec<u8>,
    /// Whether peers are on this machine, by way of the kernel alone.
    pub(crate) is_local: bool,
    /// Whether a client may stop the gateway.
    pub(crate) obeys: bool,
    objects: RwLock<HashMap<ObjectId, Arc<Entry>>>,
    records: AtomicU64,
    note: fn(fmt::Arguments<'_>),
}

/// What making a core takes.
pub(crate) struct Plan<'a> {
    pub(crate) session: Session,
    pub(crate) key: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) name: &'a str,
    pub(crate) address: Vec<u8>,
    pub(crate) is_local: bool,
    pub(crate) obeys: bool,
    pub(crate) note: fn(fmt::Arguments<'_>),
}

impl Core {
    /// With what the last gateway of that name left.
    pub(crate) fn new(plan: Plan<'_>, poller: Arc<Poller>) -> Result<Core> {
        let store = Store::open(&plan.session, plan.name)?;
        let mut objects = HashMap::new();
        let now = Instant::now();
        for (id, given) in store.objects.items()? {
            let unused = given.refs.is_empty().then_some(now);
            let refs = Mutex::new(Refs { by: given.refs, unused });
            objects.insert(id, Arc::new(Entry { id, typeid: given.typeid, handle: given.handle, refs }));
        }
        let holds: HashMap<u64, Hold> = store.holds.items()?.into_iter().collect();
        let records = holds.keys().max().copied().unwrap_or(0) + 1;
        let core = Core {
            remotes: Remotes::left_by(&store, now)?,
            session: plan.session,
            key: plan.key,
            limits: plan.limits,
            poller,
            stopping: AtomicU64::new(0),
            agents: Agents::new(),
            store,
            scratch: Mutex::default(),
            holds: Mutex::new(holds),
            address: plan.address,
            is_local: plan.is_local,
            obeys: plan.obeys,
            objects: RwLock::new(objects),
            records: AtomicU64::new(records),
            note: plan.note,
        };
        core.settle_holds()?;
        Ok(core)
    }

    /// Says something to whoever reads the program's log.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        (self.note)(what);
    }

    /// Ends the loop.
    pub(crate) fn stop(&self) {
        self.stopping.store(1, SeqCst);
        if let Err(error) = self.poller.rouse() {
            self.note(format_args!("the loop ends a little later: {error}"));
        }
    }

    pub(crate) fn next_record(&self) -> u64 {
        self.records.fetch_add(1, Relaxed)
    }

    /// What the last gateway's clients held: those of CPython's cannot come back, and what was about to be taken was taken if the lock says so.
    fn settle_holds(&self) -> Result<()> {
        let mut all = self.holds.lock();
        let trying: Vec<(u64, Hold)> =
            all.iter().filter(|(_, hold)| !hold.taken).map(|(n, hold)| (*n, hold.clone())).collect();
        for (record, hold) in trying {
            let other =
                all.iter().any(|(n, other)| *n != record && other.taken && other.object == hold.object);
            let ours = !other && matches!(&hold.handle, Handle::Lock(lock) if lock.taken_by_the_dead());
            if ours {
                let taken = Hold { taken: true, ..hold };
                self.store.holds.insert(&record, taken.clone())?;
                all.insert(record, taken);
            } else {
                self.store.holds.remove(&record)?;
                all.remove(&record);
            }
        }
        let gone: HashSet<u128> =
            all.values().map(|hold| hold.client).filter(|client| !self.remotes.may_return(*client)).collect();
        drop(all);
        gone.into_iter().for_each(|client| self.release_holds_of(client));
        Ok(())
    }

    /// A client is gone: what it held is given back.
    pub(crate) fn release_holds_of(&self, client: u128) {
        let mut all = self.holds.lock();
        let mine: Vec<u64> =
            all.iter().filter(|(_, hold)| hold.client == client).map(|(record, _)| *record).collect();
        for record in mine {
            let Some(hold) = all.remove(&record) else { continue };
            if hold.taken {
                let given_back = match &hold.handle {
                    Handle::Lock(lock) => lock.release(),
                    Handle::Semaphore(semaphore) => semaphore.release(),
                    Handle::BoundedSemaphore(semaphore) => semaphore.release(),
                    _ => Ok(()),
                };
                if let Err(error) = given_back {
                    self.note(format_args!("what a client held is not given back: {error}"));
                }
            }
            if let Err(error) = self.store.holds.remove(&record) {
                self.note(format_args!("the record of what a client held stays: {error}"));
            }
        }
    }

    /// Makes an object, or finds one that has that name.
    pub(crate) fn create(
        &self,
        typeid: &str,
        args: methods::Args,
        holder: Holder,
    ) -> Result<Arc<Entry>, Fault> {
        let handle = match make::object(&self.session, typeid, args) {
            Some(made) => made?,
            None => match self.store.names.get(typeid)? {
                Some(handle) => handle,
                None => return Err(super::fault::Exception::Key.says(typeid)),
            },
        };
        let entry = self.enter(typeid, handle)?;
        self.add_ref(&entry, holder)?;
        Ok(entry)
    }

    /// The entry of an object, which it gets if it has none.
    pub(crate) fn enter(&self, typeid: &str, handle: Handle) -> Result<Arc<Entry>> {
        let id = ObjectId::of(&handle)?;
        if let Some(entry) = self.objects.read().get(&id) {
            return Ok(entry.clone());
        }
        let mut objects = self.objects.write();
        if let Some(entry) = objects.get(&id) {
            return Ok(entry.clone());
        }
        let given = Given { typeid: typeid.to_owned(), handle: handle.clone(), refs: Vec::new() };
        self.store.objects.insert(&id, given)?;
        let refs = Mutex::new(Refs { by: Vec::new(), unused: Some(Instant::now()) });
        let entry = Arc::new(Entry { id, typeid: typeid.to_owned(), handle, refs });
        objects.insert(id, entry.clone());
        Ok(entry)
    }

    /// The object that a client means.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.objects.read().get(&ObjectId::parse(id)?).cloned()
    }

    /// One reference more.
    pub(crate) fn add_ref(&self, entry: &Entry, holder: Holder) -> Result<()> {
        let mut refs = entry.refs.lock();
        match refs.by.iter_mut().find(|(by, _)| *by == holder) {
            Some((_, count)) => *count += 1,
            None => refs.by.push((holder, 1)),
        }
        refs.unused = None;
        self.write_refs(entry, &refs)
    }

    /// One reference less: of this holder, or of one that is not known better. `false`: there is none.
    pub(crate) fn drop_ref(&self, entry: &Entry, holder: Holder) -> Result<bool> {
        let mut refs = entry.refs.lock();
        let at = |of: Holder| refs.by.iter().position(|(by, _)| *by == of);
        let Some(at) = at(holder).or_else(|| at(Holder::Unseen)) else { return Ok(false) };
        refs.by[at].1 -= 1;
        if refs.by[at].1 == 0 {
            refs.by.swap_remove(at);
        }
        if refs.by.is_empty() {
            refs.unused = Some(Instant::now());
        }
        self.write_refs(entry, &refs)?;
        Ok(true)
    }

    fn write_refs(&self, entry: &Entry, refs: &Refs) -> Result<()> {
        let given =
            Given { typeid: entry.typeid.clone(), handle: entry.handle.clone(), refs: refs.by.clone() };
        self.store.objects.insert(&entry.id, given)
    }

    /// Whoever that was is gone, with all references.
    pub(crate) fn drop_refs_of(&self, gone: &HashSet<Holder>) {
        let objects: Vec<Arc<Entry>> = self.objects.read().values().cloned().collect();
        for entry in objects {
            let mut refs = entry.refs.lock();
            let before = refs.by.len();
            refs.by.retain(|(by, _)| !gone.contains(by));
            if refs.by.len() == before {
                continue;
            }
            if refs.by.is_empty() {
                refs.unused = Some(Instant::now());
            }
            if let Err(error) = self.write_refs(&entry, &refs) {
                self.note(format_args!("references of a dead client stay: {error}"));
            }
        }
    }

    /// How many objects somebody refers to.
    pub(crate) fn in_use(&self) -> Vec<(Arc<Entry>, u64)> {
        let mut all: Vec<(Arc<Entry>, u64)> = self
            .objects
            .read()
            .values()
            .map(|entry| (entry.clone(), entry.refs.lock().by.iter().map(|(_, count)| count).sum()))
            .filter(|(_, count)| *count > 0)
            .collect();
        all.sort_by_key(|(entry, _)| entry.id);
        all
    }

    /// What `str()` of an object shows.
    pub(crate) fn shown(&self, entry: &Entry) -> String {
        match methods::whole(&entry.handle) {
            Ok(Any::Dict(names)) if matches!(entry.handle, Handle::Namespace(_)) => {
                let mut shown: Vec<String> = names
                    .iter()
                    .filter_map(|(name, value)| match name {
                        Any::Str(name) if !name.starts_with('_') => Some(format!("{name}={value}")),
                        _ => None,
                    })
                    .collect();
                shown.sort();
                format!("Namespace({})", shown.join(", "))
            }
            Ok(value) => value.to_string(),
            Err(_) => format!("<{} {}>", entry.typeid, entry.id),
        }
    }

    /// What time brings: dead processes' references end, and objects that nobody has referred to for long are forgotten.
    pub(crate) fn tick(self: &Arc<Core>, now: Instant) {
        self.remotes.tick(self, now);
        let mut processes = HashSet::new();
        let mut unused = Vec::new();
        for entry in self.objects.read().values() {
            let refs = entry.refs.lock();
            processes.extend(refs.by.iter().map(|(by, _)| *by));
            if refs.unused.is_some_and(|since| now.duration_since(since) > ON_ITS_WAY) {
                unused.push(entry.id);
            }
        }
        processes.retain(|holder| match holder {
            Holder::Process { pid, start_time } => {
                matches!(
                    mp_sys::process_state(*pid, *start_time),
                    Ok(ProcessState::Gone | ProcessState::Exiting)
                )
            }
            Holder::Client(client) => !self.remotes.may_return(*client),
            Holder::Unseen => false,
        });
        if !processes.is_empty() {
            self.drop_refs_of(&processes);
        }
        for id in unused {
            let mut objects = self.objects.write();
            let still = objects.get(&id).is_some_and(|entry| entry.refs.lock().unused.is_some());
            if still {
                objects.remove(&id);
                if let Err(error) = self.store.objects.remove(&id) {
                    self.note(format_args!("the record of an object stays: {error}"));
                }
            }
        }
    }
}

//! A call's input, taken as it is needed: items are encoded and sent as long as there are not more under way than the call wants.
//!
//! How many go into one bundle follows from how long tasks take: about half a millisecond's worth, so that sending costs little and yet
//! nobody waits for a bundle to be full. It matters for nothing else, since what a worker has not begun can be taken back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_session::{Error, Result};

use crate::core::{Core, State};
use crate::job::Arrival;
use crate::shim::{self, TaskShim};
use crate::task::{Bundle, LARGEST_BUNDLE, Order, Settings};

/// What a bundle should keep a worker busy for, in nanoseconds.
const BUNDLE_TIME: u64 = 500_000;
/// Bytes of a bundle, unless one item has more.
const BUNDLE_BYTES: usize = 256 * 1024;
/// Bytes under way by default.
const BYTES_UNDER_WAY: u64 = 16 << 20;
/// A result that is there is handed out before more input is awaited, once that took so long.
const INPUT_PATIENCE: Duration = Duration::from_millis(1);

/// How an input is to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacing {
    /// Items at most that were taken and whose results were not handed out.
    pub(crate) window: u64,
    /// Items of a bundle at most.
    pub(crate) largest: u32,
    /// Items of the first bundles, before anything is known about them.
    pub(crate) first: u32,
}

pub(crate) struct Flow<I> {
    pub(crate) core: Arc<Core>,
    pub(crate) job: u64,
    order: Arc<Order>,
    pub(crate) items: Option<I>,
    pacing: Pacing,
    bytes_limit: u64,
    /// Items taken from the input.
    pub(crate) taken: u64,
    /// Items whose results came.
    pub(crate) received: u64,
    /// Items whose results were handed out to the caller.
    pub(crate) given: u64,
    /// Bytes of all items taken.
    bytes: u64,
    bundle: Option<Bundle>,
    /// Items that could not be sent, and why.
    refused: Vec<Arrival>,
}

impl<I: Iterator<Item = A>, A: mp_wire::Message> Flow<I> {
    pub(crate) fn new(
        core: Arc<Core>,
        shim: TaskShim,
        chunk: u32,
        width: u32,
        settings: &Settings,
        items: I,
        pacing: Pacing,
    ) -> Flow<I> {
        let settings = settings.clone();
        let bytes_limit = settings.read_ahead_bytes.map_or(BYTES_UNDER_WAY, |bytes| bytes.max(1) as u64);
        let order = Arc::new(Order { shim: shim::name(shim), chunk, width, settings });
        let job = core.open_job(order.clone(), false);
        Flow {
            core,
            job,
            order,
            items: Some(items),
            pacing,
            bytes_limit,
            taken: 0,
            received: 0,
            given: 0,
            bytes: 0,
            bundle: None,
            refused: Vec::new(),
        }
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.taken - self.received
    }

    /// Whether all items were taken and all results came.
    pub(crate) fn is_over(&self) -> bool {
        self.items.is_none() && self.under_way() == 0
    }

    fn bundle_size(&self) -> u32 {
        let pace = self.core.pace();
        let size = BUNDLE_TIME.checked_div(pace).unwrap_or(self.pacing.first.into());
        let size = size.clamp(1, self.pacing.largest.into()) as u32;
        size.next_multiple_of(self.order.chunk.max(1)).min(LARGEST_BUNDLE)
    }

    /// Whether there is room for an item more.
    fn has_room(&self) -> bool {
        let inside = self.taken - self.given;
        // What those inside have, if all items are alike: `bytes * inside / taken`, without dividing.
        let fits = || {
            let limit = u128::from(self.bytes_limit) * u128::from(self.taken);
            u128::from(self.bytes) * u128::from(inside) < limit
        };
        inside < self.pacing.window && (inside == 0 || fits())
    }

    /// Takes and sends items until there are enough under way; stops early when the input is slow and `is_wanted` says that there
    /// is something to be handed out.
    pub(crate) fn fill(&mut self, mut is_wanted: impl FnMut(&mut Self) -> bool) {
        if self.items.is_none() {
            return;
        }
        let size = self.bundle_size();
        // One item at a time would be sent in bundles of one: wait until there is room for a bundle.
        let gap = u64::from(size).min(self.pacing.window / 2);
        let inside = (self.taken - self.given).min(self.pacing.window);
        if self.under_way() > 0 && self.pacing.window - inside < gap {
            return;
        }
        let begun = Instant::now();
        while self.has_room() {
            let Some(item) = self.items.as_mut().and_then(Iterator::next) else {
                self.items = None;
                self.flush();
                self.core.seal(self.job);
                return;
            };
            self.add(&item);
            let full = |b: &Bundle| b.count >= size || b.bytes.len() >= BUNDLE_BYTES;
            if self.bundle.as_ref().is_some_and(full) {
                self.flush();
                if size <= 8 && begun.elapsed() > INPUT_PATIENCE && is_wanted(self) {
                    return;
                }
            }
        }
        self.flush();
    }

    fn add(&mut self, item: &A) {
        let (order, job, number) = (&self.order, self.job, self.taken);
        self.taken += 1;
        let bundle = self.bundle.get_or_insert_with(|| Bundle::new(order.clone(), job, number));
        let before = bundle.bytes.len();
        match bundle.push(item) {
            Ok(()) => self.bytes += (bundle.bytes.len() - before) as u64,
            Err(error) => {
                // Numbers in a bundle are consecutive: it ends here.
                self.flush();
                self.refused.push(Arrival::Never { tasks: number..number + 1, error });
            }
        }
    }

    fn flush(&mut self) {
        let Some(bundle) = self.bundle.take().filter(|b| b.count > 0) else { return };
        let tasks = bundle.first..bundle.first + u64::from(bundle.count);
        if let Err(error) = self.core.submit(bundle) {
            self.refused.push(Arrival::Never { tasks, error });
            // What the pool does not take now it will not take later.
            self.items = None;
        }
    }

    /// Waits until results have come, at least `enough` if so many are under way, and takes them. `patience`: as
    /// [`Core::wait_until`].
    pub(crate) fn receive(
        &mut self,
        enough: u64,
        patience: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Vec<Arrival>>> {
        if !self.refused.is_empty() {
            let refused = std::mem::take(&mut self.refused);
            self.received += count_of(&refused);
            return Ok(Some(refused));
        }
        let (job, under_way) = (self.job, self.under_way());
        let arrived = self.core.wait_until(deadline, patience, |state| {
            let job = state.jobs.get_mut(&job)?;
            let here = under_way.saturating_sub(job.open);
            let ready = here >= enough || job.open == 0 || job.failed;
            if ready { take(job.finished.take(), &mut job.arrived) } else { None }
        })?;
        Ok(arrived.inspect(|arrived| self.received += count_of(arrived)))
    }

    /// Takes what has come, without waiting.
    pub(crate) fn receive_now(&mut self) -> Vec<Arrival> {
        let mut arrived = std::mem::take(&mut self.refused);
        let mut state = self.core.state.lock();
        self.core.step(&mut state);
        if let Some(job) = state.jobs.get_mut(&self.job)
            && let Some(more) = take(job.finished.take(), &mut job.arrived)
        {
            arrived.extend(more);
        }
        drop(state);
        self.received += count_of(&arrived);
        arrived
    }
}

fn count_of(arrived: &[Arrival]) -> u64 {
    let one = |arrival: &Arrival| match arrival {
        Arrival::Results { span, .. } => u64::from(span.count()),
        Arrival::Never { tasks, .. } => tasks.end - tasks.start,
    };
    arrived.iter().map(one).sum()
}

/// What came, also if it was the last of it.
fn take(finished: Option<Arc<Vec<Arrival>>>, arrived: &mut Vec<Arrival>) -> Option<Vec<Arrival>> {
    let mut all = finished.and_then(Arc::into_inner).unwrap_or_default();
    all.append(arrived);
    (!all.is_empty()).then_some(all)
}

impl<I> Drop for Flow<I> {
    fn drop(&mut self) {
        self.core.abandon(self.job);
    }
}

impl Core {
    /// Nanoseconds that a task takes, as far as that is known; 0 if it is not.
    pub(crate) fn pace(&self) -> u64 {
        let state: &State = &self.state.lock();
        state.workers.iter().map(|w| w.station.pace()).filter(|pace| *pace > 0).max().unwrap_or(0)
    }
}

/// The error for calls that cannot do anything at all.
pub(crate) fn no_chunk() -> Error {
    Error::InvalidArgument { detail: "chunks of no items".into() }
}

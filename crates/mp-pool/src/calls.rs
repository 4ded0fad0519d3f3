//! Calls on their way into the pool: how the public methods send what they are given.

use std::sync::Arc;

use mp_session::Result;
use mp_wire::Message;

use crate::core::Core;
use crate::flow::{Flow, Pacing};
use crate::pool::Pool;
use crate::results::AsyncResult;
use crate::shim::{self, TaskShim};
use crate::task::{Bundle, LARGEST_BUNDLE, Order};
use crate::{decode, imap, map};

impl Pool {
    fn order(&self, shim: TaskShim, chunk: u32) -> Arc<Order> {
        Arc::new(Order { shim: shim::name(shim), chunk, width: 1, settings: self.settings.clone() })
    }

    pub(crate) fn send_one<A: Message>(&self, shim: TaskShim, args: &A) -> Result<u64> {
        let core = &self.shared.core;
        let mut bundle = Bundle::new(self.order(shim, 1), 0, 0);
        bundle.push(args)?;
        core.submit_call(bundle)
    }

    pub(crate) fn send_all<A: Message, T: Message>(
        &self,
        shim: TaskShim,
        items: impl IntoIterator<Item = A>,
    ) -> Result<AsyncResult<Vec<T>>> {
        let order = self.order(shim, 1);
        let mut bundles = vec![Bundle::new(order.clone(), 0, 0)];
        let mut count = 0;
        for item in items {
            if bundles.last().is_some_and(|b| b.count == LARGEST_BUNDLE || b.bytes.len() > 256 * 1024) {
                bundles.push(Bundle::new(order.clone(), 0, count));
            }
            if let Some(bundle) = bundles.last_mut() {
                bundle.push(&item)?;
                count += 1;
            }
        }
        let core = &self.shared.core;
        let job = core.open_job(order, false);
        let result = AsyncResult::new(self.shared.clone(), job, count, decode::values);
        for mut bundle in bundles.into_iter().filter(|b| b.count > 0) {
            bundle.job = job;
            core.submit(bundle)?;
        }
        core.seal(job);
        self.shared.minder.attend();
        Ok(result)
    }

    pub(crate) fn eager<A: Message, I: IntoIterator<Item = A>>(
        &self,
        shim: TaskShim,
        items: I,
        chunk: usize,
    ) -> Flow<I::IntoIter> {
        let core = &self.shared.core;
        let items = items.into_iter();
        let pacing = map::pacing(core.processes(), items.size_hint().0);
        let chunk = chunk.min(LARGEST_BUNDLE as usize) as u32;
        self.attend_if_timed();
        Flow::new(core.clone(), shim, chunk, 1, &self.settings, items, pacing)
    }

    /// For tasks that run many at once.
    pub(crate) fn wide<A: Message, I: IntoIterator<Item = A>>(
        &self,
        shim: TaskShim,
        items: I,
        width: u32,
    ) -> Flow<I::IntoIter> {
        let core = &self.shared.core;
        let items = items.into_iter();
        let window = core.processes().max(1) as u64 * u64::from(width) * 2;
        let pacing = Pacing { window, largest: width.min(LARGEST_BUNDLE), first: width.min(LARGEST_BUNDLE) };
        self.attend_if_timed();
        Flow::new(core.clone(), shim, 1, width, &self.settings, items, pacing)
    }

    pub(crate) fn lazy<A: Message, I: Iterator<Item = A>>(&self, shim: TaskShim, items: I) -> Flow<I> {
        let core = &self.shared.core;
        let pacing = imap::pacing(core.processes(), self.settings.read_ahead);
        self.attend_if_timed();
        Flow::new(core.clone(), shim, 1, 1, &self.settings, items, pacing)
    }

    /// Time runs whether anybody waits or not.
    fn attend_if_timed(&self) {
        if self.settings.timeout.is_some() {
            self.shared.minder.attend();
        }
    }
}

impl Core {
    /// A call of one task: its job.
    pub(crate) fn submit_call(&self, mut bundle: Bundle) -> Result<u64> {
        let job = self.open_job(bundle.order.clone(), true);
        bundle.job = job;
        self.submit(bundle).inspect_err(|_| self.abandon(job))?;
        Ok(job)
    }
}

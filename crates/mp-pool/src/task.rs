//! Tasks as plain values: what to call, its argument as bytes, and the references in it.
//!
//! Nothing here knows of processes or of memory that is shared. A [`Bundle`] is a row of tasks that call the same function, with
//! their arguments one behind the other; a [`Batch`] is a part of it, which is sent to one worker. So a part of a batch is sent
//! to somebody else without encoding anything again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use mp_session::{Object, Result};
use mp_wire::Codec;

/// What a call does about the rest when one of its tasks has failed.
///
/// It matters to calls with many tasks. [`Pool::map`](crate::Pool::map) fails fast by its nature; this says what happens to the
/// tasks that were not done by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// `map` and `starmap` return at the first error that becomes known: tasks that nobody has begun are dropped, those at work come to their
    /// end. Calls that give each task's own result go on.
    #[default]
    FailFast,
    /// All tasks are done, whatever happens to some.
    Finish,
    /// As `FailFast` for every kind of call, and those at work are cancelled: see
    /// [`AsyncResult::cancel`](crate::AsyncResult::cancel). Their result is [`Error::Cancelled`](crate::Error::Cancelled).
    CancelRest,
}

/// How the tasks of one call are to be done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) timeout: Option<Duration>,
    /// Times that a task is sent again whose worker died over it.
    pub(crate) retries: u32,
    pub(crate) on_error: OnError,
    /// Items read ahead of those that were handed out, by lazy maps, and their bytes.
    pub(crate) read_ahead: Option<usize>,
    pub(crate) read_ahead_bytes: Option<usize>,
}

/// What all tasks of a call have in common.
#[derive(Debug)]
pub(crate) struct Order {
    /// The shim's name.
    pub(crate) shim: i64,
    /// Tasks that stay together: no less is taken back from a worker.
    pub(crate) chunk: u32,
    /// How many of them a worker may be at at once.
    pub(crate) width: u32,
    pub(crate) settings: Settings,
}

/// Where each argument of a bundle ends.
#[derive(Debug)]
pub(crate) enum Ends {
    /// All are of this length.
    Stride(u32),
    At(Vec<u32>),
}

/// Tasks of one call, encoded.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) order: Arc<Order>,
    pub(crate) job: u64,
    /// The number of its first task in the call.
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) codec: Codec,
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Ends,
    /// References, by the task that carries them, in order.
    pub(crate) exports: Vec<(u32, Object)>,
}

/// More tasks than a bundle may have: a record numbers them in 16 bits.
pub(crate) const LARGEST_BUNDLE: u32 = 60_000;

impl Bundle {
    pub(crate) fn new(order: Arc<Order>, job: u64, first: u64) -> Bundle {
        Bundle {
            order,
            job,
            first,
            count: 0,
            codec: Codec::Plain,
            bytes: Vec::new(),
            ends: Ends::Stride(0),
            exports: Vec::new(),
        }
    }

    /// Adds a task.
    #[inline]
    pub(crate) fn push<A: mp_wire::Message>(&mut self, argument: &A) -> Result<()> {
        if let Some((word, length)) = mp_wire::encode_word(argument) {
            self.bytes.extend_from_slice(&word.to_ne_bytes()[..length]);
            self.codec = Codec::Plain;
            self.added(length as u32);
            return Ok(());
        }
        let start = self.bytes.len();
        let encoded = mp_wire::encode(argument, &mut self.bytes)?;
        if !encoded.exports.is_empty() {
            for export in encoded.exports {
                match Object::from_export(export) {
                    Ok(object) => self.exports.push((self.count, object)),
                    Err(error) => {
                        self.bytes.truncate(start);
                        let count = self.count;
                        self.exports.retain(|(task, _)| *task != count);
                        return Err(error);
                    }
                }
            }
        }
        self.codec = encoded.codec;
        self.added((self.bytes.len() - start) as u32);
        Ok(())
    }

    /// One task more, whose argument are the last `length` bytes.
    #[inline]
    fn added(&mut self, length: u32) {
        match &mut self.ends {
            Ends::Stride(stride) if *stride == length => {}
            Ends::Stride(stride) if self.count == 0 => *stride = length,
            Ends::Stride(stride) => {
                let mut ends: Vec<u32> = (1..=self.count).map(|i| i * *stride).collect();
                ends.push(self.bytes.len() as u32);
                self.ends = Ends::At(ends);
            }
            Ends::At(ends) => ends.push(self.bytes.len() as u32),
        }
        self.count += 1;
    }

    fn end(&self, task: u32) -> usize {
        match &self.ends {
            Ends::Stride(stride) => ((task + 1) * stride) as usize,
            Ends::At(ends) => ends[task as usize] as usize,
        }
    }

    /// Where the bytes of these tasks lie.
    pub(crate) fn span(&self, tasks: &Range<u32>) -> Range<usize> {
        let start = if tasks.start == 0 { 0 } else { self.end(tasks.start - 1) };
        let end = if tasks.is_empty() { start } else { self.end(tasks.end - 1) };
        start..end
    }
}

/// A part of a bundle.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) tasks: Range<u32>,
    /// How often these were sent before and lost.
    pub(crate) attempt: u32,
}

impl Batch {
    pub(crate) fn whole(bundle: Bundle) -> Batch {
        Batch { tasks: 0..bundle.count, bundle: Arc::new(bundle), attempt: 0 }
    }

    pub(crate) fn len(&self) -> u32 {
        self.tasks.end - self.tasks.start
    }

    /// Cuts off what comes after the first `keep` tasks.
    pub(crate) fn split_off(&mut self, keep: u32) -> Batch {
        let at = (self.tasks.start + keep).min(self.tasks.end);
        let rest = Batch { tasks: at..self.tasks.end, ..self.clone() };
        self.tasks.end = at;
        rest
    }

    /// The numbers, in the call, of the tasks from here on.
    pub(crate) fn number(&self, task: u32) -> u64 {
        self.bundle.first + u64::from(self.tasks.start + task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let order = Order { shim: 0, chunk: 1, width: 1, settings: Settings::default() };
        Bundle::new(Arc::new(order), 0, 100)
    }

    #[test]
    fn parts_of_a_bundle_name_their_bytes() {
        let mut even = bundle();
        (0..10_u32).for_each(|x| even.push(&x).unwrap());
        assert!(matches!(even.ends, Ends::Stride(4)));
        let mut batch = Batch::whole(even);
        let rest = batch.split_off(4);
        assert_eq!((batch.len(), rest.len(), rest.number(0)), (4, 6, 104));
        assert_eq!((batch.bundle.span(&batch.tasks), rest.bundle.span(&rest.tasks)), (0..16, 16..40));

        let mut uneven = bundle();
        ["a", "a", "bcd", "", "e"].iter().for_each(|s| uneven.push(&(*s).to_owned()).unwrap());
        assert_eq!([0..1, 1..2, 2..3, 3..4, 4..5].map(|t| uneven.span(&t)), [0..1, 1..2, 2..5, 5..5, 5..6]);
        assert_eq!(uneven.span(&(2..2)).len(), 0);
    }
}

//! Jobs: what the pool knows of a call while its tasks are under way.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use mp_session::Error;
use parking_lot::Mutex;

use crate::record::Span;
use crate::task::Order;

/// Results that came for a job, not decoded: that is the user's code, and runs elsewhere.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// From a bundle whose first task has this number.
    Results { first: u64, span: Span },
    /// These tasks have no results, and why.
    Never { tasks: Range<u64>, error: Error },
}

/// All results of a job that is complete.
pub(crate) type Finished = Arc<Vec<Arrival>>;

/// A callback, and what it is called with.
pub(crate) type Call = (Box<dyn FnOnce(Finished) + Send>, Finished);

/// What is to happen when a job is complete.
pub(crate) enum Hook {
    /// The user's code: called on a thread that is for that alone.
    Call(Box<dyn FnOnce(Finished) + Send>),
    /// Notes the number.
    Note(Arc<Mutex<VecDeque<usize>>>, usize),
}

/// See the module.
pub(crate) struct Job {
    pub(crate) order: Arc<Order>,
    /// What came and was not taken.
    pub(crate) arrived: Vec<Arrival>,
    /// Tasks without a result.
    pub(crate) open: u64,
    /// No more tasks will be added: the job is complete when none is open.
    pub(crate) sealed: bool,
    /// One of its tasks has failed.
    pub(crate) failed: bool,
    pub(crate) finished: Option<Finished>,
    pub(crate) hooks: Vec<Hook>,
    /// Nobody has a handle to it any more: it is there for its hooks alone.
    pub(crate) is_let_go: bool,
}

impl Job {
    pub(crate) fn new(order: Arc<Order>, sealed: bool) -> Job {
        Job {
            order,
            arrived: Vec::new(),
            open: 0,
            sealed,
            failed: false,
            finished: None,
            hooks: Vec::new(),
            is_let_go: false,
        }
    }

    /// Takes results in.
    pub(crate) fn arrive(&mut self, arrival: Arrival) {
        let count = match &arrival {
            Arrival::Results { span, .. } => {
                self.failed |= matches!(span, Span::Outcome { .. } | Span::Large { message: Err(_), .. });
                u64::from(span.count())
            }
            Arrival::Never { tasks, .. } => {
                self.failed = true;
                tasks.end - tasks.start
            }
        };
        self.open = self.open.saturating_sub(count);
        if let (
            Arrival::Results { first, span: Span::Run { task, stride, codec, bytes } },
            Some(Arrival::Results {
                first: last_first,
                span: Span::Run { task: last, stride: last_stride, codec: last_codec, bytes: all },
            }),
        ) = (&arrival, self.arrived.last_mut())
            && (first, stride, codec) == (&*last_first, &*last_stride, &*last_codec)
            && *task == *last + all.len() as u32 / *stride
        {
            all.extend_from_slice(bytes);
            return;
        }
        self.arrived.push(arrival);
    }

    /// Whether all is there, for the first time: then what is to happen now.
    pub(crate) fn complete(&mut self) -> Option<Vec<Hook>> {
        if !self.sealed || self.open > 0 || self.finished.is_some() {
            return None;
        }
        self.finished = Some(Arc::new(std::mem::take(&mut self.arrived)));
        Some(std::mem::take(&mut self.hooks))
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("open", &self.open).field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

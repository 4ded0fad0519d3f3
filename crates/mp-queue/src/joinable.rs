//! A queue that knows when all its messages were dealt with.

use std::fmt;
use std::time::Duration;

use mp_session::{Object, Session, Sources, ThreadId, Waitable};
use mp_wire::{Error, Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::channel::Deadline;
use crate::common::{common_methods, delegated_methods};
use crate::receiver::Iter;
use crate::tasks::Tasks;
use crate::{Lease, PutError, Queue};

/// A queue whose users say when a message was dealt with, and may wait until all were (Python's `JoinableQueue`).
///
/// Who got a message calls [`JoinableQueue::task_done`] when its work is done; [`JoinableQueue::join`] waits until nothing is
/// in the queue and nothing is undone. Otherwise it is a [`Queue`], a handle with both roles that can be cloned and sent.
///
/// # If a process dies
///
/// What it had put is there. The messages that it had got and not declared done will never be: they no longer keep
/// anybody waiting, and `join` tells that they were lost. A message got by [`JoinableQueue::get_leased`] is not lost: another
/// consumer gets it.
///
/// # Examples
///
/// ```
/// use mp_queue::JoinableQueue;
///
/// let queue = JoinableQueue::new()?;
/// let worker = {
///     let queue = queue.clone(); // or send it to a process
///     std::thread::spawn(move || -> mp_queue::Result<u32> {
///         let mut sum = 0;
///         for number in queue.iter() {
///             sum += number?;
///             queue.task_done()?;
///         }
///         Ok(sum)
///     })
/// };
/// queue.put_many([1, 2, 3])?;
/// queue.join()?; // all three were added
/// queue.close()?;
/// assert_eq!(worker.join().unwrap()?, 6);
/// # Ok::<(), mp_queue::Error>(())
/// ```
pub struct JoinableQueue<T> {
    pub(crate) queue: Queue<T>,
    pub(crate) tasks: Tasks,
}

impl<T: Message> JoinableQueue<T> {
    /// An unbounded queue in the session of this process.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub fn new() -> Result<Self> {
        JoinableQueue::make(&Session::current()?, None)
    }

    /// A queue that holds at most `capacity` messages.
    ///
    /// # Errors
    ///
    /// As [`Queue::bounded`].
    pub fn bounded(capacity: usize) -> Result<Self> {
        JoinableQueue::make(&Session::current()?, Some(capacity))
    }

    /// A queue in a given session: for tests that play several members.
    #[doc(hidden)]
    pub fn make(session: &Session, capacity: Option<usize>) -> Result<Self> {
        Ok(JoinableQueue::of(Queue::make(session, capacity)?, Tasks::make(session)?))
    }

    /// Says that a message was dealt with (Python's `task_done`). Once for each message that was got; any process may say it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if nobody alive has a message that is not done: it was said too often.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = mp_queue::JoinableQueue::new()?;
    /// queue.put('a')?;
    /// assert!(queue.task_done().is_err()); // nobody has got it
    /// queue.get()?;
    /// queue.task_done()?;
    /// queue.join()?;
    /// # Ok::<(), mp_queue::Error>(())
    /// ```
    pub fn task_done(&self) -> Result<()> {
        self.tasks.done()
    }

    /// As [`Receiver::get_leased`](crate::Receiver::get_leased); dropping the lease says that the task is done, and `task_done` is not to be called.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_leased(&self) -> Result<Lease<T>> {
        self.queue.get_leased()
    }

    /// How many tasks are not done: the messages in the queue, and those that were got and not declared done.
    pub fn unfinished(&self) -> usize {
        self.len() + self.tasks.owed()
    }

    /// Waits until every message was got and declared done (Python's `join`).
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] if all that can be done is done, but processes died with messages that they had not declared done: as
    /// many tasks were lost since the call began, or were found lost by it. It is told once; a later `join` is about later tasks.
    ///
    /// # Blocking
    ///
    /// Until then. A producer that puts more meanwhile prolongs it.
    pub fn join(&self) -> Result<()> {
        self.join_until(Deadline::Never).map(|_| ())
    }

    /// The same, for at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and as [`JoinableQueue::join`].
    ///
    /// # Blocking
    ///
    /// As [`JoinableQueue::join`], until the time is up.
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        match self.join_until(Deadline::In(timeout))? {
            true => Ok(()),
            false => Err(Error::TimedOut { what: "join of a queue".into() }),
        }
    }

    fn join_until(&self, deadline: Deadline) -> Result<bool> {
        let lost_before = self.tasks.lost();
        let session = self.queue.sender.channel.session();
        let joined = session.wait(self.tasks.joiners(), deadline.instant(), &|| ThreadId::NONE, || {
            Ok(self.is_done().then_some(()))
        })?;
        let lost = self.tasks.lost().saturating_sub(lost_before);
        if joined.is_some() && lost > 0 {
            return Err(Error::Broken {
                what: "join of a queue".into(),
                why: format!("{lost} tasks were lost with the processes that had got them"),
                who: None,
            });
        }
        Ok(joined.is_some())
    }

    /// *work-makes-work*: see the essay of `tasks`.
    fn is_done(&self) -> bool {
        let channel = &self.queue.receiver.channel;
        loop {
            let Some(end) = channel.end_if_drained() else { return false };
            match self.tasks.is_settled() {
                Some(true) => match channel.end_if_drained() {
                    Some(now) if now == end => return true,
                    Some(_) => {}
                    None => return false,
                },
                Some(false) => return false,
                None => {}
            }
        }
    }
}

impl<T> JoinableQueue<T> {
    fn of(queue: Queue<T>, tasks: Tasks) -> Self {
        let mut queue = queue;
        queue.receiver.channel.count_tasks(&tasks);
        JoinableQueue { queue, tasks }
    }

    /// The sending end, to wait for room by.
    #[doc(hidden)]
    pub fn sender(&self) -> crate::Sender<T> {
        self.queue.sender()
    }
}

delegated_methods!(JoinableQueue, queue);
common_methods!(JoinableQueue, queue.sender.channel);

/// Ready when a get would not wait, as a [`Queue`] is.
impl<T> Waitable for JoinableQueue<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.queue.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.queue.is_ready()
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        JoinableQueue { queue: self.queue.clone(), tasks: self.tasks.clone() }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinableQueue({:?}, {} got and not done)", self.queue.sender.channel, self.tasks.owed())
    }
}

impl<T: 'static> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (&self.queue, self.tasks.object()).serialize(to)
    }
}

impl<'de, T: 'static> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (queue, tasks) = <(Queue<T>, Object)>::deserialize(from)?;
        let tasks = Tasks::open(tasks).map_err(|e| de::Error::custom(carrier::refuse(e)))?;
        Ok(JoinableQueue::of(queue, tasks))
    }
}

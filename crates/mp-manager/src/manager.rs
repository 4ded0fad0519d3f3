//! `Manager`: where Python's programs begin. Here it makes things and finds them by name; it serves nothing.

use mp_queue::{JoinableQueue, Queue};
use mp_session::Session;
use mp_sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};
use mp_wire::{Message, Result};

use crate::{Array, Dict, List, Namespace, Set, Value};

/// Makes shared objects, and publishes them by name: Python's `SyncManager`, without its process.
///
/// It is a view of the session and can be made, cloned and dropped as one likes: what it made lives as long as somebody holds it, or it is
/// published. Each object can as well be made by its own `new`.
///
/// Python's `SharedMemoryManager` takes named memory away when it ends. Memory of a session has no name and goes by itself
/// (`mp_shared::SharedMemory`), so there is nothing to do for a manager of it.
///
/// # Examples
///
/// ```
/// use mp_manager::{Dict, Manager};
///
/// let manager = Manager::new()?;
/// let stock = manager.dict::<String, u32>()?;
/// stock.insert("apples", 3)?;
/// manager.publish("stock", &stock)?;
///
/// // In any process of the session:
/// let found: Option<Dict<String, u32>> = manager.lookup("stock")?;
/// assert_eq!(found.unwrap().get("apples")?, Some(3));
/// assert!(manager.unpublish("stock")?);
/// # Ok::<(), mp_manager::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Manager {
    session: Session,
}

macro_rules! factories {
    ($($(#[$doc:meta])* $name:ident [$($generic:ident),*] ($($arg:ident: $of:ty),*) -> $type:ty = $make:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`Error::LimitReached`](mp_wire::Error::LimitReached) when the session's memory or budget is used up.
        pub fn $name<$($generic: Message),*>(&self, $($arg: $of),*) -> Result<$type> {
            $make(&self.session $(, $arg)*)
        }
    )* };
}

impl Manager {
    /// For this process's session.
    ///
    /// # Errors
    /// As [`Session::current`].
    pub fn new() -> Result<Manager> {
        Ok(Manager::of(&Session::current()?))
    }

    /// For that session.
    pub fn of(session: &Session) -> Manager {
        Manager { session: session.clone() }
    }

    factories! {
        /// A new dict.
        dict[K, V]() -> Dict<K, V> = Dict::new_in;
        /// A new list.
        list[T]() -> List<T> = List::new_in;
        /// A new set.
        set[T]() -> Set<T> = Set::new_in;
        /// A new namespace.
        namespace[]() -> Namespace = Namespace::new_in;
        /// A new value.
        value[T](value: T) -> Value<T> = Value::new_in;
        /// A new array.
        array[T](values: Vec<T>) -> Array<T> = Array::new_in;
        /// A new lock.
        lock[]() -> Lock = Lock::new_in;
        /// A new lock that its owner may take again.
        rlock[]() -> RLock = RLock::new_in;
        /// A new semaphore.
        semaphore[](value: u64) -> Semaphore = Semaphore::new_in;
        /// A new semaphore with an upper bound.
        bounded_semaphore[](value: u64) -> BoundedSemaphore = BoundedSemaphore::new_in;
        /// A new event.
        event[]() -> Event = Event::new_in;
        /// A new barrier.
        barrier[](parties: usize) -> Barrier = Barrier::new_in;
        /// A new queue.
        queue[T]() -> Queue<T> = (|session: &Session| Queue::make(session, None));
        /// A new queue for so many messages.
        bounded_queue[T](capacity: usize) -> Queue<T> = (|session: &Session, capacity| Queue::make(session, Some(capacity)));
    }

    /// A new condition, with a lock of its own.
    ///
    /// # Errors
    /// As [`Manager::lock`].
    pub fn condition(&self) -> Result<Condition<RLock>> {
        Condition::on(self.rlock()?)
    }

    /// A new queue whose messages are said to be done. It is made in this process's session.
    ///
    /// # Errors
    /// As [`Manager::lock`].
    pub fn joinable_queue<T: Message>(&self) -> Result<JoinableQueue<T>> {
        JoinableQueue::new()
    }

    /// Publishes an object under a name: see [`Session::publish`].
    ///
    /// # Errors
    /// As [`Session::publish`].
    pub fn publish<T: Message>(&self, name: &str, object: &T) -> Result<()> {
        self.session.publish(name, object)
    }

    /// What is published under a name: see [`Session::lookup`].
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub fn lookup<T: Message>(&self, name: &str) -> Result<Option<T>> {
        self.session.lookup(name)
    }

    /// Withdraws what is published under a name: see [`Session::unpublish`].
    ///
    /// # Errors
    /// As [`Session::unpublish`].
    pub fn unpublish(&self, name: &str) -> Result<bool> {
        self.session.unpublish(name)
    }

    /// The names that are published now.
    ///
    /// # Errors
    /// As [`Session::published`].
    pub fn published(&self) -> Result<Vec<String>> {
        self.session.published()
    }
}

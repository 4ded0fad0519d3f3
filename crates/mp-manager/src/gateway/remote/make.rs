//! New objects behind a gateway, and those that are there.

use mp_wire::Result;

use super::objects::RemoteHandle;
use super::{
    RemoteBarrier, RemoteCondition, RemoteDict, RemoteEvent, RemoteList, RemoteLock, RemoteManager,
    RemoteNamespace, RemoteQueue, RemoteRLock, RemoteSemaphore, RemoteSet, RemoteValue,
};
use crate::any::Any;

impl RemoteManager {
    fn made<H: RemoteHandle>(&self, typeid: &str, args: &[Any]) -> Result<H> {
        Ok(H::of(self.create(typeid, args, &[])?.expect(H::KINDS)?))
    }

    /// A new dict behind the gateway.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn dict<K, V>(&self) -> Result<RemoteDict<K, V>> {
        self.open("dict")
    }

    /// A new list.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn list<T>(&self) -> Result<RemoteList<T>> {
        self.made("list", &[])
    }

    /// A new set.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn set<T>(&self) -> Result<RemoteSet<T>> {
        self.made("set", &[])
    }

    /// A new namespace.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn namespace(&self) -> Result<RemoteNamespace> {
        self.open("Namespace")
    }

    /// A new value.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn value<T: Into<Any>>(&self, value: T) -> Result<RemoteValue<T>> {
        let args = [Any::from("O"), value.into()];
        self.made("Value", &args)
    }

    /// A new queue: of a capacity, or without a bound.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn queue<T>(&self, capacity: Option<usize>) -> Result<RemoteQueue<T>> {
        let args = [Any::from(capacity.unwrap_or(0))];
        self.made("Queue", &args)
    }

    /// A new lock.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn lock(&self) -> Result<RemoteLock> {
        self.open("Lock")
    }

    /// A new lock that its owner, a thread of a client, may take again.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn rlock(&self) -> Result<RemoteRLock> {
        self.open("RLock")
    }

    /// A new semaphore.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn semaphore(&self, value: u32) -> Result<RemoteSemaphore> {
        self.made("Semaphore", &[Any::from(value)])
    }

    /// A new semaphore that is never released beyond its first value.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn bounded_semaphore(&self, value: u32) -> Result<RemoteSemaphore> {
        self.made("BoundedSemaphore", &[Any::from(value)])
    }

    /// A new condition with a lock of its own.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn condition(&self) -> Result<RemoteCondition> {
        self.open("Condition")
    }

    /// A new event.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn event(&self) -> Result<RemoteEvent> {
        self.open("Event")
    }

    /// A new barrier.
    ///
    /// # Errors
    /// See [`RemoteManager`].
    pub fn barrier(&self, parties: usize) -> Result<RemoteBarrier> {
        self.made("Barrier", &[Any::from(parties)])
    }

    /// Opens what [`Gateway::offer`](crate::Gateway::offer) offers by that name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](mp_wire::Error::InvalidArgument) when nothing is offered by that name; [`Error::WrongKind`](mp_wire::Error::WrongKind); see [`RemoteManager`].
    pub fn open<H: RemoteHandle>(&self, name: &str) -> Result<H> {
        Ok(H::of(self.create(name, &[], &[])?.expect(H::KINDS)?))
    }

    /// Opens an object that came out of another one as a value.
    ///
    /// # Errors
    /// [`Error::WrongKind`](mp_wire::Error::WrongKind); see [`RemoteManager`].
    pub fn open_from<H: RemoteHandle>(&self, value: &Any) -> Result<H> {
        Ok(H::of(self.open_value(value)?.expect(H::KINDS)?))
    }
}

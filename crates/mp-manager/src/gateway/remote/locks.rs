//! Locks and signals.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mp_wire::Result;

use super::Reference;
use super::objects::{Sealed, handle, kinds, seconds, typed};
use crate::any::Any;
use crate::python;

kinds!(RemoteLock, "Lock");
kinds!(RemoteRLock, "RLock");
kinds!(RemoteSemaphore, "Semaphore", "BoundedSemaphore");
kinds!(RemoteCondition, "Condition");
kinds!(RemoteEvent, "Event");
kinds!(RemoteBarrier, "Barrier");

/// A lock behind a gateway, held until this is dropped.
#[derive(Debug)]
pub struct RemoteGuard<'a, L: Release>(&'a L);

/// What a guard gives back.
pub trait Release {
    /// Gives it back.
    ///
    /// # Errors
    /// See the type.
    fn release(&self) -> Result<()>;
}

impl<L: Release> Drop for RemoteGuard<'_, L> {
    fn drop(&mut self) {
        // A gateway that cannot be told sees that this client is gone, or has given the lock back when it died.
        let _given_back_otherwise = self.0.release();
    }
}

macro_rules! acquirer {
    ($name:ident) => {
        impl $name {
            /// Takes it, waiting if need be.
            ///
            /// # Errors
            /// See the type.
            pub fn acquire(&self) -> Result<()> {
                // Without arguments, as `with` asks: it returns when this client is gone.
                self.0.ask("acquire", &[])?;
                Ok(())
            }

            /// Takes it if that needs no waiting.
            ///
            /// # Errors
            /// See the type.
            pub fn try_acquire(&self) -> Result<bool> {
                typed(self.0.ask("acquire", &[false.into()])?)
            }

            /// Takes it, waiting no longer than this.
            ///
            /// # Errors
            /// See the type.
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<bool> {
                typed(self.0.ask("acquire", &[true.into(), seconds(timeout)])?)
            }

            /// Takes it until the guard is dropped.
            ///
            /// # Errors
            /// See the type.
            pub fn lock(&self) -> Result<RemoteGuard<'_, Self>> {
                self.acquire()?;
                Ok(RemoteGuard(self))
            }
        }

        impl Release for $name {
            fn release(&self) -> Result<()> {
                self.0.ask("release", &[])?;
                Ok(())
            }
        }
    };
}

handle! {
    /// A [`Lock`](mp_sync::Lock) behind a gateway. It is the client's that took it, and free when that is gone.
    RemoteLock
}
acquirer!(RemoteLock);

handle! {
    /// An [`RLock`](mp_sync::RLock) behind a gateway. It is the client's thread's that took it; a gateway that dies frees it.
    RemoteRLock
}
acquirer!(RemoteRLock);

handle! {
    /// A semaphore behind a gateway.
    RemoteSemaphore
}
acquirer!(RemoteSemaphore);

handle! {
    /// A [`Condition`](mp_sync::Condition) behind a gateway.
    RemoteCondition
}
acquirer!(RemoteCondition);

impl RemoteCondition {
    /// Waits to be notified, without the lock meanwhile, which this thread must hold. `false`: the time was up.
    ///
    /// # Errors
    /// See the type.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        typed(self.0.ask("wait", &[timeout.map_or(Any::None, seconds)])?)
    }

    /// Wakes so many.
    ///
    /// # Errors
    /// See the type.
    pub fn notify(&self, n: usize) -> Result<()> {
        self.0.ask("notify", &[n.into()])?;
        Ok(())
    }

    /// Wakes all.
    ///
    /// # Errors
    /// See the type.
    pub fn notify_all(&self) -> Result<()> {
        self.0.ask("notify_all", &[])?;
        Ok(())
    }
}

handle! {
    /// An [`Event`](mp_sync::Event) behind a gateway.
    RemoteEvent
}

impl RemoteEvent {
    /// Whether it is set.
    ///
    /// # Errors
    /// See the type.
    pub fn is_set(&self) -> Result<bool> {
        typed(self.0.ask("is_set", &[])?)
    }

    /// Sets it.
    ///
    /// # Errors
    /// See the type.
    pub fn set(&self) -> Result<()> {
        self.0.ask("set", &[])?;
        Ok(())
    }

    /// Clears it.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self) -> Result<()> {
        self.0.ask("clear", &[])?;
        Ok(())
    }

    /// Waits until it is set. `false`: the time was up.
    ///
    /// # Errors
    /// See the type.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        typed(self.0.ask("wait", &[timeout.map_or(Any::None, seconds)])?)
    }
}

handle! {
    /// A [`Barrier`](mp_sync::Barrier) behind a gateway.
    RemoteBarrier
}

impl RemoteBarrier {
    /// Waits until all parties are there, and says which this one is.
    ///
    /// # Errors
    /// [`Error::Broken`](mp_wire::Error::Broken); see the type.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<usize> {
        typed(self.0.ask("wait", &[timeout.map_or(Any::None, seconds)])?)
    }

    /// Breaks it.
    ///
    /// # Errors
    /// See the type.
    pub fn abort(&self) -> Result<()> {
        self.0.ask("abort", &[])?;
        Ok(())
    }

    /// Makes it as new.
    ///
    /// # Errors
    /// See the type.
    pub fn reset(&self) -> Result<()> {
        self.0.ask("reset", &[])?;
        Ok(())
    }
}

//! Waiting in async tasks, on any runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use mp_wire::Result;

use crate::primitive::{Ordering::*, fence};
use crate::session::Session;
use crate::waitable::Waitable;

/// A future that is done when the thing is ready: [`wait`](crate::wait()) for async tasks, on any runtime.
///
/// It is a hint, as all readiness is: try, and wait again if somebody else was faster.
///
/// ```
/// # use mp_session::{Result, Waitable, ready};
/// # struct Queue;
/// # impl Queue { fn try_get(&self) -> Option<u8> { Some(1) } }
/// # impl Waitable for Queue {
/// #     fn sources<'a>(&'a self, _: &mut mp_session::Sources<'a>) {}
/// #     fn is_ready(&self) -> bool { true }
/// # }
/// async fn get(queue: &Queue) -> Result<u8> {
///     loop {
///         if let Some(value) = queue.try_get() {
///             return Ok(value);
///         }
///         ready(queue).await?;
///     }
/// }
/// ```
///
/// Dropping the future before it is done is fine: nothing was taken, and nobody else's wake-up is lost.
///
/// # Errors
/// As [`Session::current`]; [`Error::LimitReached`](crate::Error::LimitReached) when the session has no room for another thread or
/// subscription; [`Error::Os`](crate::Error::Os) when no thread can be started; [`Error::ForeignFork`](crate::Error::ForeignFork) in a process that
/// does not take part.
///
/// # Blocking
/// Never. One thread per process waits on behalf of all tasks; it is started when it is first needed, and ends when it no longer is.
pub fn ready<W: Waitable + ?Sized>(thing: &W) -> Readiness<'_, W> {
    Readiness { session: None, thing, registration: None }
}

/// As [`ready`], for a thing of that session.
pub fn ready_in<'a, W: Waitable + ?Sized>(session: &Session, thing: &'a W) -> Readiness<'a, W> {
    Readiness { session: Some(session.clone()), thing, registration: None }
}

/// See [`ready`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Readiness<'a, W: Waitable + ?Sized> {
    /// Asked for when it is needed.
    session: Option<Session>,
    thing: &'a W,
    registration: Option<usize>,
}

impl<W: Waitable + ?Sized> Readiness<'_, W> {
    fn is_ready(&self) -> bool {
        fence(SeqCst);
        self.thing.is_ready()
    }

    fn register(&mut self, context: &Context<'_>) -> Result<()> {
        let session = match &self.session {
            Some(session) => session,
            None => self.session.insert(Session::current()?),
        };
        match self.registration {
            Some(registration) => session.reregister(registration, context.waker()),
            None => {
                self.registration = Some(session.register(self.thing, context.waker())?);
                Ok(())
            }
        }
    }

    fn deregister(&mut self) {
        if let (Some(session), Some(registration)) = (&self.session, self.registration.take()) {
            session.deregister(registration, self.thing);
        }
    }
}

impl<W: Waitable + ?Sized> Future for Readiness<'_, W> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_ready() {
            self.deregister();
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = self.register(context) {
            return Poll::Ready(Err(error));
        }
        if self.is_ready() {
            self.deregister();
            return Poll::Ready(Ok(()));
        }
        if let (Some(session), Some(registration)) = (&self.session, self.registration)
            && let Err(error) = session.ask_for(registration, self.thing)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    }
}

impl<W: Waitable + ?Sized> Drop for Readiness<'_, W> {
    fn drop(&mut self) {
        self.deregister();
    }
}

impl<W: Waitable + ?Sized> fmt::Debug for Readiness<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("registered", &self.registration.is_some()).finish_non_exhaustive()
    }
}

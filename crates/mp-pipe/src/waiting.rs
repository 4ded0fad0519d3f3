//! Waiting for a connection together with other things.
//!
//! Whatever comes to an end, bytes or the news that the other end is gone, wakes the wait word of the end's role; so that is the one word to watch.

use mp_session::{Sources, Waitable};

use crate::{Connection, Reader};

/// Ready when there is something to receive, or the other end is gone.
impl Waitable for Connection {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.end.waiters());
    }

    fn is_ready(&self) -> bool {
        self.end.peer_is_gone() || self.end.incoming.has_any()
    }
}

/// As a [`Connection`].
impl Waitable for Reader {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.0.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

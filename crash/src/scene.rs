//! Scenes: what is cut off, what others do meanwhile, and what has to hold afterwards.

use std::fmt;

use crate::stage::Stage;

/// An operation in its surroundings, by name.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Crate, object and operation, as in `session/heap: allocate small`.
    pub name: &'static str,
    /// Sets the stage.
    pub play: fn(&Stage) -> Act,
}

type Work = Box<dyn FnOnce()>;
type Look = Box<dyn FnOnce(&Stage)>;

/// What happens on the stage, once it is set.
pub struct Act {
    pub(crate) operation: Option<Work>,
    pub(crate) on_thread: bool,
    pub(crate) others: Vec<(&'static str, Option<Work>)>,
    pub(crate) burial: Option<Look>,
    pub(crate) check: Option<Look>,
    pub(crate) is_cramped: bool,
}

impl Act {
    /// The victim's operation. What it needs it owns, and it is cut off with that: nothing is dropped.
    pub fn new(operation: impl FnOnce() + 'static) -> Act {
        Act {
            operation: Some(Box::new(operation)),
            on_thread: false,
            others: Vec::new(),
            burial: None,
            check: None,
            is_cramped: false,
        }
    }

    /// The operation is done by a thread of its own, whose end belongs to it.
    #[must_use]
    pub fn on_thread(mut self) -> Act {
        self.on_thread = true;
        self
    }

    /// What another member does to the half-done operation before anybody clears up; each such variation is tried with each
    /// image. It must come to an end without the victim, and the handles that it owns are counted by themselves
    /// ([`Object::try_clone_counted`](mp_session::Object::try_clone_counted), [`give`](crate::give)): it is done in one copy of
    /// this process, and what it held is forgotten in another.
    #[must_use]
    pub fn meanwhile(mut self, name: &'static str, other: impl FnOnce() + 'static) -> Act {
        self.others.push((name, Some(Box::new(other))));
        self
    }

    /// Where somebody else than the stage's victim dies in the operation: how that is noticed and cleared up. The victim goes
    /// afterwards.
    #[must_use]
    pub fn buried_by(mut self, burial: impl FnOnce(&Stage) + 'static) -> Act {
        self.burial = Some(Box::new(burial));
        self
    }

    /// There is no room for large objects on this stage.
    #[must_use]
    pub fn cramped(mut self) -> Act {
        self.is_cramped = true;
        self
    }

    /// What has to hold after the sweep: that the operation happened, or did not. In the end no object may be left.
    #[must_use]
    pub fn check(mut self, check: impl FnOnce(&Stage) + 'static) -> Act {
        self.check = Some(Box::new(check));
        self
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<&str> = self.others.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Act")
            .field("on_thread", &self.on_thread)
            .field("others", &others)
            .finish_non_exhaustive()
    }
}

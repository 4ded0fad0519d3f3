//! What can be waited for together with others.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use mp_sys::{BorrowedSource, Interest};

use crate::primitive::AtomicU64;

/// Something that becomes ready, and that one can wait for together with other such things: the receiving end of a queue, an
/// event, the end of a process. See [`wait`](crate::wait()) and [`WaitSet`](crate::WaitSet).
///
/// It is what Python's `multiprocessing.connection.wait` takes, and more: there only what has a file descriptor can be waited for.
///
/// # For those who implement it
///
/// A waitable says two things: *is it ready*, and *which wait words are woken when that may have changed*. The waiting, the waking and the
/// deaths are the session's business. The contract:
///
/// 1. Every change that can make [`is_ready`](Waitable::is_ready) true is followed by [`Session::wake_one`](crate::Session::wake_one) or
///    [`wake_all`](crate::Session::wake_all) at one of the words that [`sources`](Waitable::sources) names, by whoever makes the
///    change and in whichever process. Both tell all observers of the word, whether or not they wake an ordinary waiter. A wake-up that is
///    left out because a count of one's own says that nobody waits is one that observers miss:
///    [`Session::has_waiters`](crate::Session::has_waiters) knows of them, such a count does not.
/// 2. As for ordinary waiters the change is made by a sequentially consistent read-modify-write, or followed by `fence(SeqCst)`, before
///    the wake-up. (There is such a fence before each call of `is_ready`; the implementation needs none.)
/// 3. What a *death* changes needs no wake-up: after each death that was cleared up, everything is looked at again.
/// 4. `is_ready` is cheap, never blocks, and never waits for another process. It may be wrong in one direction only for an instant: what it
///    says while another thread is in the middle of a change does not matter, as that change's wake-up comes after it.
/// 5. "Ready" means that the operation which one waits for would not block: if it would fail at once, it is ready, and the operation says
///    why. Several may be told and one may be faster: who was told tries, and waits again if it was in vain.
/// 6. The words stay the same for as long as the value lives, and the value keeps alive what they belong to.
///
/// # Examples
///
/// A flag in an object's word:
///
/// ```
/// use std::sync::atomic::Ordering::SeqCst;
/// use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, Sources, Waitable};
///
/// struct Flag(Object);
///
/// impl Flag {
///     fn raise(&self) {
///         self.0.words().word(0).store(1, SeqCst);
///         std::sync::atomic::fence(SeqCst);
///         self.0.session().wake_all(self.0.words().waiters(Role::First));
///     }
/// }
///
/// impl Waitable for Flag {
///     fn sources<'a>(&'a self, to: &mut Sources<'a>) {
///         to.word(self.0.words().waiters(Role::First));
///     }
///     fn is_ready(&self) -> bool {
///         self.0.words().word(0).load(SeqCst) != 0
///     }
/// }
///
/// let session = Session::current()?;
/// let plan = Blueprint { kind: Kind(1000), fingerprint: 0, shape: Shape::Plain, size: 0 };
/// let flag = Flag(Object::create(&session, plan, |_, _| {})?);
/// assert!(!flag.is_ready());
/// flag.raise();
/// assert!(flag.is_ready());
/// # Ok::<(), mp_session::Error>(())
/// ```
pub trait Waitable {
    /// Names the wait words that are woken when this may have become ready.
    fn sources<'a>(&'a self, to: &mut Sources<'a>);

    /// Whether what one waits for would not block now.
    fn is_ready(&self) -> bool;
}

macro_rules! through_a_pointer {
    ($($pointer:ty),*) => {$(
        impl<W: Waitable + ?Sized> Waitable for $pointer {
            fn sources<'a>(&'a self, to: &mut Sources<'a>) {
                (**self).sources(to);
            }
            fn is_ready(&self) -> bool {
                (**self).is_ready()
            }
        }
    )*};
}

through_a_pointer!(&W, Box<W>, Arc<W>, Rc<W>);

/// Where the news of a [`Waitable`] comes from: filled in by [`Waitable::sources`].
#[derive(Default)]
pub struct Sources<'a> {
    pub(crate) words: Vec<&'a AtomicU64>,
    pub(crate) descriptors: Vec<(BorrowedSource<'a>, Interest)>,
}

impl<'a> Sources<'a> {
    /// A wait word of a session's object ([`Words::waiters`](crate::Words::waiters)).
    pub fn word(&mut self, word: &'a AtomicU64) {
        self.words.push(word);
    }

    /// A descriptor of the system's, that one waits for until it is readable or writable: see [`Io`](crate::Io). The same ones in the same
    /// order each time, and [`is_ready`](Waitable::is_ready) must hold when one of them is: otherwise a wait would go round and round.
    pub fn descriptor(&mut self, source: BorrowedSource<'a>, interest: Interest) {
        self.descriptors.push((source, interest));
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("words", &self.words.len())
            .field("descriptors", &self.descriptors.len())
            .finish()
    }
}

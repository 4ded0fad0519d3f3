//! Handles inside messages.
//!
//! A handle (a lock, a queue) is a few words that mean something in one process only. What crosses is the
//! object behind it, and only whoever carries the message knows how: as an entry in the session's ledger, as
//! a descriptor. So a handle's `Serialize` calls [`export`] with that object and writes the index it gets;
//! its `Deserialize` reads the index and calls [`import`]. The objects themselves leave
//! [`encode`](crate::encode) beside the bytes, and enter [`decode`](crate::decode) the same way.
//!
//! serde has no room for a context, so the context is a thread-local stack of *frames*:
//!
//! | state | who pushed it | what is allowed |
//! |---|---|---|
//! | no frame | nobody: serde_json on its own, a file, a log | nothing: [`Error::NotInCarrier`] |
//! | loading | `encode` | `export`, as often as there are handles |
//! | unloading | `decode` | `import`, once for each index |
//!
//! A frame lives exactly as long as the `encode` or `decode` that pushed it, also when a `Serialize` panics.
//! An `encode` called by a `Serialize` has a frame of its own, and the frame below is untouched. What was
//! exported into a frame whose `encode` fails is dropped, and so is what nobody imported: dropping the object
//! gives its reference back.
//!
//! An import takes the object away. A format that tries one variant after the other (`#[serde(untagged)]`)
//! finds it gone when the first attempt had taken it and failed later: put handles into tagged enums.
//!
//! # Errors keep their words
//!
//! Most binary formats, postcard among them, reduce a custom serde error to "custom error". [`refuse`] leaves
//! the real one in the frame, and `encode` and `decode` return that in place of the format's.

use std::any::Any;
use std::cell::RefCell;

use crate::{Error, Result};

/// The object behind a handle, on its way.
pub type Object = Box<dyn Any + Send>;

enum Cargo {
    Loading(Vec<Object>),
    Unloading(Vec<Option<Object>>),
}

struct Frame {
    cargo: Cargo,
    refusal: Option<Error>,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Puts the object behind a handle into the message that is being encoded, and returns its index there.
///
/// For the `Serialize` implementations of handles.
///
/// # Errors
///
/// [`Error::NotInCarrier`] outside of [`encode`](crate::encode).
///
/// # Examples
///
/// ```
/// use mp_wire::carrier;
/// use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
///
/// struct Handle(std::sync::Arc<str>);
///
/// impl Serialize for Handle {
///     fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
///         let object = Box::new(self.0.clone());
///         carrier::export(object).map_err(ser::Error::custom)?.serialize(to)
///     }
/// }
///
/// impl<'de> Deserialize<'de> for Handle {
///     fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
///         let object = carrier::import(u32::deserialize(from)?).map_err(de::Error::custom)?;
///         object.downcast().map(|name| Handle(*name)).map_err(|_| {
///             let error = mp_wire::Error::WrongKind { expected: "name".into(), found: "other".into() };
///             de::Error::custom(carrier::refuse(error))
///         })
///     }
/// }
///
/// let mut bytes = Vec::new();
/// let encoded = mp_wire::encode(&vec![Handle("a".into()), Handle("b".into())], &mut bytes)?;
/// assert_eq!(encoded.exports.len(), 2);
/// let back: Vec<Handle> = mp_wire::decode(encoded.codec, &bytes, encoded.exports)?;
/// assert_eq!(&*back[1].0, "b");
/// # Ok::<(), mp_wire::Error>(())
/// ```
pub fn export(object: Object) -> Result<u32> {
    // Whatever is refused must be dropped only after the stack is free again: its `Drop` may come back here.
    let mut object = Some(object);
    on_top(|frame| {
        let Cargo::Loading(objects) = &mut frame.cargo else { return Err(outside()) };
        let index = u32::try_from(objects.len()).map_err(|_| Error::LimitReached {
            limit: "handles in one message".to_owned(),
            detail: "a message holds at most 2^32 handles".to_owned(),
        })?;
        objects.extend(object.take());
        Ok(index)
    })
}

/// Takes the object at `index` out of the message that is being decoded.
///
/// For the `Deserialize` implementations of handles.
///
/// # Errors
///
/// [`Error::NotInCarrier`] outside of [`decode`](crate::decode), [`Error::Forged`] if the message has no such
/// object or it was taken already.
pub fn import(index: u32) -> Result<Object> {
    on_top(|frame| {
        let Cargo::Unloading(objects) = &mut frame.cargo else { return Err(outside()) };
        let count = objects.len();
        match usize::try_from(index).ok().and_then(|index| objects.get_mut(index)) {
            Some(slot) => {
                slot.take().ok_or_else(|| Error::Forged { what: format!("handle {index}, taken before") })
            }
            None => Err(Error::Forged { what: format!("handle {index} of a message that carries {count}") }),
        }
    })
}

/// Leaves `error` with the message that is being encoded or decoded, as the reason why that fails, and
/// returns it.
///
/// For handles that refuse to travel: `.map_err(|e| S::Error::custom(refuse(e)))`. [`export`] and [`import`]
/// do so for their own errors. Outside of a carrier it only returns the error.
pub fn refuse(error: Error) -> Error {
    // A thread whose locals are gone has no frame to leave it in; the caller still gets the error.
    let _ = FRAMES.try_with(|frames| {
        if let Some(frame) = frames.borrow_mut().last_mut() {
            frame.refusal = Some(error.clone());
        }
    });
    error
}

/// Like [`refuse`], but an earlier reason stays: for formats inside the message, which repeat the reason of a
/// handle.
#[cfg(any(feature = "json", feature = "cbor"))]
pub(crate) fn refuse_unless_refused(error: Error) -> Error {
    // As in `refuse`.
    let _ = FRAMES.try_with(|frames| {
        if let Some(frame) = frames.borrow_mut().last_mut() {
            frame.refusal.get_or_insert_with(|| error.clone());
        }
    });
    error
}

/// Runs `use_it` on the innermost frame and keeps its error there.
fn on_top<R>(use_it: impl FnOnce(&mut Frame) -> Result<R>) -> Result<R> {
    FRAMES
        .try_with(|frames| {
            let mut frames = frames.borrow_mut();
            let Some(frame) = frames.last_mut() else { return Err(outside()) };
            let result = use_it(frame);
            if let Err(error) = &result {
                frame.refusal = Some(error.clone());
            }
            result
        })
        .unwrap_or_else(|_| Err(outside()))
}

fn outside() -> Error {
    Error::NotInCarrier { what: "a handle".to_owned() }
}

/// What a finished frame leaves.
pub(crate) struct Unpacked<R> {
    pub(crate) result: R,
    pub(crate) exports: Vec<Object>,
    pub(crate) refusal: Option<Error>,
}

/// Runs `work` with a frame that takes exports.
pub(crate) fn loading<R>(work: impl FnOnce() -> R) -> Result<Unpacked<R>> {
    within(Cargo::Loading(Vec::new()), work)
}

/// Runs `work` with a frame that gives out `imports`. What is left over is dropped.
pub(crate) fn unloading<R>(imports: Vec<Object>, work: impl FnOnce() -> R) -> Result<Unpacked<R>> {
    within(Cargo::Unloading(imports.into_iter().map(Some).collect()), work)
}

fn within<R>(cargo: Cargo, work: impl FnOnce() -> R) -> Result<Unpacked<R>> {
    let frame = Frame { cargo, refusal: None };
    FRAMES
        .try_with(|frames| frames.borrow_mut().push(frame))
        .map_err(|_| Error::NotInCarrier { what: "a message of a thread that is ending".to_owned() })?;
    let pushed = Pushed { here: true };
    let result = work();
    Ok(match pushed.pop() {
        Some(Frame { cargo: Cargo::Loading(exports), refusal }) => Unpacked { result, exports, refusal },
        Some(Frame { cargo: Cargo::Unloading(_), refusal }) => {
            Unpacked { result, exports: Vec::new(), refusal }
        }
        None => Unpacked { result, exports: Vec::new(), refusal: None },
    })
}

/// Takes the frame away, also when the work panics.
struct Pushed {
    here: bool,
}

impl Pushed {
    fn pop(mut self) -> Option<Frame> {
        self.here = false;
        pop()
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        if self.here {
            drop(pop());
        }
    }
}

/// The frame is handed out, and dropped outside of the borrow: the handles in it may come back here when they
/// drop.
fn pop() -> Option<Frame> {
    FRAMES.try_with(|frames| frames.borrow_mut().pop()).ok().flatten()
}

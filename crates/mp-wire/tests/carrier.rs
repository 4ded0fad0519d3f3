//! Handles travel inside messages and nowhere else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mp_wire::{Codec, Encoded, Error, carrier, decode, encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A handle to a counter in this process. What crosses is the `Arc`.
#[derive(Clone, Debug)]
struct Handle(Arc<AtomicUsize>);

impl Handle {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        carrier::export(Box::new(self.0.clone())).map_err(ser::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = carrier::import(u32::deserialize(from)?).map_err(de::Error::custom)?;
        match object.downcast() {
            Ok(counter) => Ok(Handle(*counter)),
            Err(_) => {
                let error = Error::WrongKind { expected: "counter".into(), found: "something else".into() };
                Err(de::Error::custom(carrier::refuse(error)))
            }
        }
    }
}

fn encoded<T: mp_wire::Message>(value: &T) -> (Vec<u8>, Encoded) {
    let mut bytes = Vec::new();
    let encoded = encode(value, &mut bytes).unwrap();
    (bytes, encoded)
}

#[test]
fn handles_arrive_as_the_same_object_in_order() {
    let (first, second) = (Handle::new(), Handle::new());
    let (bytes, encoded) =
        encoded(&vec![Some(first.clone()), None, Some(second.clone()), Some(first.clone())]);
    assert_eq!(encoded.codec, Codec::Postcard);
    assert_eq!(encoded.exports.len(), 3);
    let back: Vec<Option<Handle>> = decode(encoded.codec, &bytes, encoded.exports).unwrap();
    back[2].as_ref().unwrap().0.store(7, Ordering::Relaxed);
    assert_eq!(second.0.load(Ordering::Relaxed), 7);
    assert!(Arc::ptr_eq(&back[3].as_ref().unwrap().0, &first.0));
}

#[test]
fn no_carrier_no_handle() {
    assert!(matches!(carrier::export(Box::new(())), Err(Error::NotInCarrier { .. })));
    assert!(matches!(carrier::import(0), Err(Error::NotInCarrier { .. })));
    let refused = postcard::to_stdvec(&Handle::new());
    assert!(refused.is_err());
}

#[test]
fn a_forged_index_is_refused_by_name() {
    for index in [1_u32, 2, u32::MAX] {
        let bytes = postcard::to_stdvec(&index).unwrap();
        let error = decode::<Handle>(Codec::Postcard, &bytes, vec![Box::new(Handle::new().0)]).unwrap_err();
        assert!(matches!(&error, Error::Forged { what } if what.contains("carries 1")), "{error}");
    }
}

#[test]
fn an_index_gives_its_object_once() {
    let bytes = postcard::to_stdvec(&(0_u32, 0_u32)).unwrap();
    let error = decode::<(Handle, Handle)>(Codec::Postcard, &bytes, vec![Box::new(Handle::new().0)]);
    assert!(matches!(error, Err(Error::Forged { .. })));
}

#[test]
fn the_handles_own_error_is_what_the_caller_gets() {
    let bytes = postcard::to_stdvec(&0_u32).unwrap();
    let error = decode::<Handle>(Codec::Postcard, &bytes, vec![Box::new("no counter")]).unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
}

#[test]
fn what_is_not_imported_is_dropped() {
    let handle = Handle::new();
    let exports: Vec<Box<dyn Any + Send>> = vec![Box::new(handle.0.clone()), Box::new(handle.0.clone())];
    let bytes = postcard::to_stdvec(&0_u32).unwrap();
    let back: Handle = decode(Codec::Postcard, &bytes, exports).unwrap();
    assert_eq!(handle.holders(), 2);
    drop(back);
    assert_eq!(handle.holders(), 1);
    // A plain value takes none.
    decode::<u8>(Codec::Plain, &[1], vec![Box::new(handle.0.clone())]).unwrap();
    assert_eq!(handle.holders(), 1);
}

/// Exports a handle and then does something bad.
#[derive(Deserialize)]
struct Bad {
    handle: Handle,
    #[serde(skip)]
    panics: bool,
}

impl Serialize for Bad {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let _ = self.handle.serialize(to)?;
        assert!(!self.panics, "in the middle of a message");
        Err(ser::Error::custom(carrier::refuse(Error::Unsupported { what: "half a message".into() })))
    }
}

#[test]
fn a_failed_encode_leaves_nothing_behind() {
    let bad = Bad { handle: Handle::new(), panics: false };
    let mut bytes = b"before".to_vec();
    let error = encode(&bad, &mut bytes).unwrap_err();
    assert_eq!(error, Error::Unsupported { what: "half a message".into() });
    assert_eq!(bytes, b"before");
    assert_eq!(bad.handle.holders(), 1);
}

#[test]
fn a_panic_takes_its_frame_along() {
    let bad = Bad { handle: Handle::new(), panics: true };
    assert!(catch_unwind(AssertUnwindSafe(|| encode(&bad, &mut Vec::new()))).is_err());
    assert_eq!(bad.handle.holders(), 1);
    assert!(matches!(carrier::export(Box::new(())), Err(Error::NotInCarrier { .. })));
}

/// A value that sends a message of its own while it is being encoded, and its content after that.
#[derive(Debug)]
struct Nesting {
    inner: Handle,
    outer: Handle,
}

impl Serialize for Nesting {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let before = carrier::export(Box::new(self.outer.0.clone())).map_err(ser::Error::custom)?;
        let (bytes, encoded) = encoded(&(self.inner.clone(), self.inner.clone()));
        assert_eq!(encoded.exports.len(), 2);
        decode::<(Handle, Handle)>(encoded.codec, &bytes, encoded.exports).map_err(ser::Error::custom)?;
        assert!(
            matches!(carrier::import(0), Err(Error::NotInCarrier { .. })),
            "the frame around takes exports only"
        );
        let after = carrier::export(Box::new(self.outer.0.clone())).map_err(ser::Error::custom)?;
        (before, after).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Nesting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (inner, outer) = Deserialize::deserialize(from)?;
        assert!(matches!(carrier::export(Box::new(())), Err(Error::NotInCarrier { .. })));
        Ok(Nesting { inner, outer })
    }
}

#[test]
fn a_message_made_inside_a_message_has_its_own_frame() {
    let nesting = Nesting { inner: Handle::new(), outer: Handle::new() };
    let (bytes, encoded) = encoded(&nesting);
    assert_eq!(encoded.exports.len(), 2);
    assert_eq!(bytes, [0, 1]);
    assert_eq!((nesting.inner.holders(), nesting.outer.holders()), (1, 3));
    let back: Nesting = decode(encoded.codec, &bytes, encoded.exports).unwrap();
    assert!(Arc::ptr_eq(&back.inner.0, &nesting.outer.0));
}

/// An object whose drop uses the carrier, as a handle's drop may.
struct Reentrant;

impl Drop for Reentrant {
    fn drop(&mut self) {
        assert!(encode(&(1_u8, 'a'), &mut Vec::new()).is_ok());
        assert!(matches!(carrier::export(Box::new(())), Err(Error::NotInCarrier { .. })));
    }
}

#[test]
fn objects_may_use_the_carrier_while_they_are_dropped() {
    decode::<(u8,)>(Codec::Postcard, &[1], vec![Box::new(Reentrant)]).unwrap();
    assert!(decode::<(u8, u8)>(Codec::Postcard, &[1], vec![Box::new(Reentrant)]).is_err());
    assert!(carrier::export(Box::new(Reentrant)).is_err());
    assert!(decode::<u8>(Codec::Plain, &[], vec![Box::new(Reentrant)]).is_err());
}

#[cfg(feature = "json")]
#[test]
fn handles_inside_json_are_exported_into_the_message_around() {
    let handle = Handle::new();
    let (bytes, encoded) = encoded(&(handle.clone(), mp_wire::Json(vec![handle.clone()])));
    assert_eq!(encoded.exports.len(), 2);
    let (one, many): (Handle, mp_wire::Json<Vec<Handle>>) =
        decode(encoded.codec, &bytes, encoded.exports).unwrap();
    assert!(Arc::ptr_eq(&one.0, &many[0].0));
    assert!(matches!(
        decode::<(Handle, mp_wire::Json<Vec<Handle>>)>(Codec::Postcard, &bytes, vec![Box::new(handle.0)]),
        Err(Error::Forged { .. })
    ));
}

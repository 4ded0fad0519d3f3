//! Whatever numbers of handles a value holds, each thing that travels with it arrives once at most, and none is lost.

#![no_main]

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_wire::{Cbor, Codec, Error, Json, carrier, decode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

struct Handle(Arc<()>);

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = carrier::import(u32::deserialize(from)?).map_err(de::Error::custom)?;
        object.downcast().map(|it| Handle(*it)).map_err(|_| {
            let error = Error::WrongKind { expected: "this".into(), found: "that".into() };
            de::Error::custom(carrier::refuse(error))
        })
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not written here"))
    }
}

trait Count {
    fn count(&self) -> usize;
}
impl Count for Handle {
    fn count(&self) -> usize {
        assert!(Arc::strong_count(&self.0) >= 2, "the original and this one");
        1
    }
}
impl<T: Count> Count for Vec<T> {
    fn count(&self) -> usize {
        self.iter().map(Count::count).sum()
    }
}
impl<T: Count> Count for Option<T> {
    fn count(&self) -> usize {
        self.iter().map(Count::count).sum()
    }
}
impl<T: Count> Count for BTreeMap<u16, T> {
    fn count(&self) -> usize {
        self.values().map(Count::count).sum()
    }
}
impl<T: Count> Count for (T, Option<T>) {
    fn count(&self) -> usize {
        self.0.count() + self.1.count()
    }
}
impl<T: Count> Count for Json<T> {
    fn count(&self) -> usize {
        self.0.count()
    }
}
impl<T: Count> Count for Cbor<T> {
    fn count(&self) -> usize {
        self.0.count()
    }
}

fn check<T: mp_wire::Message + Count>(bytes: &[u8], imports: usize) {
    let things: Vec<Arc<()>> = (0..imports).map(|_| Arc::new(())).collect();
    // One in three is something else than this handle takes.
    let travel = things.iter().enumerate().map(|(i, thing)| -> Box<dyn Any + Send> {
        if i % 3 == 2 { Box::new(7_u8) } else { Box::new(thing.clone()) }
    });
    let travel: Vec<_> = travel.collect();
    match bounded(bytes.len(), || decode::<T>(Codec::Postcard, bytes, travel)) {
        Ok(value) => {
            let arrived = things.iter().filter(|thing| Arc::strong_count(thing) > 1).count();
            assert_eq!(value.count(), arrived, "each arrived once");
        }
        Err(Error::Decode { .. } | Error::Forged { .. } | Error::WrongKind { .. }) => {}
        Err(other) => panic!("an error of another kind: {other:?}"),
    }
    assert!(things.iter().all(|thing| Arc::strong_count(thing) == 1), "all are let go");
}

// The first byte chooses the type, the second how many things travel along.
fuzz_target!(|bytes: &[u8]| {
    let [which, imports, bytes @ ..] = bytes else { return };
    let imports = usize::from(*imports % 9);
    match which % 5 {
        0 => check::<Handle>(bytes, imports),
        1 => check::<Vec<Handle>>(bytes, imports),
        2 => check::<BTreeMap<u16, (Handle, Option<Handle>)>>(bytes, imports),
        3 => check::<Json<Vec<Handle>>>(bytes, imports),
        _ => check::<(Cbor<Vec<Handle>>, Option<Cbor<Vec<Handle>>>)>(bytes, imports),
    }
});

//! Any bytes either are a value, which then survives being sent on, or are refused.

#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_wire::{Cbor, Codec, Error, Failure, Json, Message, PanicReport, decode, encode};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f32 },
    Path(Vec<(i16, char)>),
    Named(String, Option<bool>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Text(String),
    List(Vec<bool>),
}

fn check<T: Message>(codec: Codec, bytes: &[u8]) {
    if let Ok(value) = bounded(bytes.len(), || decode::<T>(codec, bytes, Vec::new())) {
        let mut again = Vec::new();
        let encoded = encode(&value, &mut again).expect("what was decoded can be encoded");
        assert_eq!(encoded.codec, codec);
        assert!(decode::<T>(codec, &again, encoded.exports).is_ok());
    }
}

macro_rules! check_one_of {
    ($which:expr, $codec:expr, $bytes:expr; $($type:ty),* $(,)?) => {{
        let checks: &[fn(Codec, &[u8])] = &[$(check::<$type>),*];
        checks[usize::from($which) % checks.len()]($codec, $bytes);
    }};
}

// The first byte chooses the type, the second the codec.
fuzz_target!(|bytes: &[u8]| {
    let [which, codec, bytes @ ..] = bytes else { return };
    let Ok(codec) = Codec::try_from(codec % 2) else { return };
    check_one_of!(
        *which, codec, bytes;
        bool, char, u32, i128, f64, String, Vec<u8>, Vec<f32>, Vec<u128>, Box<[u8]>,
        Vec<String>, Vec<Vec<Vec<u32>>>, (u8, char, Vec<bool>), [u16; 5], HashMap<u8, Shape>, BTreeMap<char, Vec<Shape>>,
        PathBuf, Duration, SystemTime, Error, Failure, PanicReport, Json<Vec<Loose>>, Cbor<Vec<Loose>>,
    );
});

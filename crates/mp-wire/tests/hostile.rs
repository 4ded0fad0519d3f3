//! Bytes that no `encode` wrote: an error, never a panic, whatever they are.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mp_wire::{Codec, Error, Message, decode, encode};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
enum Tree {
    Leaf(char),
    Fork(Vec<Option<(u32, String)>>, bool),
    Map { map: HashMap<String, BTreeMap<u8, f32>> },
}

/// Whether the bytes are refused as such.
fn refused<T: Message>(codec: Codec, bytes: &[u8]) -> bool {
    match decode::<T>(codec, bytes, Vec::new()) {
        Ok(_) => false,
        Err(Error::Decode { type_name, .. }) => {
            assert_eq!(type_name, std::any::type_name::<T>());
            true
        }
        Err(other) => panic!("an error of another kind: {other:?}"),
    }
}

macro_rules! survives {
    ($bytes:expr; $($type:ty),* $(,)?) => { $(
        for codec in [Codec::Plain, Codec::Postcard] {
            refused::<$type>(codec, $bytes);
        }
    )* };
}

fn pair() -> impl Strategy<Value = (u16, String)> {
    (any::<u16>(), "\\PC{0,12}")
}

fn tail() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives!(
            &bytes;
            (), bool, char, u8, u64, i128, f64, String, Vec<u8>, Vec<i16>, Vec<f64>, Vec<u128>, Box<[u8]>,
            Option<String>, Vec<String>, (u8, char, Vec<bool>), [u16; 5], Vec<Vec<Vec<u32>>>, Tree, Vec<Tree>,
            PathBuf, Duration, SystemTime, Result<u8, String>, HashMap<char, Tree>,
            Error, mp_wire::Failure, mp_wire::PanicReport,
        );
    }

    #[test]
    fn damaged_bytes_never_panic(
        words in proptest::collection::vec((any::<u32>(), "\\PC{0,12}", any::<Option<char>>()), 0..12),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        length in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        encode(&words, &mut bytes).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        refused::<Vec<(u32, String, Option<char>)>>(Codec::Postcard, &bytes);
        bytes.truncate(length.index(bytes.len()));
        refused::<Vec<(u32, String, Option<char>)>>(Codec::Postcard, &bytes);
    }

    #[test]
    fn trailing_bytes_are_refused(value in pair(), tail in tail()) {
        let mut bytes = Vec::new();
        encode(&value, &mut bytes).unwrap();
        bytes.extend(tail);
        prop_assert!(refused::<(u16, String)>(Codec::Postcard, &bytes));
    }

    #[test]
    fn missing_bytes_are_refused(value in pair(), missing in any::<proptest::sample::Index>()) {
        let mut bytes = Vec::new();
        encode(&value, &mut bytes).unwrap();
        bytes.truncate(missing.index(bytes.len()));
        prop_assert!(refused::<(u16, String)>(Codec::Postcard, &bytes));
    }
}

#[test]
fn plain_values_have_exactly_their_bytes() {
    assert!(refused::<u32>(Codec::Plain, &[0; 3]));
    assert!(refused::<u32>(Codec::Plain, &[0; 5]));
    assert!(refused::<()>(Codec::Plain, &[0]));
    assert!(refused::<bool>(Codec::Plain, &[]));
    assert!(refused::<bool>(Codec::Plain, &[0, 0]));
    assert!(refused::<Vec<f64>>(Codec::Plain, &[0; 12]));
    assert!(!refused::<Vec<f64>>(Codec::Plain, &[0; 16]));
}

#[test]
fn values_that_their_type_does_not_have() {
    assert!(refused::<bool>(Codec::Plain, &[2]));
    assert!(refused::<char>(Codec::Plain, &0xD800_u32.to_le_bytes()));
    assert!(refused::<char>(Codec::Plain, &u32::MAX.to_le_bytes()));
    assert!(refused::<String>(Codec::Plain, &[0xC3]));
    assert!(refused::<Option<bool>>(Codec::Postcard, &[1, 2]));
    assert!(refused::<Option<bool>>(Codec::Postcard, &[2]));
    assert!(refused::<(String,)>(Codec::Postcard, &[1, 0xFF]));
    assert!(refused::<Tree>(Codec::Postcard, &[9]));
}

#[test]
fn the_codec_must_be_the_types_own() {
    assert!(refused::<u8>(Codec::Postcard, &[1]));
    assert!(refused::<String>(Codec::Postcard, &[1, b'a']));
    assert!(refused::<(u8,)>(Codec::Plain, &[1]));
    assert!(!refused::<(u8,)>(Codec::Postcard, &[1]));
}

#[test]
fn failures_inside_failures_end_before_the_stack_does() {
    // Each level of `Failed(Failure { source: Some(..) })` is the variant, two empty texts, an empty chain,
    // and `Some`.
    let failed = {
        let mut bytes = Vec::new();
        encode(&Error::Failed(mp_wire::Failure::default()), &mut bytes).unwrap();
        bytes[0]
    };
    let bytes: Vec<u8> = [failed, 0, 0, 0, 1].into_iter().cycle().take(5_000_000).collect();
    assert!(refused::<Error>(Codec::Postcard, &bytes));
}

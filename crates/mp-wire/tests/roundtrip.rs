//! What goes in comes out, bit for bit, behind whatever stood in the buffer before.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use mp_wire::{Codec, Message, decode, encode};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Encodes behind a prefix, decodes, and returns the codec and the bytes of the value.
fn there_and_back<T: Message>(value: &T) -> (Codec, Vec<u8>, T) {
    let mut buffer = b"before".to_vec();
    let encoded = encode(value, &mut buffer).unwrap();
    assert_eq!(&buffer[..6], b"before");
    assert!(encoded.exports.is_empty());
    let bytes = buffer.split_off(6);
    let back = decode(encoded.codec, &bytes, encoded.exports).unwrap();
    (encoded.codec, bytes, back)
}

/// Plain data comes back as the same bytes, too: equality alone would let a NaN lose its payload.
fn plain<T: Message>(value: T) -> Result<(), TestCaseError> {
    let (codec, bytes, back) = there_and_back(&value);
    prop_assert_eq!(codec, Codec::Plain);
    let (_, again, _) = there_and_back(&back);
    prop_assert_eq!(bytes, again);
    Ok(())
}

fn same<T: Message + PartialEq + Debug>(value: T, expected: Codec) -> Result<(), TestCaseError> {
    let (codec, _, back) = there_and_back(&value);
    prop_assert_eq!(codec, expected);
    prop_assert_eq!(back, value);
    Ok(())
}

macro_rules! numbers_roundtrip {
    ($($number:ident),*) => { $(
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(32))]

            #[test]
            fn $number(one in any::<$number>(), many in proptest::collection::vec(any::<$number>(), 0..400)) {
                prop_assert_eq!(one.to_le_bytes().to_vec(), there_and_back(&one).1);
                let flat: Vec<u8> = many.iter().flat_map(|number| number.to_le_bytes()).collect();
                prop_assert_eq!(flat, there_and_back(&many).1);
                plain(one)?;
                plain(many)?;
            }
        }
    )* };
}

mod numbers {
    use super::*;
    numbers_roundtrip!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle { radius: f64 },
    Polygon(Vec<(i32, i32)>),
    Named(String, Box<Shape>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Drawing {
    title: Option<String>,
    shapes: Vec<Shape>,
    layers: BTreeMap<String, Vec<u8>>,
    created: Duration,
    tags: HashSet<char>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        (-1e9..1e9).prop_map(|radius| Shape::Circle { radius }),
        proptest::collection::vec(any::<(i32, i32)>(), 0..20).prop_map(Shape::Polygon),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        (".{0,12}", inner).prop_map(|(name, inner)| Shape::Named(name, Box::new(inner)))
    })
}

fn drawing() -> impl Strategy<Value = Drawing> {
    (
        proptest::option::of(".{0,20}"),
        proptest::collection::vec(shape(), 0..10),
        proptest::collection::btree_map(".{0,8}", any::<Vec<u8>>(), 0..5),
        any::<Duration>(),
        proptest::collection::hash_set(any::<char>(), 0..10),
    )
        .prop_map(|(title, shapes, layers, created, tags)| Drawing {
            title,
            shapes,
            layers,
            created,
            tags,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn floats(bits in any::<u64>(), many in proptest::collection::vec(any::<u64>(), 0..400)) {
        plain(f64::from_bits(bits))?;
        plain(f32::from_bits(bits as u32))?;
        plain(many.iter().map(|bits| f64::from_bits(*bits)).collect::<Vec<_>>())?;
        plain(many.iter().map(|bits| f32::from_bits(*bits as u32)).collect::<Vec<_>>())?;
    }

    #[test]
    fn text(character in any::<char>(), string in any::<String>(), flag in any::<bool>()) {
        same(character, Codec::Plain)?;
        same(string, Codec::Plain)?;
        same(flag, Codec::Plain)?;
        same((), Codec::Plain)?;
    }

    #[test]
    fn bytes(bytes in any::<Vec<u8>>()) {
        same(bytes.clone().into_boxed_slice(), Codec::Plain)?;
        same(bytes, Codec::Plain)?;
    }

    #[test]
    fn nested_values(drawing in drawing()) {
        same(Some(drawing.clone()), Codec::Postcard)?;
        same(drawing, Codec::Postcard)?;
    }

    #[test]
    fn standard_types(
        tuple in any::<(u8, i128, Option<String>, Result<bool, char>)>(),
        map in proptest::collection::hash_map(any::<u16>(), proptest::collection::vec("\\PC{0,9}", 0..4), 0..8),
        array in any::<[i64; 4]>(),
    ) {
        same(tuple, Codec::Postcard)?;
        same(map, Codec::Postcard)?;
        same(array, Codec::Postcard)?;
    }
}

#[test]
fn lengths_around_the_copying_block() {
    for length in [0, 1, 127, 128, 129, 255, 256, 257, 10_000] {
        let numbers: Vec<f64> = (0..length).map(f64::from).collect();
        assert_eq!(there_and_back(&numbers).2, numbers);
    }
}

#[test]
fn codec_numbers() {
    for codec in [Codec::Plain, Codec::Postcard] {
        assert_eq!(Codec::try_from(u8::from(codec)), Ok(codec));
    }
    assert!(Codec::try_from(2).is_err());
}

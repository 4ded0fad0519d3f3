//! Types that postcard cannot read back: caught where they are sent, and served by the wrappers.

use std::collections::BTreeMap;

use mp_wire::{Error, Message, encode};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    width: u32,
}

fn flat() -> Flat {
    Flat { name: "bob".into(), rest: [("a".to_owned(), 1), ("b".to_owned(), 2)].into() }
}

fn refusal<T: Message>(value: &T) -> Error {
    let mut bytes = b"before".to_vec();
    let error = encode(value, &mut bytes).unwrap_err();
    assert_eq!(bytes, b"before");
    error
}

fn suggests_a_wrapper<T: Message>(value: &T) {
    match refusal(value) {
        Error::Encode { type_name, detail } => {
            assert_eq!(type_name, std::any::type_name::<T>());
            assert!(detail.contains("Json") && detail.contains("Cbor"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_postcard_cannot_write_is_refused_always() {
    suggests_a_wrapper(&flat());
}

#[cfg(debug_assertions)]
#[test]
fn what_postcard_cannot_read_back_is_refused_in_debug_builds() {
    suggests_a_wrapper(&Untagged::Text("a".into()));
    suggests_a_wrapper(&vec![Tagged::Circle { radius: 1.0 }]);
    suggests_a_wrapper(&(1_u8, Skipping::default()));
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_text_is_told_how_to_travel() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let name = OsStr::from_bytes(b"\xFF");
    let error = refusal(&std::path::PathBuf::from(name));
    assert!(error.to_string().contains("OsString"), "{error}");
    let mut bytes = Vec::new();
    let encoded = encode(&name.to_owned(), &mut bytes).unwrap();
    assert_eq!(mp_wire::decode::<OsString>(encoded.codec, &bytes, encoded.exports).unwrap(), name);
}

#[cfg(any(feature = "json", feature = "cbor"))]
macro_rules! wrapper_serves {
    ($module:ident, $wrapper:ident) => {
        mod $module {
            use mp_wire::{Codec, Error, decode, encode, $wrapper};

            use super::*;

            fn serves<T: Message + PartialEq + std::fmt::Debug + Clone>(value: T) {
                let mut bytes = Vec::new();
                let message = ("around".to_owned(), $wrapper(value.clone()), 7_u8);
                let encoded = encode(&message, &mut bytes).unwrap();
                let back: (String, $wrapper<T>, u8) = decode(encoded.codec, &bytes, encoded.exports).unwrap();
                assert_eq!(back, message);
                assert_eq!(back.1.into_inner(), value);
            }

            #[test]
            fn serves_what_postcard_cannot() {
                serves(Untagged::Number(3));
                serves(Untagged::Text("three".into()));
                serves(Tagged::Square { side: 0.1 });
                serves(flat());
                serves(Skipping { depth: None, width: 3 });
                serves(vec![f64::MIN_POSITIVE, f64::MAX, -0.0, 0.1 + 0.2]);
            }

            #[test]
            fn serves_itself_inside_itself() {
                serves($wrapper($wrapper(flat())));
            }

            #[test]
            fn names_what_it_cannot_read() {
                let mut bytes = Vec::new();
                encode(&$wrapper("text".to_owned()), &mut bytes).unwrap();
                match decode::<$wrapper<Vec<u8>>>(Codec::Postcard, &bytes, Vec::new()) {
                    Err(Error::Decode { type_name, detail }) => {
                        assert!(type_name.contains("Vec<u8>"), "{type_name}");
                        assert!(detail.contains("text") || detail.contains("string"), "{detail}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    };
}

#[cfg(feature = "json")]
wrapper_serves!(json, Json);
#[cfg(feature = "cbor")]
wrapper_serves!(cbor, Cbor);

#[cfg(feature = "json")]
#[test]
fn json_names_what_it_cannot_write() {
    let error = refusal(&mp_wire::Json(BTreeMap::from([((1, 2), 3)])));
    assert!(matches!(&error, Error::Encode { detail, .. } if detail.contains("key")), "{error}");
}

#[cfg(feature = "json")]
#[test]
fn json_carries_any_json() {
    let value: serde_json::Value = serde_json::from_str(r#"{"a": [1, null, "x", {"b": 1.5}]}"#).unwrap();
    let mut bytes = Vec::new();
    let encoded = encode(&mp_wire::Json(value.clone()), &mut bytes).unwrap();
    let back: mp_wire::Json<serde_json::Value> =
        mp_wire::decode(encoded.codec, &bytes, encoded.exports).unwrap();
    assert_eq!(back.into_inner(), value);
    #[cfg(debug_assertions)]
    suggests_a_wrapper(&value);
}

//! What a function that runs in another process may return.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::fmt::Display;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize, NonZeroU8, NonZeroU16,
    NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize,
};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::{Failure, Message};

/// A type that a function may return from another process.
///
/// That is a value, or a `Result` whose error is anything that can be displayed. The two cannot be told apart
/// by serde's traits alone (a `Result` is itself serialisable), so values of your own types say what they
/// are, by `#[derive(mp::Output)]` or [`output_by_value!`](crate::output_by_value), or by being returned as
/// `mp::Result<YourType>`.
///
/// # Examples
///
/// ```
/// use mp_wire::Output;
///
/// assert_eq!(3_u8.into_result(), Ok(3));
///
/// let failed: Result<u8, String> = Err("no such luck".to_owned());
/// assert_eq!(failed.into_result().unwrap_err().message, "no such luck");
/// ```
///
/// ```compile_fail,E0277
/// fn returns<T: mp_wire::Output>(_: fn() -> T) {}
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Mine;
/// returns(|| Mine);
/// ```
#[diagnostic::on_unimplemented(
    message = "a function in another process cannot return `{Self}`",
    label = "not an `Output`",
    note = "return `mp::Result<{Self}>`, or put `#[derive(mp::Output)]` on your type",
    note = "an error type only needs `Display`, a value needs serde's `Serialize` and `Deserialize`"
)]
pub trait Output: 'static {
    /// What arrives if all goes well.
    type Value: Message;

    /// The value, or what is to be told about the error.
    ///
    /// # Errors
    ///
    /// The error of the function, [captured](Failure::capture).
    fn into_result(self) -> Result<Self::Value, Failure>;
}

impl<T: Message, E: Display + 'static> Output for Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T, Failure> {
        self.map_err(Failure::capture)
    }
}

/// Lets functions in other processes return these types as values.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Point { x: f64, y: f64 }
/// mp_wire::output_by_value!(Point);
/// ```
#[macro_export]
macro_rules! output_by_value {
    ($($type:ty),+ $(,)?) => { $(
        impl $crate::Output for $type {
            type Value = Self;

            fn into_result(self) -> ::core::result::Result<Self, $crate::Failure> {
                ::core::result::Result::Ok(self)
            }
        }
    )+ };
}

output_by_value!((), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);
output_by_value!(String, Box<str>, CString, OsString, PathBuf, Duration, SystemTime);
output_by_value!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6);
output_by_value!(NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroIsize);
output_by_value!(NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroU128, NonZeroUsize);

/// The same for generic types: `[parameters] Type where bounds`.
macro_rules! generic_output_by_value {
    ($([$($parameters:tt)*] $type:ty $(where { $($bounds:tt)+ })?;)+) => { $(
        impl<$($parameters)*> Output for $type $(where $($bounds)+)? {
            type Value = Self;

            fn into_result(self) -> Result<Self, Failure> {
                Ok(self)
            }
        }
    )+ };
}

generic_output_by_value! {
    [T: Message] Option<T>;
    [T: Message] Box<T>;
    [T: Message] Box<[T]>;
    [T: Message] Vec<T>;
    [T: Message] VecDeque<T>;
    [T: Message] LinkedList<T>;
    [T: Message + Ord] BinaryHeap<T>;
    [T: Message + Ord] BTreeSet<T>;
    [K: Message + Ord, V: Message] BTreeMap<K, V>;
    [T: Message + Eq + Hash, S: BuildHasher + Default + 'static] HashSet<T, S>;
    [K: Message + Eq + Hash, V: Message, S: BuildHasher + Default + 'static] HashMap<K, V, S>;
    [T: 'static, const N: usize] [T; N] where { [T; N]: Message };
}

/// Tuples of as many elements as there are names, and all shorter ones.
macro_rules! tuple_output_by_value {
    () => {};
    ($first:ident $($rest:ident)*) => {
        generic_output_by_value! { [$first: Message, $($rest: Message),*] ($first, $($rest,)*); }
        tuple_output_by_value!($($rest)*);
    };
}

tuple_output_by_value!(A B C D E F G H I J K L);

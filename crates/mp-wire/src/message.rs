//! What may be sent.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can travel between processes: anything that serde can write and read back without borrowing.
///
/// There is nothing to implement: `#[derive(Serialize, Deserialize)]` is enough. Handles of the mp crates are
/// messages too, alone or inside other values.
///
/// ```
/// fn sendable<T: mp_wire::Message>() {}
/// sendable::<Vec<(String, Option<f64>)>>();
/// ```
///
/// ```compile_fail,E0277
/// fn sendable<T: mp_wire::Message>() {}
/// sendable::<&'static std::thread::Thread>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between processes",
    label = "not a message",
    note = "a message owns its data and implements serde's traits: `#[derive(Serialize, Deserialize)]`"
)]
pub trait Message: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Message for T {}

//! A handle of some shared object, of whatever kind.

use serde::{Deserialize, Serialize};

use crate::{Any, Dict, List};

/// A shared object inside an [`Any`]: what Python sees as a proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Handle {
    /// A shared dict.
    Dict(Dict<Any, Any>),
    /// A shared list.
    List(List<Any>),
}

impl Handle {
    /// What Python calls the type of the object.
    pub fn type_name(&self) -> &'static str {
        match self {
            Handle::Dict(_) => "dict",
            Handle::List(_) => "list",
        }
    }
}

//! What may lie in a mutex: [`mp_session::Shared`], by the name that this crate's own code has for it.

pub use mp_session::Shared as Plain;

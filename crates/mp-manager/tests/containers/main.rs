//! What the containers do, beside std's, which are known to be right.

mod dict;
mod list;
mod others;

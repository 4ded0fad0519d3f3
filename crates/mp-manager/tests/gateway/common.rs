//! What the tests share.

use std::time::{Duration, Instant};

use mp_manager::gateway::Address;
use mp_manager::{Gateway, Manager, RemoteManager};

pub(crate) const KEY: &str = "open sesame";

/// An address that any system has.
pub(crate) fn anywhere() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

/// A gateway and a client of it.
pub(crate) fn both() -> (Gateway, RemoteManager) {
    let gateway = Gateway::bind(anywhere(), KEY).unwrap();
    let manager = Manager::connect(gateway.address().clone(), KEY).unwrap();
    (gateway, manager)
}

/// Waits until it is so.
pub(crate) fn soon(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `MP_TEST_ROUNDS`, else so many.
pub(crate) fn rounds(otherwise: u32) -> u32 {
    std::env::var("MP_TEST_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(otherwise)
}

//! Links with other programs: what they promise, between threads of one process, and with every CPython that is here.

#[path = "strangers/cpython.rs"]
mod cpython;
#[path = "strangers/links.rs"]
mod links;
#[path = "strangers/listeners.rs"]
mod listeners;
#[cfg(feature = "tls-ring")]
#[path = "strangers/tls.rs"]
mod tls;

use std::time::Duration;

use mp_pipe::{Address, Client, Link, Listener};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

/// One address of each kind that this system has.
fn addresses() -> Vec<Address> {
    let mut all = vec![Address::tcp(("127.0.0.1", 0)).unwrap(), Address::unused().unwrap()];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        all.push("[::1]:0".parse().unwrap());
    } else {
        println!("skipped: TCP version 6 (this machine has none)");
    }
    if cfg!(target_os = "linux") {
        all.push(format!("@mp-pipe-test-{}-{}", std::process::id(), bytes_of(1, 9)[8]).parse().unwrap());
    }
    all
}

/// The two ends of a connection over TCP.
fn over_tcp() -> (Link, Link) {
    let listener = Listener::builder().bind(Address::tcp(("127.0.0.1", 0)).unwrap()).unwrap();
    let ours = Client::new().timeout(PATIENCE).connect(listener.address()).unwrap();
    (ours, listener.accept_timeout(PATIENCE).unwrap())
}

//! Links under TLS: a client that checks the listener's certificate, and the key besides.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mp_pipe::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use mp_pipe::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use mp_pipe::{Address, Client, Error, Link, Listener};

use super::{PATIENCE, bytes_of};

const KEY: &[u8] = b"a key";

/// A certificate for `localhost` and its key, and a client that believes who signed it; made for these tests, for a hundred years.
fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let certificate = CertificateDer::from(&include_bytes!("localhost.der")[..]);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(&include_bytes!("localhost.key.der")[..]));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(&include_bytes!("root.der")[..])).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let server =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (
        Arc::new(server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()),
        Arc::new(client.with_root_certificates(roots).with_no_client_auth()),
    )
}

fn listener() -> Listener {
    let address = Address::tcp(("127.0.0.1", 0)).unwrap();
    let builder = Listener::builder().authkey(KEY).handshake_timeout(Duration::from_secs(1));
    builder.tls(configs().0).bind(address).unwrap()
}

fn connected() -> (Link, Link) {
    let listener = listener();
    let client = Client::new().authkey(KEY).timeout(PATIENCE).tls(configs().1, "localhost");
    let address = listener.address().clone();
    let ours = thread::spawn(move || client.connect(address).unwrap());
    let theirs = listener.accept_timeout(PATIENCE).unwrap();
    (ours.join().unwrap(), theirs)
}

#[test]
fn messages_of_all_sizes_both_ways_at_once() {
    let (a, b) = connected();
    let sizes = [0, 1, 16_383, 16_384, 16_385, 100_000, 2_000_000, 3];
    thread::scope(|scope| {
        for (from, to) in [(&a, &b), (&b, &a)] {
            scope.spawn(move || sizes.iter().for_each(|size| from.send_bytes(&bytes_of(7, *size)).unwrap()));
            scope.spawn(move || {
                for size in sizes {
                    assert_eq!(to.recv_bytes().unwrap(), bytes_of(7, size));
                }
            });
        }
    });
    assert!(!a.poll(Duration::ZERO).unwrap());
    b.send("a value".to_owned()).unwrap();
    b.send(5_u8).unwrap();
    assert!(a.poll(PATIENCE).unwrap());
    assert_eq!(a.recv::<String>().unwrap(), "a value");
    assert_eq!(mp_session::wait(&[&a], PATIENCE).unwrap(), [0], "what was decrypted already counts");
    assert_eq!(a.recv::<u8>(), Ok(5));
    assert!(a.recv_bytes_timeout(Duration::from_millis(5)).unwrap_err().is_timeout());
    drop(b);
    assert!(matches!(a.recv_bytes(), Err(Error::Disconnected { .. })));
}

#[test]
fn who_is_not_believed_is_told_and_does_not_get_in() {
    let listener = listener();
    let address = listener.address();
    let client = Client::new().authkey(KEY).timeout(PATIENCE);
    let wrong_name = client.clone().tls(configs().1, "example.org").connect(address).unwrap_err();
    assert!(matches!(wrong_name, Error::Authentication { .. }), "{wrong_name}");
    let no_tls = client.clone().connect(address).unwrap_err();
    assert!(matches!(no_tls, Error::Authentication { .. }), "{no_tls}");
    let wrong_key = Client::new().authkey("wrong").timeout(PATIENCE).tls(configs().1, "localhost");
    let wrong_key = wrong_key.connect(address).unwrap_err();
    assert!(matches!(wrong_key, Error::Authentication { .. }), "{wrong_key}");
    assert!(listener.accept_timeout(Duration::ZERO).unwrap_err().is_timeout());
}

/// An end without the farewell may be the doing of somebody in the middle.
#[test]
fn an_end_that_was_not_announced_is_torn() {
    let (a, b) = connected();
    b.send_bytes(b"last").unwrap();
    b.close();
    assert_eq!(a.recv_bytes().unwrap(), b"last");
    assert!(matches!(a.recv_bytes(), Err(Error::Disconnected { .. } | Error::Torn { .. })));
}

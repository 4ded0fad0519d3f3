//! Letting others in: keys, silent ones, limits, closing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use mp_pipe::{Address, Client, Error, Listener};

use super::{PATIENCE, addresses};

const KEY: &[u8] = b"a key";

fn local() -> Address {
    Address::tcp(("127.0.0.1", 0)).unwrap()
}

fn stream(listener: &Listener) -> TcpStream {
    let Address::Tcp(address) = listener.address() else { panic!("{}", listener.address()) };
    TcpStream::connect(address).unwrap()
}

#[test]
fn who_has_the_key_is_let_in_at_every_kind_of_address() {
    for address in addresses() {
        let listener = Listener::bind(&address, KEY).unwrap();
        let there = listener.address().clone();
        let client = thread::spawn(move || {
            let wrong = Client::new().authkey("wrong").timeout(PATIENCE).connect(&there);
            assert!(matches!(wrong, Err(Error::Authentication { .. })), "{wrong:?}");
            let link = Client::new().authkey(KEY).timeout(PATIENCE).connect(&there).unwrap();
            link.send("hello".to_owned()).unwrap();
            link.recv::<usize>().unwrap()
        });
        let link = listener.accept_timeout(PATIENCE).unwrap();
        link.send(link.recv::<String>().unwrap().len()).unwrap();
        assert_eq!(client.join().unwrap(), 5);
        let refused = listener.take_refused();
        assert_eq!(refused.len(), 1);
        assert!(matches!(refused[0].error, Error::Authentication { .. }));
        // Wine lets two have a named pipe of one name, which Windows does not.
        if !cfg!(windows) {
            let again = Listener::bind(listener.address(), KEY);
            assert!(again.is_err(), "{again:?}");
        }
        drop(listener);
        if let Address::Path(path) = &address {
            assert!(!path.exists());
        }
    }
}

#[test]
fn a_file_that_a_dead_listener_left_is_replaced_and_others_are_not() {
    let Ok(Address::Path(path)) = Address::unused() else { return };
    std::fs::write(&path, b"mine").unwrap();
    assert!(Listener::bind(path.as_path(), KEY).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    std::fs::remove_file(&path).unwrap();
    // Nobody listens at what it leaves.
    drop(mp_sys::SocketListener::bind(&mp_sys::Endpoint::Path(path.with_extension("other")), 1).unwrap());
    let listener = Listener::bind(path.as_path(), KEY).unwrap();
    drop(listener);
    assert!(!path.exists());
}

/// Acceptance test 18: among two hundred who connect one says nothing; the others are accepted, each within 100 ms of having connected, on a machine that
/// has the time.
#[test]
fn a_silent_one_delays_nobody() {
    let listener = Listener::bind(local(), KEY).unwrap();
    let silent: Vec<TcpStream> = (0..20).map(|_| stream(&listener)).collect();
    let mut times = thread::scope(|scope| {
        let (to, from) = std::sync::mpsc::channel();
        let address = listener.address().clone();
        scope.spawn(move || {
            for n in 0..199_usize {
                to.send(Instant::now()).unwrap();
                let link = Client::new().authkey(KEY).timeout(PATIENCE).connect(&address).unwrap();
                link.send(n).unwrap();
            }
        });
        let (mut begun, mut times) = (Vec::new(), Vec::new());
        for _ in 0..199 {
            let link = listener.accept_timeout(PATIENCE).unwrap();
            let accepted = Instant::now();
            let n: usize = link.recv_timeout(PATIENCE).unwrap();
            begun.extend(from.try_iter());
            times.push(accepted.saturating_duration_since(begun[n]));
        }
        times
    });
    times.sort();
    let (usual, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("half of them were accepted within {usual:?}, the slowest of 199 after {slowest:?}");
    assert!(usual < Duration::from_millis(100), "{usual:?}");
    assert!(slowest < Duration::from_secs(5), "less than anybody's time for a handshake: {slowest:?}");
    assert_eq!(listener.take_refused(), []);
    drop(silent);
}

#[test]
fn who_says_nothing_is_given_up_in_time() {
    let listener =
        Listener::builder().authkey(KEY).handshake_timeout(Duration::from_millis(50)).bind(local()).unwrap();
    let mut silent = stream(&listener);
    let mut said = Vec::new();
    silent.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(b"\0\0\0\x3b#CHALLENGE#{sha256}") && said.len() == 4 + 59, "{said:?}");
    assert!(listener.accept_timeout(Duration::ZERO).unwrap_err().is_timeout());
    let refused = loop {
        if let [refused] = listener.take_refused().as_slice() {
            break refused.clone();
        }
        thread::yield_now();
    };
    assert!(refused.error.is_timeout() && refused.from == silent.local_addr().ok(), "{refused:?}");
}

/// More silent ones than there are places: they make room.
#[test]
fn the_silent_make_room() {
    let listener = Listener::builder().authkey(KEY).max_pending(4).bind(local()).unwrap();
    let _silent: Vec<TcpStream> = (0..6).map(|_| stream(&listener)).collect();
    let address = listener.address().clone();
    let client = thread::spawn(move || Client::new().authkey(KEY).timeout(PATIENCE).connect(&address));
    listener.accept_timeout(PATIENCE).unwrap().send_bytes(b"in").unwrap();
    assert_eq!(client.join().unwrap().unwrap().recv_bytes().unwrap(), b"in");
}

/// Garbage, and frames that are too long for a proof: refused before anything is allocated for them.
#[test]
fn garbage_is_refused() {
    let listener = Listener::bind(local(), KEY).unwrap();
    let attempts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\x05hello",
        b"\0\0\0\x10helloworldhellow",
    ];
    for attempt in attempts {
        let mut stream = stream(&listener);
        stream.write_all(attempt).unwrap();
        let mut said = Vec::new();
        // A reset is an end, too: it did not read all that we said.
        let _ = stream.read_to_end(&mut said);
        assert!(!said.windows(9).any(|w| w == b"#WELCOME#"));
    }
    let mut refused = Vec::new();
    while refused.len() < attempts.len() {
        refused.extend(listener.take_refused());
        thread::yield_now();
    }
    for one in refused {
        assert!(matches!(one.error, Error::Authentication { .. }), "{one:?}");
    }
    assert!(listener.accept_timeout(Duration::ZERO).unwrap_err().is_timeout());
}

#[test]
fn a_client_believes_nobody_either() {
    let listener = Listener::builder().bind(local()).unwrap();
    let address = listener.address().clone();
    let impostor = thread::spawn(move || {
        let link = listener.accept_timeout(PATIENCE).unwrap();
        link.send_bytes(&[b"#CHALLENGE#{sha256}".as_slice(), &[1; 40]].concat()).unwrap();
        link.recv_bytes().unwrap();
        link.send_bytes(b"#WELCOME#").unwrap();
        let challenge = link.recv_bytes().unwrap();
        assert!(challenge.starts_with(b"#CHALLENGE#{sha256}"));
        link.send_bytes(&[b"{sha256}".as_slice(), &[1; 32]].concat()).unwrap();
        assert_eq!(link.recv_bytes().unwrap(), b"#FAILURE#");
    });
    let error = Client::new().authkey(KEY).timeout(PATIENCE).connect(address).unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    impostor.join().unwrap();
}

#[test]
fn closing_ends_accept() {
    for key in [Some(KEY), None] {
        let mut builder = Listener::builder();
        if let Some(key) = key {
            builder = builder.authkey(key);
        }
        let listener = builder.bind(local()).unwrap();
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| listener.accept())).collect();
            thread::yield_now();
            listener.close();
            for waiter in waiters {
                assert!(matches!(waiter.join().unwrap(), Err(Error::Closed { .. })));
            }
        });
        assert!(matches!(listener.accept(), Err(Error::Closed { .. })));
        let there = listener.address().clone();
        drop(listener);
        Listener::bind(&there, KEY).unwrap();
    }
}

#[test]
fn a_listener_can_be_waited_for() {
    for key in [Some(KEY), None] {
        let mut builder = Listener::builder();
        let mut client = Client::new().timeout(PATIENCE);
        if let Some(key) = key {
            builder = builder.authkey(key);
            client = client.authkey(key);
        }
        let listener = builder.bind(local()).unwrap();
        assert!(mp_session::wait(&[&listener], Duration::from_millis(10)).unwrap().is_empty());
        let _silent = key.map(|_| stream(&listener));
        let address = listener.address().clone();
        let links =
            thread::spawn(move || (0..3).map(|_| client.connect(&address).unwrap()).collect::<Vec<_>>());
        for _ in 0..3 {
            assert_eq!(mp_session::wait(&[&listener], PATIENCE).unwrap(), [0]);
            drop(listener.accept_timeout(Duration::ZERO).unwrap());
        }
        drop(links.join().unwrap());
        assert!(mp_session::wait(&[&listener], Duration::from_millis(10)).unwrap().is_empty());
    }
}

#[test]
fn addresses_that_are_none_are_told() {
    let nobody = Client::new().timeout(PATIENCE).connect(Address::Path("/nowhere/at/all".into()));
    assert!(matches!(nobody, Err(Error::Os { .. } | Error::Unsupported { .. })), "{nobody:?}");
    let long = Address::Path(format!("/tmp/{}", "x".repeat(200)).into());
    for error in [Client::new().connect(&long).unwrap_err(), Listener::bind(&long, KEY).unwrap_err()] {
        assert!(matches!(error, Error::InvalidArgument { .. } | Error::Unsupported { .. }), "{error}");
    }
    assert!("nonsense".parse::<Address>().is_err());
}

//! Peers that mean harm.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mp_manager::gateway::Address;
use mp_manager::{Gateway, Manager};

use crate::common::{KEY, anywhere, both};

fn stream(gateway: &Gateway) -> TcpStream {
    let Address::Tcp(address) = gateway.address() else { panic!() };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// The next frame; nothing at the end.
fn heard(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 4];
    if stream.read_exact(&mut len).is_err() {
        return Vec::new();
    }
    let mut bytes = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether the other side has ended the connection.
fn is_ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn who_does_not_prove_the_key_is_told_nothing_and_let_go() {
    let (gateway, manager) = both();
    let dict = manager.dict::<String, i64>().unwrap();
    dict.insert("secret".into(), 42).unwrap();
    let pickle = b"\x80\x04(N\x8c\x0bdebug_info)}t.";
    for said in [
        &b""[..],
        b"nonsense",
        b"#WELCOME#",
        pickle,
        &[0; 256],
        &[b'{'; 100],
        b"{md5}",
        b"{sha256}",
        b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789",
    ] {
        let mut stream = stream(&gateway);
        let challenge = heard(&mut stream);
        assert!(challenge.starts_with(b"#CHALLENGE#{sha256}") && challenge.len() == 11 + 8 + 40);
        stream.write_all(&frame(said)).unwrap();
        stream.write_all(&frame(pickle)).unwrap();
        assert_eq!(heard(&mut stream), b"#FAILURE#", "{said:?}");
        assert!(is_ended(&mut stream));
    }
    assert_eq!(dict.get("secret".into()).unwrap(), Some(42));
}

#[test]
fn a_claim_of_much_costs_nothing_and_ends_the_connection() {
    let (gateway, _manager) = both();
    for header in [
        &i32::MAX.to_be_bytes()[..],
        &(-2_i32).to_be_bytes(),
        &257_i32.to_be_bytes(),
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut stream = stream(&gateway);
        heard(&mut stream);
        stream.write_all(header).unwrap();
        assert!(is_ended(&mut stream), "{header:?}");
    }
}

#[test]
fn the_silent_and_the_slow_hold_up_nobody() {
    let (gateway, manager) = both();
    // Silent, in the middle of a length, in the middle of a frame, and gone at once.
    let mut hanging: Vec<TcpStream> = (0..40).map(|_| stream(&gateway)).collect();
    for (i, stream) in hanging.iter_mut().enumerate() {
        match i % 4 {
            1 => stream.write_all(&[0, 0]).unwrap(),
            2 => stream.write_all(&[0, 0, 0, 9, b'{']).unwrap(),
            3 => stream.shutdown(std::net::Shutdown::Both).unwrap(),
            _ => {}
        }
    }
    let dict = manager.dict::<i64, i64>().unwrap();
    let start = Instant::now();
    for i in 0..200 {
        dict.insert(i, i).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(hanging);
    assert_eq!(
        Manager::connect(gateway.address().clone(), KEY).unwrap().dict::<i64, i64>().unwrap().len().unwrap(),
        0
    );
}

#[test]
fn more_strangers_than_are_borne_push_out_the_oldest() {
    let (gateway, manager) = both();
    let mut first = stream(&gateway);
    heard(&mut first);
    let others: Vec<TcpStream> = (0..600).map(|_| stream(&gateway)).collect();
    assert!(is_ended(&mut first), "the oldest has gone");
    manager.dict::<i64, i64>().unwrap().insert(1, 1).unwrap();
    drop(others);
}

/// A client that knows the key, and nothing else about manners.
fn known(gateway: &Gateway) -> TcpStream {
    use hmac::{Hmac, Mac};
    let sign = |message: &[u8]| {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap().chain_update(message);
        [b"{sha256}", &mac.finalize().into_bytes()[..]].concat()
    };
    let mut stream = stream(gateway);
    let challenge = heard(&mut stream);
    stream.write_all(&frame(&sign(&challenge[11..]))).unwrap();
    assert_eq!(heard(&mut stream), b"#WELCOME#");
    let ours = b"{sha256}0123456789012345678901234567890123456789";
    stream.write_all(&frame(&[b"#CHALLENGE#", &ours[..]].concat())).unwrap();
    assert_eq!(heard(&mut stream), sign(ours));
    stream.write_all(&frame(b"#WELCOME#")).unwrap();
    stream
}

#[test]
fn nonsense_from_who_knows_the_key_is_an_answer_or_the_end() {
    let gateway = Gateway::builder().max_message(1 << 16).bind(anywhere(), KEY).unwrap();
    let call = |method: &str| {
        let name = [&[0x8c, method.len() as u8], method.as_bytes()].concat();
        [&b"\x80\x04(N"[..], &name, b")}t."].concat()
    };
    let evil = b"\x80\x04(N\x8c\x06createcos\nsystem\n\x8c\x04true\x85R\x85}t.".to_vec();
    for said in [
        &b"nonsense"[..],
        b"",
        b"\x80\x04N.",
        &call("no_such_function"),
        &call("create"),
        &call("incref"),
        &call("shutdown"),
        &evil,
    ] {
        let mut stream = known(&gateway);
        stream.write_all(&frame(said)).unwrap();
        let answer = heard(&mut stream);
        assert!(answer.windows(10).any(|w| w == b"#TRACEBACK"), "{said:?}: {answer:?}");
        assert!(is_ended(&mut stream));
    }
    for said in [&b"mp-gateway 1\nshort"[..], &[&b"mp-gateway 1\n"[..], &[7; 16], &[1]].concat()] {
        let mut stream = known(&gateway);
        stream.write_all(&frame(said)).unwrap();
        heard(&mut stream);
        assert!(is_ended(&mut stream));
    }
    // Larger than is allowed.
    let mut stream = known(&gateway);
    stream.write_all(&(1_i32 << 17).to_be_bytes()).unwrap();
    assert!(is_ended(&mut stream));
    // A client of ours whose calls are none.
    for said in [&b"short"[..], &[0; 20], &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut stream = known(&gateway);
        stream.write_all(&frame(&[&b"mp-gateway 1\n"[..], &[9; 16], &[0]].concat())).unwrap();
        heard(&mut stream);
        stream.write_all(&frame(said)).unwrap();
        assert!(is_ended(&mut stream), "{said:?}");
    }
    Manager::connect(gateway.address().clone(), KEY)
        .unwrap()
        .dict::<i64, i64>()
        .unwrap()
        .insert(1, 1)
        .unwrap();
}

#[test]
fn who_takes_no_answers_gets_no_more_and_holds_up_nobody() {
    let (gateway, manager) = both();
    let dict = manager.dict::<String, String>().unwrap();
    let large = "x".repeat(1 << 20);
    dict.insert("large".into(), large.clone()).unwrap();
    let id = format!("{dict:?}").trim_start_matches("RemoteDict(").trim_end_matches(')').to_owned();
    let mut greedy = known(&gateway);
    greedy.write_all(&frame(b"\x80\x04(N\x8c\x11accept_connection\x8c\x01x\x85}t.")).unwrap();
    heard(&mut greedy);
    let ask = frame(
        &[
            &b"\x80\x04(\x8c"[..],
            &[id.len() as u8],
            id.as_bytes(),
            b"\x8c\x0b__getitem__\x8c\x05large\x85}t.",
        ]
        .concat(),
    );
    greedy.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // A gigabyte of answers, if anybody made them.
    for _ in 0..1000 {
        if greedy.write_all(&ask).is_err() {
            break;
        }
    }
    let start = Instant::now();
    assert_eq!(dict.get("large".into()).unwrap(), Some(large));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

//! Writes a corpus to begin from: `seeds FOLDER` makes `FOLDER/TARGET/seed-N`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mp_wire::{Cbor, Error, Failure, Ident, Json, Message, Outcome, PanicReport, encode};

fn encoded<T: Message>(value: T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&value, &mut bytes).expect("a good value");
    bytes
}

fn with_head(head: &[u8], bytes: Vec<u8>) -> Vec<u8> {
    [head, &bytes].concat()
}

/// In the order in which the target lists its types.
fn values() -> Vec<Vec<u8>> {
    let failure = Failure { message: "no".into(), ..Failure::default() };
    let died = Error::OwnerDied { what: "lock".into(), who: Some(Ident::new(7, "worker")) };
    let plain: [Vec<u8>; 10] = [
        encoded(true),
        encoded('x'),
        encoded(77_u32),
        encoded(-5_i128),
        encoded(1.5_f64),
        encoded("text".to_owned()),
        encoded(vec![1_u8, 2, 3]),
        encoded(vec![1.5_f32; 9]),
        encoded(vec![u128::MAX; 3]),
        encoded(vec![1_u8; 20].into_boxed_slice()),
    ];
    let other: [Vec<u8>; 14] = [
        encoded(vec!["a".to_owned(), String::new()]),
        encoded(vec![vec![vec![1_u32, 2], vec![]], vec![]]),
        encoded((7_u8, 'x', vec![true, false])),
        encoded([1_u16, 2, 3, 4, 5]),
        encoded(std::collections::HashMap::from([(1_u8, 5_u8)])),
        encoded(std::collections::BTreeMap::from([('a', vec![0_u8])])),
        encoded(PathBuf::from("/tmp")),
        encoded(Duration::from_millis(1500)),
        encoded(SystemTime::UNIX_EPOCH),
        encoded(died),
        encoded(failure),
        encoded(PanicReport::default()),
        encoded(Json(vec![1_i64, 2])),
        encoded(Cbor(vec!["a".to_owned()])),
    ];
    let plain = plain.into_iter().enumerate().map(|(i, bytes)| with_head(&[i as u8, 0], bytes));
    let other = other.into_iter().enumerate().map(|(i, bytes)| with_head(&[i as u8 + 10, 1], bytes));
    plain.chain(other).collect()
}

fn outcomes() -> Vec<Vec<u8>> {
    let outcomes = [
        Outcome::Value,
        Outcome::Failure(Failure {
            message: "no".into(),
            chain: vec!["why".into(), "and why that".into()],
            source: Some(Box::new(Error::Empty)),
            ..Failure::default()
        }),
        Outcome::Panic(PanicReport { message: "at last".into(), ..PanicReport::default() }),
    ];
    let write = |outcome: &Outcome| {
        let mut bytes = Vec::new();
        outcome.encode(&mut bytes);
        bytes
    };
    outcomes.iter().map(write).collect()
}

/// Streams, behind a byte that says how they are received.
fn frames() -> Vec<Vec<u8>> {
    let stream = b"\0\0\0\x05hello\0\0\0\0\0\0\0\x01x".to_vec();
    let long = b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x03abc\0\0\0\x02cu".to_vec();
    let claims = b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let negative = b"\0\0\0\x01y\x80\0\0\0".to_vec();
    let all = [stream, long, claims, negative];
    all.into_iter().flat_map(|s| [0, 77, 128, 255].map(|how| with_head(&[how], s.clone()))).collect()
}

/// What the other side of a proof says, each frame behind its length.
fn proofs() -> Vec<Vec<u8>> {
    let script = |frames: &[&[u8]]| {
        frames.iter().flat_map(|frame| [&[frame.len() as u8][..], *frame].concat()).collect::<Vec<u8>>()
    };
    let random = [7; 40];
    let new = [b"#CHALLENGE#{sha3_256}", &random[..]].concat();
    let old = [b"#CHALLENGE#", &random[..20]].concat();
    vec![
        script(&[&new, b"#WELCOME#"]),
        script(&[&old, b"#FAILURE#"]),
        script(&[&[b"{sha384}", &random[..]].concat()]),
        script(&[&random[..16]]),
    ]
}

fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("codec_decode", values()),
        ("outcome_decode", outcomes()),
        (
            "carrier_decode",
            vec![vec![0, 1, 0], vec![1, 4, 3, 0, 1, 3], with_head(&[3, 3], encoded(Json(vec![0, 1])))],
        ),
        ("handle_decode", (0..14).map(|which| vec![which, 3, 0, 1, 2, 0, 1, 2]).collect()),
        ("message_block", vec![vec![0, 2], vec![4, 1, 8, 200], vec![16, 255, 17, 255, 18, 255]]),
        ("session_header", vec![vec![0, 0, 77], vec![8, 0, 2], vec![16, 0, 0]]),
        ("ticket_parse", vec![b"3,4,100000000".to_vec(), b"5,3,4,100000002".to_vec(), vec![0; 8]]),
        ("spec_read", mp_process::fuzzing::specs()),
        ("gateway_pickle", pickles()),
        ("link_frames", frames()),
        ("link_challenge", proofs()),
    ]
}

/// Plain data, an object of a class, a cycle, a proxy.
fn pickles() -> Vec<Vec<u8>> {
    let all: [&[u8]; 5] = [
        b"\x80\x04(\x8c\x031.2\x8c\x0b__setitem__(\x8c\x01kK\x01t}t.",
        b"\x80\x04}\x94(\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88e\x8c\x01b\x94C\x01x\x94J\xd4\xfe\xff\xff\x8a\x01\x40\x87\x94u.",
        b"\x80\x04\x8c\x01m\x8c\x05Point\x93)\x81}(\x8c\x01xK\x01ub.",
        b"\x80\x04]\x94h\x00ah\x00\x86.",
        b"\x80\x04\x8c\x18multiprocessing.managers\x8c\x0cRebuildProxy\x93(Nc multiprocessing\nToken\n)\x81N}tR.",
    ];
    all.map(<[u8]>::to_vec).to_vec()
}

fn write(folder: &Path) -> std::io::Result<()> {
    for (target, seeds) in seeds() {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for (i, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed)?;
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| "corpus".into());
    write(Path::new(&folder))
}

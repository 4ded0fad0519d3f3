use super::*;

/// `pickle.dumps(value, protocol)` of CPython 3.13.
const PLAIN: &[&[u8]] = &[
    // {'a': [1, 2.5, None, True], 'b': (b'x', -300, 2**70)}, protocols 2 to 5
    b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88eX\x01\x00\x00\x00bq\x03c_codecs\nencode\nq\x04X\x01\x00\x00\x00xq\x05X\x06\x00\x00\x00latin1q\x06\x86q\x07Rq\x08J\xd4\xfe\xff\xff\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@\x87q\x09u.",
    b"\x80\x04\x954\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88e\x8c\x01b\x94C\x01x\x94J\xd4\xfe\xff\xff\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@\x87\x94u.",
];

#[test]
fn plain_data_is_read_from_every_protocol() {
    for bytes in PLAIN {
        let graph = read(bytes, Limits::default()).unwrap();
        let Node::Dict(pairs) = graph.node(graph.root()) else { panic!() };
        assert_eq!(pairs.len(), 2);
        assert_eq!(graph.text(pairs[0].0), Some("a"));
        let items = graph.elements(pairs[0].1).unwrap();
        assert_eq!(graph.node(items[0]), &Node::Int(1));
        assert_eq!(graph.node(items[1]), &Node::Float(2.5));
        let tuple = graph.elements(pairs[1].1).unwrap();
        assert_eq!(graph.node(tuple[1]), &Node::Int(-300));
        assert_eq!(graph.node(tuple[2]), &Node::Long(&[0, 0, 0, 0, 0, 0, 0, 0, 0x40]));
    }
}

#[test]
fn a_call_is_kept_and_not_made() {
    // os.system('true')
    let bytes = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.";
    let graph = read(bytes, Limits::default()).unwrap();
    assert!(graph.call_of(graph.root(), &["posix"], "system").is_some());
    let fragment = fragment(&graph, graph.root()).unwrap();
    assert_eq!(
        [&b"\x80\x04"[..], &fragment, b"."].concat(),
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93(\x8c\x04truetR."
    );
}

#[test]
fn what_is_shared_stays_shared_and_cycles_stay_closed() {
    // x = []; x.append(x); the pickle of (x, x)
    let bytes = b"\x80\x04]\x94h\x00ah\x00\x86.";
    let graph = read(bytes, Limits::default()).unwrap();
    let again = fragment(&graph, graph.root()).unwrap();
    let whole = [&again[..], b"."].concat();
    let graph = read(&whole, Limits::default()).unwrap();
    let pair = graph.elements(graph.root()).unwrap();
    assert_eq!(pair[0], pair[1]);
    assert_eq!(graph.elements(pair[0]).unwrap(), [pair[0]]);
    assert_eq!(fragment(&graph, graph.root()).unwrap(), again, "the same in every generation");
}

#[test]
fn nonsense_is_an_error() {
    let deep = [&b"\x80\x04"[..], &[b']'; 5000], &[b'a'; 4999], b"."].concat();
    let graph = read(&deep, Limits::default()).unwrap();
    assert_eq!(fragment(&graph, graph.root()), Err(PickleError::TooDeep(500)));
    for (bytes, error) in [
        (&b""[..], PickleError::Truncated),
        (b"\x80\x04", PickleError::Truncated),
        (b"\x80\x06N.", PickleError::Protocol(6)),
        (b"N.N", PickleError::LeftOver(1)),
        (b"NN.", PickleError::Malformed("something is left on the stack")),
        (b"(N.", PickleError::Malformed("something is left on the stack")),
        (b".", PickleError::Malformed("the stack is empty")),
        (b"N\x85\x85\x86.", PickleError::Malformed("the stack is too short")),
        (b"N(\x85.", PickleError::Malformed("the stack is too short")),
        (b"N(0000", PickleError::Malformed("the stack is empty")),
        (b"h\x07.", PickleError::Malformed("nothing at that place of the memo")),
        (b"Nr\xff\xff\xff\x7f.", PickleError::Malformed("a place in the memo that is far away")),
        (b"B\xff\xff\xff\xff.", PickleError::Truncated),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", PickleError::Truncated),
        (b"\x8b\xff\xff\xff\xff.", PickleError::Malformed("a negative length")),
        (b"}(Nu.", PickleError::Malformed("a key without a value")),
        (b"NNs.", PickleError::Malformed("the stack is empty")),
        (b"NNb.", PickleError::Malformed("state for what has none")),
        (b"NNR.", PickleError::Malformed("arguments that are no tuple")),
        (b"cos\nsystem\n\x82\x01.", PickleError::Opcode(0x82)),
        (b"P1\n.", PickleError::Opcode(b'P')),
        (b"\x97.", PickleError::Opcode(0x97)),
    ] {
        assert_eq!(read(bytes, Limits::default()).unwrap_err(), error, "{bytes:?}");
    }
    assert_eq!(read(b"(NNNl.", Limits { nodes: 2 }).unwrap_err(), PickleError::TooMany(2));
}

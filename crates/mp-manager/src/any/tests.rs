use super::{Any, BigInt};

fn bytes(any: &Any) -> Vec<u8> {
    let mut bytes = Vec::new();
    mp_wire::encode(&any.to_key().unwrap(), &mut bytes).unwrap();
    bytes
}

fn power_of_two(n: u32) -> Any {
    let mut le = vec![0; n as usize / 8 + 2];
    le[n as usize / 8] = 1 << (n % 8);
    Any::from(BigInt::from_le_bytes(&le))
}

#[test]
fn numbers_that_are_equal_in_python_are_the_same_key() {
    let ones = [Any::from(1), Any::from(true), Any::from(1.0), Any::from(1_u128), Any::Complex(1.0, 0.0)];
    for a in &ones {
        for b in &ones {
            assert_eq!(a, b);
            assert_eq!(bytes(a), bytes(b));
        }
    }
    for (a, b) in [
        (Any::from(0.0), Any::from(-0.0)),
        (Any::from(2_f64.powi(63)), power_of_two(63)),
        (Any::from(2_f64.powi(200)), power_of_two(200)),
        (Any::from(-2_f64.powi(63)), Any::from(i64::MIN)),
        (Any::tuple([Any::from(1), Any::from(true)]), Any::tuple([1.0, 1.0])),
        (
            Any::FrozenSet(vec![Any::from(2), Any::from(1)]),
            Any::FrozenSet(vec![Any::from(1.0), Any::from(2), Any::from(true)]),
        ),
    ] {
        assert_eq!(bytes(&a), bytes(&b), "{a} and {b}");
    }
    for (a, b) in [
        (Any::from(1), Any::from(2)),
        (Any::from(1), Any::from("1")),
        (Any::from("a"), Any::Bytes(b"a".to_vec())),
        (Any::None, Any::from(false)),
        (Any::from(0.5), Any::from(0)),
        (Any::tuple([1]), Any::from(1)),
        (power_of_two(64), power_of_two(65)),
    ] {
        assert!(a != b && bytes(&a) != bytes(&b), "{a} and {b}");
    }
}

#[test]
fn what_python_cannot_hash_is_no_key() {
    for any in [Any::list([1]), Any::dict([(1, 2)]), Any::Set(vec![]), Any::tuple([Any::list([1])])] {
        assert!(any.to_key().unwrap_err().to_string().contains("unhashable"), "{any}");
    }
}

#[test]
fn equality_is_pythons() {
    assert_eq!(Any::dict([("a", 1), ("b", 2)]), Any::dict([("b", 2), ("a", 1)]));
    assert_eq!(Any::Set(vec![1.into(), 2.into()]), Any::FrozenSet(vec![2.into(), 1.into()]));
    assert_eq!(Any::Bytes(vec![1]), Any::ByteArray(vec![1]));
    assert_ne!(Any::list([1]), Any::tuple([1]));
    assert_eq!(Any::list([Any::from(1), Any::from(true)]), Any::list([1.0, 1.0]));
}

#[test]
fn large_numbers_keep_their_value() {
    assert_eq!(Any::from(u64::MAX).to_string(), u64::MAX.to_string());
    assert_eq!(Any::from(i128::MIN).to_string(), i128::MIN.to_string());
    assert_eq!(u64::try_from(Any::from(u64::MAX)).unwrap(), u64::MAX);
    assert_eq!(u128::try_from(Any::from(u128::MAX)).unwrap(), u128::MAX);
    assert_eq!(i128::try_from(Any::from(i128::MIN)).unwrap(), i128::MIN);
    assert!(u8::try_from(Any::from(256)).is_err() && u8::try_from(Any::from(-1)).is_err());
    assert!(matches!(Any::from(BigInt::from_le_bytes(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0])), Any::Int(5)));
    assert!(matches!(Any::from(BigInt::from_le_bytes(&[0xFF; 20])), Any::Int(-1)));
    assert!(matches!(Any::from(BigInt::from_le_bytes(&[])), Any::Int(0)));
    assert_eq!(power_of_two(100).to_string(), (1_u128 << 100).to_string());
}

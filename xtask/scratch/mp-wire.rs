//! mp-wire alone: a value becomes bytes and comes back.

fn main() -> mp_wire::Result<()> {
    let value = (7_u32, "seven".to_owned(), vec![1.5_f64; 3]);
    let mut bytes = Vec::new();
    let encoded = mp_wire::encode(&value, &mut bytes)?;
    let back: (u32, String, Vec<f64>) = mp_wire::decode(encoded.codec, &bytes, encoded.exports)?;
    assert_eq!(back, value);
    Ok(())
}

//! Whole numbers beyond 64 bits, as bytes: enough to keep, compare and print them; arithmetic is for others.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Any;

/// A whole number that does not fit into 64 bits, as two's complement, least byte first, in as few bytes as it needs: the form in which
/// a pickle has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BigInt(#[serde(with = "super::bytes")] Vec<u8>);

impl BigInt {
    /// The number with these bytes, least first, in two's complement.
    pub fn from_le_bytes(bytes: &[u8]) -> BigInt {
        let mut bytes = bytes.to_vec();
        // The last byte is needed only if it tells the sign, or more than the sign.
        while let [.., before, last] = bytes[..] {
            let sign = if before & 0x80 == 0 { 0 } else { 0xFF };
            if last != sign {
                break;
            }
            bytes.pop();
        }
        if bytes == [0] {
            bytes.clear();
        }
        BigInt(bytes)
    }

    /// Its bytes, least first, in two's complement; none for zero.
    pub fn as_le_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.last().is_some_and(|byte| byte & 0x80 != 0)
    }

    /// The number, if it fits.
    pub fn to_i128(&self) -> Option<i128> {
        if self.0.len() > 16 {
            return None;
        }
        let mut all = [if self.is_negative() { 0xFF } else { 0 }; 16];
        all[..self.0.len()].copy_from_slice(&self.0);
        Some(i128::from_le_bytes(all))
    }

    /// The number that a float is which is finite, whole, and beyond 64 bits.
    pub(super) fn from_whole(f: f64) -> BigInt {
        let bits = f.to_bits();
        let shift = ((bits >> 52) & 0x7FF) as usize - 1075;
        let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52) << (shift % 8);
        let mut bytes = vec![0; shift / 8];
        bytes.extend_from_slice(&mantissa.to_le_bytes());
        bytes.push(0);
        if f < 0.0 {
            negate(&mut bytes);
        }
        BigInt::from_le_bytes(&bytes)
    }
}

/// Two's complement of the same length.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes {
        (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
    }
}

impl From<BigInt> for Any {
    /// A number that fits into 64 bits is one.
    fn from(big: BigInt) -> Any {
        match big.to_i128().map(i64::try_from) {
            Some(Ok(small)) => Any::Int(small),
            _ => Any::BigInt(big),
        }
    }
}

impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.clone();
        // Room for the sign bit of the number without its sign.
        rest.push(if self.is_negative() { 0xFF } else { 0 });
        if self.is_negative() {
            negate(&mut rest);
        }
        // Nine decimal digits at a time, from the least.
        let mut digits = Vec::new();
        while rest.iter().any(|byte| *byte != 0) {
            let mut remainder = 0_u64;
            for byte in rest.iter_mut().rev() {
                let value = remainder << 8 | u64::from(*byte);
                *byte = (value / 1_000_000_000) as u8;
                remainder = value % 1_000_000_000;
            }
            digits.push(remainder);
        }
        let mut text = digits.pop().unwrap_or(0).to_string();
        for nine in digits.iter().rev() {
            text.push_str(&format!("{nine:09}"));
        }
        f.pad_integral(!self.is_negative(), "", &text)
    }
}

//! A small hash for telling executable images apart (FNV-1a, 128 bits). Not for anything hostile.

const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

pub(crate) struct Hash(u128);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(BASIS)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub(crate) fn finish(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Hash;

    #[test]
    fn known_values() {
        // The published test vectors of FNV-1a for the empty string and "a".
        assert_eq!(u128::from_le_bytes(Hash::new().finish()), 0x6c62272e07bb014262b821756295c58d);
        let mut hash = Hash::new();
        hash.bytes(b"a");
        assert_eq!(u128::from_le_bytes(hash.finish()), 0xd228cb696f1a8caf78912b704e4a8964);
    }
}

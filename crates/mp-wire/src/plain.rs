//! The plain path: data whose bytes are its value.
//!
//! Numbers go little-endian, text as UTF-8, a vector of numbers as its elements without a length: the message
//! knows its own. Which types are plain is decided by `TypeId`, which the optimiser settles at compile time,
//! so each instance of `encode` keeps one branch.

use std::any::Any;

/// Why bytes are not a plain value.
pub(crate) type Reason = &'static str;

/// One plain type.
trait Plain: Sized + 'static {
    fn write(&self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Result<Self, Reason>;
}

/// Calls a macro with the list of all plain types.
macro_rules! for_all_plain {
    ($call:ident) => {
        $call! {
            (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
            String, Vec<u8>, Box<[u8]>,
            Vec<u16>, Vec<u32>, Vec<u64>, Vec<u128>, Vec<usize>,
            Vec<i8>, Vec<i16>, Vec<i32>, Vec<i64>, Vec<i128>, Vec<isize>, Vec<f32>, Vec<f64>
        }
    };
}

/// Appends `value` if its type is plain, and says whether it was.
#[inline]
pub(crate) fn encode<T: 'static>(value: &T, out: &mut Vec<u8>) -> bool {
    let value: &dyn Any = value;
    macro_rules! attempt {
        ($($plain:ty),*) => { $(
            if let Some(value) = value.downcast_ref::<$plain>() {
                value.write(out);
                return true;
            }
        )* };
    }
    for_all_plain!(attempt);
    false
}

/// The bytes of a number, a truth value or a character of at most 8 bytes as a word, little-endian, and how many they are.
///
/// It is [`encode`](crate::encode) for the smallest values, without anything to write them into.
#[inline]
pub fn encode_word<T: 'static>(value: &T) -> Option<(u64, usize)> {
    let value: &dyn Any = value;
    macro_rules! attempt {
        ($($plain:ty => |$v:ident| $word:expr;)*) => { $(
            if let Some($v) = value.downcast_ref::<$plain>() {
                let word: u64 = $word;
                return Some((word.to_le(), size_of::<$plain>()));
            }
        )* };
    }
    attempt! {
        u64 => |v| *v;
        i64 => |v| *v as u64;
        u32 => |v| u64::from(*v);
        i32 => |v| u64::from(*v as u32);
        u16 => |v| u64::from(*v);
        i16 => |v| u64::from(*v as u16);
        u8 => |v| u64::from(*v);
        i8 => |v| u64::from(*v as u8);
        f64 => |v| v.to_bits();
        f32 => |v| u64::from(v.to_bits());
        usize => |v| *v as u64;
        isize => |v| *v as u64;
        bool => |v| u64::from(*v);
        char => |v| u64::from(u32::from(*v));
    }
    None
}

/// Whether values of this type go by [`encode_word`].
#[inline]
pub fn is_word<T: 'static>() -> bool {
    use std::any::TypeId;
    macro_rules! any_of {
        ($($plain:ty),*) => { $( TypeId::of::<T>() == TypeId::of::<$plain>() )||* };
    }
    any_of!(u64, i64, u32, i32, u16, i16, u8, i8, f64, f32, usize, isize, bool, char)
}

/// The value whose [`encode_word`] is this word of so many bytes; `None` if there is no such value of this type, which
/// [`decode`](crate::decode) has the words for.
#[inline]
pub fn decode_word<T: 'static>(word: u64, len: usize) -> Option<T> {
    let word = u64::from_le(word);
    let mut slot: Option<T> = None;
    let target: &mut dyn Any = &mut slot;
    macro_rules! attempt {
        ($($plain:ty => $value:expr;)*) => { $(
            if let Some(target) = target.downcast_mut::<Option<$plain>>() {
                if len == size_of::<$plain>() {
                    *target = $value;
                }
                return slot;
            }
        )* };
    }
    attempt! {
        u64 => Some(word);
        i64 => Some(word as i64);
        u32 => Some(word as u32);
        i32 => Some(word as i32);
        u16 => Some(word as u16);
        i16 => Some(word as i16);
        u8 => Some(word as u8);
        i8 => Some(word as i8);
        f64 => Some(f64::from_bits(word));
        f32 => Some(f32::from_bits(word as u32));
        usize => Some(word as usize);
        isize => Some(word as isize);
        bool => match word as u8 { 0 => Some(false), 1 => Some(true), _ => None };
        char => char::from_u32(word as u32);
    }
    None
}

/// The bytes of a value that is bytes or text, as [`encode`](crate::encode) would write them, without copying.
#[inline]
pub fn as_bytes<T: 'static>(value: &T) -> Option<&[u8]> {
    let value: &dyn Any = value;
    if let Some(bytes) = value.downcast_ref::<Vec<u8>>() {
        return Some(bytes);
    }
    if let Some(text) = value.downcast_ref::<String>() {
        return Some(text.as_bytes());
    }
    value.downcast_ref::<Box<[u8]>>().map(|bytes| &**bytes)
}

/// Whether a value of this type is bytes or text, and can be made of its bytes without copying them ([`from_bytes`]).
#[inline]
pub fn is_bytes<T: 'static>() -> bool {
    use std::any::TypeId;
    TypeId::of::<T>() == TypeId::of::<Vec<u8>>() || TypeId::of::<T>() == TypeId::of::<String>()
}

/// The value that [`as_bytes`] gave these bytes of. The bytes come back if they are none: of another type, or no text.
///
/// # Errors
/// The bytes.
#[inline]
pub fn from_bytes<T: 'static>(bytes: Vec<u8>) -> Result<T, Vec<u8>> {
    let mut slot: Option<T> = None;
    let target: &mut dyn Any = &mut slot;
    let left = if let Some(target) = target.downcast_mut::<Option<Vec<u8>>>() {
        *target = Some(bytes);
        Vec::new()
    } else if let Some(target) = target.downcast_mut::<Option<String>>() {
        match String::from_utf8(bytes) {
            Ok(text) => {
                *target = Some(text);
                Vec::new()
            }
            Err(e) => e.into_bytes(),
        }
    } else {
        bytes
    };
    slot.ok_or(left)
}

/// Reads a value if its type is plain.
#[inline]
pub(crate) fn decode<T: 'static>(bytes: &[u8]) -> Option<Result<T, Reason>> {
    // An empty slot of type `Result<T, _>`, filled through `Any` when `T` turns out to be the plain type at
    // hand.
    let mut slot: Option<Result<T, Reason>> = None;
    let target: &mut dyn Any = &mut slot;
    macro_rules! attempt {
        ($($plain:ty),*) => { $(
            if let Some(target) = target.downcast_mut::<Option<Result<$plain, Reason>>>() {
                *target = Some(<$plain as Plain>::read(bytes));
                return slot;
            }
        )* };
    }
    for_all_plain!(attempt);
    None
}

/// Whether values of this type take the plain path.
#[inline]
pub fn is_plain<T: 'static>() -> bool {
    use std::any::TypeId;
    macro_rules! any_of {
        ($($plain:ty),*) => { $( TypeId::of::<T>() == TypeId::of::<$plain>() )||* };
    }
    for_all_plain!(any_of)
}

const WRONG_LENGTH: Reason = "the bytes are not as many as the value has";

macro_rules! plain_number {
    ($($number:ty),*) => { $(
        impl Plain for $number {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            #[inline]
            fn read(bytes: &[u8]) -> Result<Self, Reason> {
                bytes.try_into().map(Self::from_le_bytes).map_err(|_| WRONG_LENGTH)
            }
        }
    )* };
}

plain_number!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

macro_rules! plain_numbers {
    ($($number:ty),*) => { $(
        impl Plain for Vec<$number> {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                write_all(self, out, |number| number.to_le_bytes());
            }
            #[inline]
            fn read(bytes: &[u8]) -> Result<Self, Reason> {
                read_all(bytes, <$number>::from_le_bytes)
            }
        }
    )* };
}

plain_numbers!(u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

/// Bytes that are put together before they are appended: small enough for the first-level cache, where the
/// second copy costs little, and for a short vector not to pay for clearing it. Growing `out` first and
/// writing into it would clear all of it.
const BLOCK: usize = 1024;

#[inline]
fn write_all<N: Copy, const WIDTH: usize>(
    numbers: &[N],
    out: &mut Vec<u8>,
    bytes_of: impl Fn(N) -> [u8; WIDTH],
) {
    out.reserve(size_of_val(numbers));
    let mut block = [0; BLOCK];
    for run in numbers.chunks(BLOCK / WIDTH) {
        let (cells, _) = block.as_chunks_mut::<WIDTH>();
        for (cell, number) in cells.iter_mut().zip(run) {
            *cell = bytes_of(*number);
        }
        out.extend_from_slice(&block[..run.len() * WIDTH]);
    }
}

#[inline]
fn read_all<N, const WIDTH: usize>(
    bytes: &[u8],
    number_of: impl Fn([u8; WIDTH]) -> N,
) -> Result<Vec<N>, Reason> {
    let (cells, rest) = bytes.as_chunks::<WIDTH>();
    if !rest.is_empty() {
        return Err("the bytes are no whole number of elements");
    }
    Ok(cells.iter().map(|cell| number_of(*cell)).collect())
}

impl Plain for Vec<u8> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        Ok(bytes.to_vec())
    }
}

impl Plain for Box<[u8]> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        Ok(bytes.into())
    }
}

impl Plain for String {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "the bytes are not UTF-8")
    }
}

impl Plain for () {
    #[inline]
    fn write(&self, _: &mut Vec<u8>) {}
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        if bytes.is_empty() { Ok(()) } else { Err(WRONG_LENGTH) }
    }
}

impl Plain for bool {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err("the byte is neither 0 nor 1"),
            _ => Err(WRONG_LENGTH),
        }
    }
}

impl Plain for char {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        u32::from(*self).write(out);
    }
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        char::from_u32(u32::read(bytes)?).ok_or("the number is no character")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_encode_writes() {
        fn same<T: crate::Message + PartialEq + std::fmt::Debug>(value: T) {
            let mut bytes = Vec::new();
            assert!(encode(&value, &mut bytes) && is_word::<T>());
            let (word, len) = encode_word(&value).unwrap();
            assert_eq!(word.to_ne_bytes()[..len], bytes);
            assert_eq!(decode_word(word, len), Some(value));
            assert_eq!(decode_word::<T>(word, len + 1), None);
            assert_eq!(decode_word::<T>(word, len - 1), None);
        }
        same(0x0123_4567_89AB_CDEF_u64);
        same(-2_i64);
        same(7_u32);
        same(-7_i32);
        same(258_u16);
        same(-258_i16);
        same(9_u8);
        same(-9_i8);
        same(1.5_f64);
        same(-0.1_f32);
        same(7_usize);
        same(-7_isize);
        same(true);
        same('\u{1F980}');
        assert_eq!(decode_word::<bool>(2, 1), None);
        assert_eq!(decode_word::<char>(0xD800, 4), None);
        assert_eq!(decode_word::<u128>(0, 16), None);
        assert!(!is_word::<u128>() && !is_word::<String>());
        assert_eq!(encode_word(&1_u128), None);
        assert_eq!(as_bytes(&"text".to_owned()), Some(&b"text"[..]));
        assert_eq!(as_bytes(&7_u64), None);
        assert_eq!(from_bytes::<String>(b"text".to_vec()), Ok("text".to_owned()));
        assert_eq!(from_bytes::<Vec<u8>>(vec![0xFF]), Ok(vec![0xFF]));
        assert_eq!(from_bytes::<String>(vec![0xFF]), Err(vec![0xFF]));
        assert_eq!(from_bytes::<u64>(vec![1]), Err(vec![1]));
        assert!(is_bytes::<String>() && is_bytes::<Vec<u8>>() && !is_bytes::<u64>());
    }
}

//! Two neighbouring words, replaced in one step: what many processors can do and the standard library does not offer.
//!
//! Not the operating system's business, but a thing of the machine all the same, and the only one of its kind.

use std::sync::atomic::AtomicU64;

/// Two words side by side that one instruction can reach: aligned to both of them.
#[repr(C, align(16))]
#[derive(Debug, Default)]
pub struct Pair {
    /// The lower one.
    pub first: AtomicU64,
    /// The one behind it.
    pub second: AtomicU64,
}

/// Whether [`replace_pair`] does anything here.
#[inline]
pub fn can_replace_pairs() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        std::arch::is_x86_feature_detected!("cmpxchg16b")
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        false
    }
}

/// Replaces the two words if they are what was seen, by one sequentially consistent step. `false`: they are not, or
/// this machine has no such step ([`can_replace_pairs`]), and nothing was changed.
#[inline]
pub fn replace_pair(pair: &Pair, seen: (u64, u64), new: (u64, u64)) -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if can_replace_pairs() {
        let done: u64;
        // SAFETY: the instruction is there; it reads and writes 16 bytes that are aligned to 16, by the type, and that everybody uses as
        // atomics. What others may see of it, by operations on either word, is what they would see if the one word were
        // replaced by a compare-and-swap and the other by a swap with nobody looking in between. `rbx`, which the
        // instruction wants and the compiler does not give away, is put back.
        unsafe {
            std::arch::asm!(
                "xchg rsi, rbx",
                "lock cmpxchg16b xmmword ptr [rdi]",
                "sete cl",
                "movzx ecx, cl",
                "mov rbx, rsi",
                in("rdi") std::ptr::from_ref(pair),
                inout("rsi") new.0 => _,
                inout("rcx") new.1 => done,
                inout("rax") seen.0 => _,
                inout("rdx") seen.1 => _,
                options(nostack),
            );
        }
        return done != 0;
    }
    let _ = (pair, seen, new);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::*;

    #[test]
    fn both_words_or_neither() {
        let pair = Pair { first: AtomicU64::new(1), second: AtomicU64::new(2) };
        assert!(!replace_pair(&pair, (1, 3), (7, 8)) && !replace_pair(&pair, (2, 2), (7, 8)));
        assert_eq!((pair.first.load(SeqCst), pair.second.load(SeqCst)), (1, 2));
        assert_eq!(replace_pair(&pair, (1, 2), (7, u64::MAX)), can_replace_pairs());
        if can_replace_pairs() {
            assert_eq!((pair.first.load(SeqCst), pair.second.load(SeqCst)), (7, u64::MAX));
        }
    }

    #[test]
    fn threads_never_see_half_of_it() {
        let pair = Pair::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut done = 0;
                    while can_replace_pairs() && done < 20_000 {
                        let n = pair.first.load(SeqCst);
                        done += u64::from(replace_pair(&pair, (n, n), (n + 1, n + 1)));
                    }
                });
            }
        });
        let expected = if can_replace_pairs() { 40_000 } else { 0 };
        assert_eq!((pair.first.load(SeqCst), pair.second.load(SeqCst)), (expected, expected));
    }
}

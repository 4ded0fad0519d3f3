//! Text that may not grow without bound: what foreign `Display` implementations write, and what crosses in an
//! outcome.

use std::fmt::{self, Write};

/// The longest text that an outcome carries, in bytes.
pub(crate) const MAX_TEXT: usize = 64 * 1024;

/// The longest prefix of `text` of at most `max` bytes that ends between two characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max { text } else { &text[..text.floor_char_boundary(max)] }
}

/// What `arguments` write, up to [`MAX_TEXT`] bytes.
///
/// Unlike `to_string` this does not panic when a `Display` implementation reports an error: what it wrote
/// until then is kept.
pub(crate) fn written(arguments: fmt::Arguments<'_>) -> String {
    let mut sink = Bounded(String::new());
    // An error here means "full" or a `Display` that gave up; the text so far is the best there is in both
    // cases.
    let _ = sink.write_fmt(arguments);
    sink.0
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = MAX_TEXT - self.0.len();
        let fitting = cut(piece, room);
        self.0.push_str(fitting);
        if fitting.len() == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_never_splits_a_character() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("é", 0), "");
    }

    #[test]
    fn written_is_bounded_and_survives_a_failing_display() {
        struct GivesUp;
        impl fmt::Display for GivesUp {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(written(format_args!("{GivesUp}")), "half");
        let long = "é".repeat(MAX_TEXT);
        assert_eq!(written(format_args!("x{long}")).len(), MAX_TEXT - 1);
    }
}

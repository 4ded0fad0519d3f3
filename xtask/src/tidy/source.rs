//! A source file in which code can be told from comments, strings and test modules.

/// A Rust file and its views. All views have the length of the text, so an offset means the same in each.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    /// The text with spaces in place of comments and of what stands in quotes.
    pub(super) code: String,
    /// The same without modules that are only compiled for tests.
    pub(super) library: String,
    /// The text with spaces in place of everything but comments.
    pub(super) comments: String,
}

impl Source {
    pub(super) fn new(path: String, text: String) -> Source {
        let (code, comments) = split(&text);
        let library = without_tests(&code);
        Source { path, text, code, library, comments }
    }

    /// The line of an offset, counted from one.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// The offsets at which `word` stands as a whole word.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_name = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !part_of_name(code[..at].chars().next_back()) && !part_of_name(code[at + word.len()..].chars().next())
    })
}

/// Code and comments, each with spaces in place of the other.
fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let blank = |range: &[u8]| {
        range.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }).collect::<Vec<u8>>()
    };
    let (mut code, mut comments) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len()));
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let comment = comment(rest);
        let quoted =
            if comment == 0 { quoted(rest, at.checked_sub(1).map(|before| bytes[before])) } else { 0 };
        let taken = comment.max(quoted).max(1);
        let piece = &rest[..taken];
        code.extend(if comment + quoted > 0 { blank(piece) } else { piece.to_vec() });
        comments.extend(if comment > 0 { piece.to_vec() } else { blank(piece) });
        at += taken;
    }
    (String::from_utf8_lossy(&code).into_owned(), String::from_utf8_lossy(&comments).into_owned())
}

/// The length of the comment that starts here; 0 if none does.
fn comment(rest: &[u8]) -> usize {
    if rest.starts_with(b"//") {
        return rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    if !rest.starts_with(b"/*") {
        return 0;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string or character literal that starts here; 0 if none does.
fn quoted(rest: &[u8], before: Option<u8>) -> usize {
    let in_name = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'r', b'"' | b'#', ..] if !in_name || before == Some(b'b') || before == Some(b'c') => raw(rest),
        [b'"', ..] => escaped(rest, b'"'),
        // a character, unless it is a lifetime: 'a' and '\n' but not 'a
        [b'\'', b'\\', ..] => escaped(rest, b'\''),
        [b'\'', next, ..] => {
            let length = 1 + utf8_length(*next);
            if rest.get(length) == Some(&b'\'') { length + 1 } else { 0 }
        }
        _ => 0,
    }
}

fn utf8_length(first: u8) -> usize {
    (first.leading_ones() as usize).max(1)
}

/// A literal with backslashes in it, from one quote to the other.
fn escaped(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"..."` or `r##"..."##`; 0 for a raw identifier.
fn raw(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    let found = rest[body..].windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |at| body + at + end.len())
}

/// Blanks each `#[cfg(test)] mod NAME { ... }`.
fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (at, marker) in code.match_indices("#[cfg(test)]") {
        let after = code[at + marker.len()..].trim_start();
        let Some(open) = code[at..].find('{').filter(|_| after.starts_with("mod ")) else { continue };
        if code[at..at + open].contains(';') {
            continue;
        }
        let mut depth = 0_usize;
        for byte in &mut bytes[at + open..] {
            match *byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            let last = *byte == b'}' && depth == 0;
            if *byte != b'\n' {
                *byte = b' ';
            }
            if last {
                break;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Source, words};

    fn code(text: &str) -> String {
        Source::new(String::new(), text.to_owned()).code
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        for text in [
            "x // no",
            "x /* no /* no */ no */",
            "x \"no\\\"no\"",
            "x r#\"no\"no\"#",
            "x b\"no\"",
            "x '\\n'",
            "x 'n'",
            "x 'ä'",
        ] {
            let code = code(text);
            assert_eq!(code.len(), text.len());
            assert!(code.starts_with('x') && !code.contains('n'), "{text}: {code}");
        }
        assert_eq!(code("fn f<'no>(r#in: &'no str) {}"), "fn f<'no>(r#in: &'no str) {}");
        assert_eq!(code("'\"' yes \"no\""), "    yes     ");
    }

    #[test]
    fn test_modules_are_not_library_code() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n#[cfg(test)]\nmod other;\nfn d() {}";
        let library = Source::new(String::new(), text.to_owned()).library;
        assert!(
            library.contains("fn a")
                && !library.contains("fn b")
                && library.contains("fn c")
                && library.contains("fn d")
        );
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(words("unix unix_x linunix cfg(unix)", "unix").collect::<Vec<_>>(), [0, 24]);
    }
}

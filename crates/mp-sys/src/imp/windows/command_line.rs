//! Command lines and environment blocks.
//!
//! Windows passes one string; the C runtime of the child takes it apart. Its rules: blanks separate, quotes keep blanks, and
//! backslashes are themselves except before a quote, where two stand for one and an odd one makes the quote a character.

use super::handle::wide;
use std::{
    ffi::{OsStr, OsString},
    io,
    os::windows::ffi::OsStrExt,
};

const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;

/// The program's name and its arguments, ending in NUL.
pub(crate) fn command_line(name: &OsStr, args: &[OsString]) -> io::Result<Vec<u16>> {
    // The name is taken apart by another rule: all between the quotes, and no way to have a quote inside.
    let name = wide(name)?;
    let name = &name[..name.len() - 1];
    if name.contains(&QUOTE) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a quote in the name of a program"));
    }
    let mut line = vec![QUOTE];
    line.extend(name);
    line.push(QUOTE);
    for arg in args {
        let arg = wide(arg)?;
        line.push(u16::from(b' '));
        quote(&arg[..arg.len() - 1], &mut line);
    }
    line.push(0);
    Ok(line)
}

fn quote(arg: &[u16], line: &mut Vec<u16>) {
    let plain = |unit: &u16| !matches!(u8::try_from(*unit), Ok(b' ' | b'\t' | b'\n' | b'\x0b' | b'"'));
    if !arg.is_empty() && arg.iter().all(plain) {
        line.extend(arg);
        return;
    }
    line.push(QUOTE);
    let mut backslashes = 0;
    for &unit in arg {
        match unit {
            BACKSLASH => backslashes += 1,
            QUOTE => line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1)), // those before are doubled, and one more
            _ => {}
        }
        if unit != BACKSLASH {
            backslashes = 0;
        }
        line.push(unit);
    }
    line.extend(std::iter::repeat_n(BACKSLASH, backslashes)); // doubled before the closing quote
    line.push(QUOTE);
}

/// `NAME=value` strings in the system's order, each ending in NUL, and a NUL.
pub(crate) fn environment_block(env: &[(OsString, OsString)]) -> io::Result<Vec<u16>> {
    let mut variables = Vec::new();
    for (key, value) in env {
        let (name, value) = (wide(key)?, wide(value)?);
        let name = &name[..name.len() - 1];
        // The shell keeps a directory for each drive in variables such as "=C:".
        if name.is_empty() || name[1..].contains(&u16::from(b'=')) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an environment variable without a proper name",
            ));
        }
        let order: Vec<u16> = key.to_ascii_uppercase().encode_wide().collect();
        variables.push((order, [name, &[u16::from(b'=')], &value].concat()));
    }
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut block: Vec<u16> = variables.into_iter().flat_map(|(_, variable)| variable).collect();
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::{command_line, environment_block};
    use std::ffi::OsStr;

    fn line(args: &[&str]) -> String {
        let args: Vec<_> = args.iter().map(Into::into).collect();
        let line = command_line(OsStr::new("my prog"), &args).expect("a line");
        String::from_utf16(&line).expect("text")
    }

    #[test]
    fn only_what_needs_it_is_quoted() {
        assert_eq!(line(&["a", "", "b c", "d\\e"]), "\"my prog\" a \"\" \"b c\" d\\e\0");
        assert_eq!(line(&["a\"b"]), "\"my prog\" \"a\\\"b\"\0");
        assert_eq!(line(&["a\\\"b"]), "\"my prog\" \"a\\\\\\\"b\"\0");
        assert_eq!(line(&["a b\\"]), "\"my prog\" \"a b\\\\\"\0");
        assert_eq!(line(&["a\\\\ b"]), "\"my prog\" \"a\\\\ b\"\0");
        assert!(command_line(OsStr::new("a\"b"), &[]).is_err());
    }

    #[test]
    fn the_environment_is_sorted_without_regard_to_case() {
        let block = |env: &[(&str, &str)]| {
            let env: Vec<_> = env.iter().map(|(k, v)| (k.into(), v.into())).collect();
            environment_block(&env).map(|block| String::from_utf16(&block).expect("text"))
        };
        assert_eq!(block(&[("b", "2"), ("A", "1"), ("C", "")]).expect("block"), "A=1\0b=2\0C=\0\0");
        assert_eq!(block(&[]).expect("block"), "\0\0");
        assert_eq!(block(&[("=C:", "C:\\x")]).expect("block"), "=C:=C:\\x\0\0");
        assert!(block(&[("", "1")]).is_err() && block(&[("a=b", "1")]).is_err());
    }
}

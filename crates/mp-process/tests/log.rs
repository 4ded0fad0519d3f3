//! Events of processes on standard error, in children as in their parent.
#![cfg(feature = "tracing")]

use mp_process::{Error, Process, StartMethod, Stream, log_to_stderr};
use tracing::Level;

mp_process::enable_in_tests!();

fn inner() {
    tracing::warn!(answer = 42, "from below");
    tracing::trace!("too much");
}

fn outer(by: String) -> Result<u32, Error> {
    log_to_stderr(Level::DEBUG)?;
    assert!(matches!(log_to_stderr(Level::INFO), Err(Error::InvalidArgument { .. })), "once");
    tracing::info!("from above");
    let child = Process::builder().name("inner").start_method(by.parse()?).spawn(inner, ())?;
    child.join()?;
    Ok(child.pid())
}

#[test]
fn each_line_says_whose_it_is() {
    for by in StartMethod::available() {
        let b = Process::builder().name("outer").stderr(Stream::Piped);
        let child = b.spawn(outer, (by.to_string(),)).unwrap();
        let captured = child.join_captured().unwrap();
        let (above, below) = (child.pid(), captured.value.unwrap());
        let text = String::from_utf8(captured.stderr).unwrap();
        let expected = [
            format!("[INFO/outer {above}] from above"),
            format!("[DEBUG/outer {above}] started child=inner (pid {below}) method={by}"),
            format!("[DEBUG/inner {below}] begins"),
            format!("[WARN/inner {below}] from below answer=42"),
            format!("[DEBUG/inner {below}] ends"),
            format!("[DEBUG/outer {above}] ended child=inner (pid {below}) how=exited with code 0"),
        ];
        for line in &expected {
            assert!(text.lines().any(|l| l == line), "{line}\n---\n{text}");
        }
        assert!(!text.contains("too much"));
    }
}

/// A process that does not log has children that do not.
#[test]
fn silence_is_inherited() {
    for by in StartMethod::available() {
        let child = Process::builder().start_method(*by).stderr(Stream::Piped).spawn(inner, ()).unwrap();
        let captured = child.join_captured().unwrap();
        assert_eq!((captured.value, captured.stderr), (Ok(()), Vec::new()));
    }
}

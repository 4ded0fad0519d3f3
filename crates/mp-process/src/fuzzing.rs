//! Doors for the fuzz targets: what this crate reads from other processes, and does not show.

use mp_wire::Result;

use crate::fork_server;
use crate::spec::{Limit, Spec};

/// Reads the head of a child's arguments; what was read is written the same again. Returns how many bytes follow it.
///
/// # Errors
/// What [`Spec::read`] says.
pub fn spec(bytes: &[u8]) -> Result<usize> {
    let (spec, rest) = Spec::read(bytes)?;
    let mut once = Vec::new();
    spec.write(&mut once)?;
    let mut twice = Vec::new();
    Spec::read(&once)?.0.write(&mut twice)?;
    assert_eq!(once, twice, "what was read is written the same");
    Ok(rest.len())
}

/// Good heads, to begin from.
pub fn specs() -> Vec<Vec<u8>> {
    let full = Spec {
        target: -77,
        env: Some(vec![("A".into(), "b".into()), ("C".into(), "d".into())]),
        cwd: Some("/tmp".into()),
        umask: Some(0o22),
        nice: Some(-3),
        affinity: Some(vec![0, 1]),
        limits: vec![(Limit::OpenFiles, 32), (Limit::Stack, 1 << 20)],
        ..Spec::default()
    };
    let written = [Spec::default(), full].map(|spec| {
        let mut bytes = Vec::new();
        spec.write(&mut bytes).map(|()| bytes)
    });
    written.into_iter().flatten().collect()
}

/// Reads what a fork server is told by its environment.
///
/// # Errors
/// What the server would report.
pub fn server_variable(text: &str) -> Result<()> {
    fork_server::parse(text).map(|_| ())
}

//! What processes do, as events of the `tracing` library (Python's `get_logger` and `log_to_stderr`). Without the feature `tracing` nothing
//! of this is there.
//!
//! Events have the target `mp_process`. The function of a child runs in a span `process` with the fields `pid` and `name`, so that any
//! subscriber can tell whose an event is; the one that [`log_to_stderr`] installs writes both in front of each line.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::*};

use mp_wire::{Error, Result};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{self as subscriber, FmtContext};
use tracing_subscriber::registry::LookupSpan;

use crate::current::current_process;

/// The levels, as numbers from 1 on.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// What our children are to log; 0 is nothing.
static LEVEL: AtomicU8 = AtomicU8::new(0);

pub(crate) fn inherited() -> u8 {
    LEVEL.load(Relaxed)
}

pub(crate) fn inherit(level: u8) -> Result<()> {
    match usize::from(level).checked_sub(1).and_then(|i| LEVELS.get(i)) {
        Some(level) => log_to_stderr(*level),
        None => Ok(()),
    }
}

/// Writes events of this level and of more urgent ones to standard error, in this process and in all that are started from now on below
/// it, each line as `[LEVEL/name pid] message field=value`.
///
/// For programs that have no subscriber of their own; those that have one get mp's events anyway, and install it in their children
/// themselves.
///
/// # Errors
/// [`Error::InvalidArgument`] when this process has a subscriber already.
///
/// # Examples
/// ```no_run
/// mp_process::init();
/// mp_process::log_to_stderr(tracing::Level::DEBUG)?;
/// let child = mp_process::Process::spawn(|| tracing::info!("at work"), ())?;
/// child.join()?;
/// // [DEBUG/MainProcess 4711] started child=Process-1 (pid 4713) method=forkserver
/// // [INFO/Process-1 4713] at work
/// # Ok::<(), mp_process::Error>(())
/// ```
pub fn log_to_stderr(level: Level) -> Result<()> {
    let subscriber = subscriber::Subscriber::builder()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(Line)
        .finish();
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|e| Error::InvalidArgument { detail: format!("log_to_stderr: {e}") })?;
    let number = LEVELS.iter().position(|l| *l == level).map_or(0, |i| i as u8 + 1);
    LEVEL.store(number, Relaxed);
    Ok(())
}

/// How a line looks.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let current = current_process();
        write!(writer, "[{}/{} {}] ", event.metadata().level(), current.name, current.pid)?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

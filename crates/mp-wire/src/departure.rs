//! Who a process was and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process as people know it: its number and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ident {
    /// The process id.
    pub pid: u32,
    /// The name it was given, such as `worker-1`; empty if it has none.
    pub name: String,
}

impl Ident {
    /// A process by number and name.
    pub fn new(pid: u32, name: impl Into<String>) -> Self {
        Self { pid, name: name.into() }
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "process {}", self.pid)
        } else {
            write!(f, "{} (pid {})", self.name, self.pid)
        }
    }
}

/// How a process left.
///
/// Reads as the end of a sentence about it: "worker-1 (pid 123) was killed by signal 9 (SIGKILL)" puts "was"
/// in front of [`Signalled`](Departure::Signalled) only, which [`sentence`](Departure::sentence) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Departure {
    /// It ended with this exit code.
    Exited(i32),
    /// This signal killed it.
    Signalled(i32),
    /// Its function came to its end.
    Returned,
    /// It is gone and nobody could ask the system how.
    Lost,
    /// It left, and how was not recorded.
    Unknown,
}

impl Departure {
    /// What happened, as the verb of a sentence: "exited with code 3", "was killed by signal 9 (SIGKILL)".
    pub fn sentence(&self) -> impl fmt::Display + use<> {
        struct Sentence(Departure);
        impl fmt::Display for Sentence {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Departure::Signalled(_) => write!(f, "was {}", self.0),
                    other => write!(f, "{other}"),
                }
            }
        }
        Sentence(*self)
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Departure::Exited(code) => write!(f, "exited with code {code}"),
            Departure::Signalled(signal) => match signal_name(signal) {
                Some(name) => write!(f, "killed by signal {signal} ({name})"),
                None => write!(f, "killed by signal {signal}"),
            },
            Departure::Returned => f.write_str("returned"),
            Departure::Lost => f.write_str("disappeared"),
            Departure::Unknown => f.write_str("ended in an unknown way"),
        }
    }
}

/// The signals whose numbers are the same on every Unix. The others (`SIGBUS`, `SIGUSR1`, ...) differ between
/// systems, and a departure does not say on which system it happened, so they keep their number only.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        26 => "SIGVTALRM",
        27 => "SIGPROF",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ident_reads_as_name_and_pid() {
        assert_eq!(Ident::new(123, "worker-1").to_string(), "worker-1 (pid 123)");
        assert_eq!(Ident::new(123, "").to_string(), "process 123");
    }

    #[test]
    fn a_departure_reads_as_what_happened() {
        assert_eq!(Departure::Signalled(9).to_string(), "killed by signal 9 (SIGKILL)");
        assert_eq!(Departure::Signalled(9).sentence().to_string(), "was killed by signal 9 (SIGKILL)");
        assert_eq!(Departure::Signalled(63).to_string(), "killed by signal 63");
        assert_eq!(Departure::Exited(3).sentence().to_string(), "exited with code 3");
    }
}

//! What a fork server does once, so that each child finds it done.
//!
//! The parent tells the server the name of the function's shim when it starts it. A server whose function failed forks nobody: it
//! answers each request with what the function came to.

use std::sync::atomic::{AtomicI64, Ordering::*};
use std::time::{Duration, Instant};

use mp_wire::{Error, Result};

use crate::target::{self, Produced, Target};

/// The name of the function's shim; 0 for none. In a server's children the server's own: what they start is to find it done, too.
static PRELOAD: AtomicI64 = AtomicI64::new(0);

/// Has the fork server call `function` before it forks the first child (Python's `set_forkserver_preload`): each child has then what
/// it made, in statics say, at no cost. A server that runs already is replaced at the next start.
///
/// The server is a run of this program that does not come to `main`, with one thread. The function may start threads, and must have
/// joined them when it returns; locks that are held then are held in each child. It has no part in the session: queues, locks and
/// processes of mp are for the children. Where children are started by [`Spawn`](crate::StartMethod::Spawn), and on platforms without a fork
/// server, it is never called: what it does must be something that children do themselves where they find it undone.
///
/// # Errors
/// None here. When the function fails, every start by the fork server does: with [`Error::Panicked`], with [`Error::Failed`] that tells
/// its error, or with one that tells how many threads it left behind.
///
/// # Examples
/// ```no_run
/// use std::sync::OnceLock;
///
/// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
///
/// fn table() -> &'static [u64] {
///     TABLE.get_or_init(|| (0..1_000_000).map(|n| n * n).collect())
/// }
///
/// mp_process::init();
/// mp_process::preload(|| { table(); })?;
/// let child = mp_process::Process::spawn(|| table()[1000], ())?; // finds the table made
/// assert_eq!(child.join()?, 1_000_000);
/// # Ok::<(), mp_process::Error>(())
/// ```
pub fn preload<F: Target<()>>(function: F) -> Result<()> {
    PRELOAD.store(target::name_of_target::<F, ()>(function), Relaxed);
    Ok(())
}

/// What a server is to call.
pub(crate) fn name() -> i64 {
    PRELOAD.load(Relaxed)
}

/// In a server: calls it. What it failed with, to be told to whoever asks for a child.
///
/// # Safety
/// `name` is 0, or what [`name`] returned in a process that runs this very image.
pub(crate) unsafe fn run(name: i64) -> Option<Produced> {
    if name == 0 {
        return None;
    }
    PRELOAD.store(name, Relaxed);
    // SAFETY: the caller's promise.
    let shim = unsafe { target::shim_of(name) };
    let mut nothing = Vec::new();
    let produced = match mp_wire::encode(&(), &mut nothing) {
        Ok(encoded) => shim(encoded.codec, &nothing, Vec::new()),
        Err(error) => Produced::failed(error),
    };
    let threads = threads_left();
    match produced.code {
        0 if threads > 1 => {
            let detail =
                format!("{} threads left behind in the fork server by what it preloads", threads - 1);
            Some(Produced::failed(Error::InvalidArgument { detail }))
        }
        0 => None,
        _ => Some(produced),
    }
}

/// How many threads there are. One that was joined a moment ago may not be quite gone, and the system has no word for that but the
/// count itself: looked at again for a while.
fn threads_left() -> u64 {
    let until = Instant::now() + Duration::from_millis(200);
    loop {
        let threads = mp_sys::thread_count().unwrap_or(1);
        if threads <= 1 || Instant::now() > until {
            return threads;
        }
        std::thread::yield_now();
    }
}

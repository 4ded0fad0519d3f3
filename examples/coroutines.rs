//! Two hundred waits of 50 ms each: two workers with many coroutines each are through in a small part of the ten seconds that one after the
//! other would take.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mp::prelude::*;

/// A download that takes its time: ready after a while, when a thread that stands for the network says so.
struct Download {
    arrived: Arc<Mutex<(bool, Option<Waker>)>>,
}

fn download(time: Duration) -> Download {
    let arrived: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let network = arrived.clone();
    std::thread::spawn(move || {
        std::thread::sleep(time);
        let mut state = network.lock().unwrap_or_else(|e| e.into_inner());
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    });
    Download { arrived }
}

impl Future for Download {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.arrived.lock().unwrap_or_else(|e| e.into_inner());
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

async fn fetch(page: u32) -> (u32, u32) {
    download(Duration::from_millis(50)).await;
    (page, std::process::id())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let pool = Pool::new(2)?;
    let begun = Instant::now();
    let fetched: Vec<(u32, u32)> =
        pool.map_futures(fetch, 0..200, 50)?.into_iter().collect::<mp::Result<_>>()?;
    let took = begun.elapsed();
    let pids: std::collections::HashSet<u32> = fetched.iter().map(|(_, pid)| *pid).collect();
    println!("{} waits of 50 ms by {} processes took {took:.2?}", fetched.len(), pids.len());
    assert!(fetched.iter().map(|(page, _)| *page).eq(0..200));
    assert!(took < Duration::from_secs(5));
    Ok(())
}

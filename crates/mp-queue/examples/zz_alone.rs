//! scratch
fn main() {
    let q = mp_queue::Queue::bounded(1024).unwrap();
    let begin = std::time::Instant::now();
    let n = 10_000_000u64;
    for i in 0..n { q.put(i).unwrap(); q.get().unwrap(); }
    println!("{:.1} ns", begin.elapsed().as_secs_f64() * 1e9 / n as f64);
}

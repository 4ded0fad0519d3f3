//! mp-shared alone: a structure of one's own in shared memory, leased by two threads and then frozen.

use mp_shared::{Array, Shared, Value};

#[derive(Clone, Copy, Shared)]
#[repr(C)]
struct Sample {
    time: u64,
    value: f32,
}

fn main() -> mp_shared::Result<()> {
    let samples = Array::<Sample>::new(1000)?;
    let filled = Value::new(0_usize)?;
    std::thread::scope(|scope| {
        let fill = |part: mp_shared::Slice<Sample>| {
            part.lease()?.iter_mut().for_each(|sample| *sample = Sample { time: 1, value: 0.5 });
            *filled.lock()? += part.len();
            Ok::<(), mp_shared::Error>(())
        };
        let rest = samples.slice(400..)?;
        let thread = scope.spawn(move || fill(rest));
        fill(samples.slice(..400)?)?;
        thread.join().expect("the thread does not panic")
    })?;
    let all = samples.freeze()?;
    assert_eq!(all.iter().map(|sample| sample.time).sum::<u64>(), 1000);
    assert_eq!((all[999].value, filled.get()?), (0.5, 1000));
    Ok(())
}

//! What do operations on shared containers cost, from one process and from several? (GOALS.md, P7, in the session.)

#[cfg(target_os = "linux")]
fn main() {
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: manager (its benchmarks run on Linux)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::rc::Rc;

    use mp_benches::table::{Unit, timed};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_manager::{Dict, List, Namespace, Set};
    use mp_process::Process;
    use mp_queue::{Receiver, Sender};

    const KEYS: u32 = 10_000;
    /// Four million a second, and six.
    const SET: f64 = 1e9 / 4e6;
    const GET: f64 = 1e9 / 6e6;

    type Mp = mp_manager::Error;

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO], |placement| {
            for error in
                [alone(placement), others(placement), together(placement)].into_iter().filter_map(Result::err)
            {
                println!("manager: {error}");
            }
        });
    }

    fn times<R>(count: u32, mut one: impl FnMut(u32) -> Result<R, Mp>) -> Result<Spent, Failure> {
        timed(|| {
            for n in 0..count {
                std::hint::black_box(one(n)?);
            }
            Ok(())
        })
    }

    /// Another order than that of insertion, so that neighbours are not neighbours.
    fn shuffled(n: u32) -> u32 {
        n.wrapping_mul(2_654_435_761) % KEYS
    }

    fn alone(placement: Placement) -> Result<(), Failure> {
        let texts: Vec<String> = (0..KEYS).map(|n| format!("key {n}")).collect();
        let (numbers, strings) = (Dict::<u64, u64>::new()?, Dict::<String, String>::new()?);
        let locked = parking_lot::Mutex::new(HashMap::new());
        for n in 0..KEYS {
            numbers.insert(&u64::from(n), 7)?;
            strings.insert(&texts[n as usize], format!("value {n}"))?;
            locked.lock().insert(texts[n as usize].clone(), format!("value {n}"));
        }
        let key = |n: u32| &texts[shuffled(n) as usize];
        let n = 500_000;
        let value = "value 77".to_owned();
        let mut table = Table::new("A dict of 10,000 entries, one process", Unit::Nanos, placement);
        table.row("bound: locked HashMap of Strings, set", n, &[], |n| {
            times(n, |i| {
                if let Some(old) = locked.lock().get_mut(key(i)) {
                    old.clone_from(&value);
                }
                Ok(())
            })
        });
        table.row("bound: locked HashMap of Strings, get", n, &[], |n| {
            times(n, |i| Ok(locked.lock().get(key(i)).cloned()))
        });
        table.row("mp Dict of Strings, set", n, &[Goal::AtMost(SET)], |n| {
            times(n, |i| strings.insert(key(i), &value))
        });
        table.row("mp Dict of Strings, get", n, &[Goal::AtMost(GET)], |n| times(n, |i| strings.get(key(i))));
        table.row("mp Dict of u64, set", n, &[Goal::AtMost(SET)], |n| {
            times(n, |i| numbers.insert(&u64::from(shuffled(i)), u64::from(i)))
        });
        table.row("mp Dict of u64, get", n, &[Goal::AtMost(GET)], |n| {
            times(n, |i| numbers.get(&u64::from(shuffled(i))))
        });
        table.row("mp Dict of u64, entry and modify", n / 2, &[], |n| {
            times(n, |i| numbers.entry(&u64::from(shuffled(i))).and_modify(|v| *v += 1).or_insert(0))
        });
        table.row("mp Dict of u64, new keys", n, &[], |n| {
            let fresh = Dict::<u64, u64>::new()?;
            times(n, |i| fresh.insert(&u64::from(i), u64::from(i)))
        });
        match Python::start() {
            Err(reason) => table.note(reason.to_string()),
            Ok(python) => {
                let python = Rc::new(RefCell::new(python));
                let getter = python.clone();
                table.row("CPython Manager().dict(), set", 5_000, &[], move |n| {
                    python.borrow_mut().run("managed_set", n)
                });
                table.row("CPython Manager().dict(), get", 5_000, &[], move |n| {
                    getter.borrow_mut().run("managed_get", n)
                });
            }
        }
        table.measure();
        Ok(())
    }

    fn others(placement: Placement) -> Result<(), Failure> {
        let list = List::from_values(0..u64::from(KEYS))?;
        let queue = List::<u64>::new()?;
        let set = Set::<u64>::from_values(0..u64::from(KEYS))?;
        let namespace = Namespace::new()?;
        namespace.set("x", 1)?;
        let n = 300_000;
        let mut table = Table::new("Other containers, one process", Unit::Nanos, placement);
        table.row("mp List, get", n, &[], |n| times(n, |i| list.get(shuffled(i) as usize)));
        table.row("mp List, set", n, &[], |n| times(n, |i| list.set(shuffled(i) as usize, u64::from(i))));
        table.row("mp List, append and pop", n, &[], |n| {
            times(n, |i| {
                queue.append(u64::from(i))?;
                queue.pop()
            })
        });
        table.row("mp List of 10,000, insert in the middle and pop there", 2_000, &[], |n| {
            times(n, |i| {
                list.insert(5_000, u64::from(i))?;
                list.pop_at(5_000)
            })
        });
        table.row("mp Set, contains", n, &[], |n| times(n, |i| set.contains(&u64::from(shuffled(i)))));
        table.row("mp Namespace, get", n, &[], |n| times(n, |_| namespace.get::<i64>("x")));
        table.row("mp Dict, make and drop", 20_000, &[], |n| times(n, |_| Dict::<u64, u64>::new()));
        table.measure();
        Ok(())
    }

    /// Sets, or gets, as often as it is told, for ever.
    fn other(dict: Dict<u64, u64>, work: Receiver<(u32, bool)>, done: Sender<()>) -> Result<(), Mp> {
        loop {
            let (count, sets) = work.get()?;
            half(&dict, count, sets, 1)?;
            done.put(())?;
        }
    }

    /// Each process has keys of its own, in all shards.
    fn half(dict: &Dict<u64, u64>, count: u32, sets: bool, me: u32) -> Result<(), Mp> {
        for n in 0..count {
            let key = u64::from(shuffled(n) / 2 * 2 + me);
            if sets {
                dict.insert(&key, u64::from(n))?;
            } else {
                std::hint::black_box(dict.get(&key)?);
            }
        }
        Ok(())
    }

    fn together(placement: Placement) -> Result<(), Failure> {
        let dict = Dict::<u64, u64>::new()?;
        dict.update((0..u64::from(KEYS)).map(|n| (n, n)))?;
        let (work, todo) = mp_queue::unbounded()?;
        let (done, is_done) = mp_queue::unbounded()?;
        let child = Process::builder().daemon(true).spawn(other, (dict.clone(), todo, done))?;
        let mut table = Table::new(
            "A dict of 10,000 entries, two processes, per operation of either",
            Unit::Nanos,
            placement,
        );
        let n = 400_000;
        for (name, sets, goal) in [("mp Dict of u64, set", true, SET), ("mp Dict of u64, get", false, GET)] {
            let (work, is_done, dict) = (&work, &is_done, &dict);
            table.row(name, n, &[Goal::AtMost(goal)], move |n| {
                timed(|| {
                    work.put((n / 2, sets))?;
                    half(dict, n / 2, sets, 0)?;
                    Ok(is_done.get()?)
                })
            });
        }
        table.measure();
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

//! mp-manager alone: a dict of lists, shared by threads.

use mp_manager::{Dict, List};

fn main() -> mp_manager::Result<()> {
    let teams = Dict::<String, List<u32>>::new()?;
    teams.insert("red", List::new()?)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u32)
            .map(|n| {
                let teams = teams.clone();
                scope.spawn(move || match teams.get("red")? {
                    Some(red) => red.append(n),
                    None => Ok(()),
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    let red = teams.pop("red")?.expect("it is in there");
    red.sort()?;
    assert_eq!(red.to_vec()?, [0, 1, 2, 3]);
    Ok(())
}

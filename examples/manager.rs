//! A dict and a list that five children fill. In Python a manager process would have to serve them; here they lie in shared memory.

use mp::prelude::*;

/// What the child with this number adds.
fn fill(squares: Dict<u32, String>, list: List<u32>, me: u32) -> mp::Result<()> {
    squares.insert(&me, format!("{me} squared is {}", me * me))?;
    list.extend([me, me + 10])
}

#[mp::main]
fn main() -> mp::Result<()> {
    let manager = Manager::new()?;
    let squares = manager.dict::<u32, String>()?;
    let list = manager.list::<u32>()?;
    let children: Vec<_> = (0..5)
        .map(|me| Process::spawn(fill, (squares.clone(), list.clone(), me)))
        .collect::<mp::Result<_>>()?;
    children.iter().try_for_each(Process::join)?;

    for (key, value) in squares.items()? {
        println!("{key}: {value}");
    }
    list.sort()?;
    println!("{:?}", list.to_vec()?);
    assert_eq!(squares.len()?, 5);
    assert_eq!(squares.get(&4)?.as_deref(), Some("4 squared is 16"));
    assert_eq!(list.to_vec()?, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
    Ok(())
}

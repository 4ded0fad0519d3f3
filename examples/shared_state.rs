//! An int, a float, a string and an array of points in shared memory, changed in place by a child.

use mp::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, mp::Shared)]
#[repr(C)]
struct Point {
    x: f64,
    y: f64,
}

fn modify(n: Value<i32>, x: Value<f64>, s: Array<u8>, a: Array<Point>) -> mp::Result<()> {
    let mut n = n.lock()?; // exclusive until the guard is dropped; killed meanwhile? the next one is told
    *n *= *n;
    let mut x = x.lock()?;
    *x *= *x;
    s.lock()?.make_ascii_uppercase();
    for point in &mut *a.lock()? {
        point.x *= point.x;
        point.y *= point.y;
    }
    Ok(())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let n = Value::new(7)?;
    let x = Value::new(1.0 / 3.0)?;
    let s = Array::from_slice(b"hello world")?;
    let points = [(1.875, -6.25), (-5.75, 2.0), (2.375, 9.5)];
    let a = Array::from_slice(&points.map(|(x, y)| Point { x, y }))?;

    let child = Process::spawn(modify, (n.clone(), x.clone(), s.clone(), a.clone()))?;
    child.join()?;

    let text = String::from_utf8_lossy(&s.to_vec()?).into_owned();
    println!("{}", n.get()?);
    println!("{}", x.get()?);
    println!("{text}");
    let all = a.freeze()?; // nobody will change it any more: a plain slice from here on
    println!("{:?}", all.iter().map(|p| (p.x, p.y)).collect::<Vec<_>>());

    assert_eq!((n.get()?, text.as_str()), (49, "HELLO WORLD"));
    assert!((x.get()? - 1.0 / 9.0).abs() < 1e-15);
    assert_eq!(all[2], Point { x: 5.640625, y: 90.25 });
    Ok(())
}

//! Sets.

use std::collections::HashSet;

use crate::any::Any;
use crate::set::Set;

use super::args::elements;
use super::{Args, Exception, Fault, Result, Tried, no_method};

pub(super) fn set(set: &Set<Any>, method: &str, args: &mut Args) -> Result<Tried> {
    Ok(match method {
        "#ADD" => set.add(&args.need("element")?)?.into(),
        "add" => {
            set.add(&args.need("element")?)?;
            Any::None.into()
        }
        "remove" => {
            let element = args.need("element")?;
            if !set.remove(&element)? {
                return Err(Exception::Key.of(element));
            }
            Any::None.into()
        }
        "discard" => {
            set.remove(&args.need("element")?)?;
            Any::None.into()
        }
        "pop" => match set.pop()? {
            Some(element) => element.into(),
            None => return Err(Exception::Key.says("pop from an empty set")),
        },
        "clear" => {
            set.clear()?;
            Any::None.into()
        }
        "__contains__" => set.contains(&args.need("element")?)?.into(),
        "__len__" => set.len()?.into(),
        "__iter__" => Tried::Iterator(set.to_vec()?),
        "copy" => Any::Set(set.to_vec()?).into(),
        "update" | "__ior__" => {
            while args.len() > 0 {
                set.update(elements(args.need("other")?)?)?;
            }
            Any::None.into()
        }
        "difference_update" | "__isub__" => {
            while args.len() > 0 {
                set.subtract(elements(args.need("other")?)?)?;
            }
            Any::None.into()
        }
        "intersection_update" | "__iand__" => {
            let other = elements(args.need("other")?)?;
            set.subtract(without(set.to_vec()?, &other)?)?;
            Any::None.into()
        }
        "symmetric_difference_update" | "__ixor__" => {
            let (ours, other) = (set.to_vec()?, elements(args.need("other")?)?);
            let (both, new) = (with(ours.clone(), &other)?, without(other, &ours)?);
            set.subtract(both)?;
            set.update(new)?;
            Any::None.into()
        }
        _ => return set_algebra(set.to_vec()?, method, args),
    })
}

/// What leaves the set as it is.
fn set_algebra(ours: Vec<Any>, method: &str, args: &mut Args) -> Result<Tried> {
    let other = elements(args.need("other")?)?;
    let subset = |a: &[Any], b: &[Any]| Ok::<_, Fault>(a.is_empty() || without(a.to_vec(), b)?.is_empty());
    Ok(match method {
        "union" | "__or__" | "__ror__" => {
            let mut all = ours;
            let mut more = other;
            loop {
                let new = without(more, &all)?;
                all.extend(distinct(new)?);
                match args.next("other") {
                    Some(next) => more = elements(next)?,
                    None => break,
                }
            }
            Any::Set(all).into()
        }
        "intersection" | "__and__" | "__rand__" => Any::Set(with(ours, &other)?).into(),
        "difference" | "__sub__" => Any::Set(without(ours, &other)?).into(),
        "__rsub__" => Any::Set(without(other, &ours)?).into(),
        "symmetric_difference" | "__xor__" | "__rxor__" => {
            let mut all = without(ours.clone(), &other)?;
            all.extend(distinct(without(other, &ours)?)?);
            Any::Set(all).into()
        }
        "isdisjoint" => with(ours, &other)?.is_empty().into(),
        "issubset" | "__le__" => subset(&ours, &other)?.into(),
        "issuperset" | "__ge__" => subset(&other, &ours)?.into(),
        "__lt__" => (subset(&ours, &other)? && !subset(&other, &ours)?).into(),
        "__gt__" => (subset(&other, &ours)? && !subset(&ours, &other)?).into(),
        "__eq__" => (subset(&ours, &other)? && subset(&other, &ours)?).into(),
        "__ne__" => (!subset(&ours, &other)? || !subset(&other, &ours)?).into(),
        _ => return Err(no_method("set", method)),
    })
}

/// An element as it is compared.
fn key(element: &Any) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    mp_wire::encode(&element.to_key()?, &mut bytes)?;
    Ok(bytes)
}

fn keys(elements: &[Any]) -> Result<HashSet<Vec<u8>>> {
    elements.iter().map(key).collect()
}

/// Those of the elements of which that holds: whether they are among the others.
fn chosen(all: Vec<Any>, others: &[Any], among: bool) -> Result<Vec<Any>> {
    let others = keys(others)?;
    all.into_iter()
        .filter_map(|element| match key(&element) {
            Ok(key) => (others.contains(&key) == among).then_some(Ok(element)),
            Err(fault) => Some(Err(fault)),
        })
        .collect()
}

fn with(all: Vec<Any>, only: &[Any]) -> Result<Vec<Any>> {
    chosen(all, only, true)
}

fn without(all: Vec<Any>, others: &[Any]) -> Result<Vec<Any>> {
    chosen(all, others, false)
}

fn distinct(all: Vec<Any>) -> Result<Vec<Any>> {
    let mut seen = HashSet::new();
    all.into_iter()
        .filter_map(|element| match key(&element) {
            Ok(key) => seen.insert(key).then_some(Ok(element)),
            Err(fault) => Some(Err(fault)),
        })
        .collect()
}

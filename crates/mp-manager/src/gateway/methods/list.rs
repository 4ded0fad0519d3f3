//! Lists, and arrays, which are lists of numbers of one kind.

use std::cmp::Ordering;

use crate::any::Any;
use crate::list::List;
use crate::python::slice_of;
use crate::value::Array;

use super::args::{elements, int};
use super::order::compare;
use super::{Args, Exception, Result, Tried, no_method};

type AnyList = List<Any>;

/// As Python: from the end if it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add_unsigned(len as u64)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

fn out_of_range(what: &str) -> super::Fault {
    Exception::Index.says(format!("{what} out of range"))
}

/// The places that a slice of Python's names in a list of that length.
fn places((start, stop, step): (Option<i64>, Option<i64>, Option<i64>), len: usize) -> Result<Vec<usize>> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Exception::Value.says("slice step cannot be zero"));
    }
    let len = len as i64;
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |at: Option<i64>, default: i64| match at {
        None => default,
        Some(at) if at < 0 => at.saturating_add(len).clamp(low, high),
        Some(at) => at.clamp(low, high),
    };
    let (start, stop) = if step > 0 {
        (bound(start, low), bound(stop, high))
    } else {
        (bound(start, high), bound(stop, low))
    };
    let mut all = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        all.push(at as usize);
        at = at.saturating_add(step);
    }
    Ok(all)
}

fn get(list: &AnyList, index: &Any) -> Result<Any> {
    if let Some(slice) = slice_of(index) {
        let all = list.to_vec()?;
        return Ok(Any::List(places(slice, all.len())?.into_iter().map(|at| all[at].clone()).collect()));
    }
    let index = int(index)?;
    let at = if index < 0 { place(index, list.len()?) } else { usize::try_from(index).ok() };
    match at.map(|at| list.get(at)).transpose()?.flatten() {
        Some(value) => Ok(value),
        None => Err(out_of_range("list index")),
    }
}

fn set(list: &AnyList, index: &Any, value: Any) -> Result<()> {
    if let Some(slice) = slice_of(index) {
        let at = places(slice, list.len()?)?;
        let values = elements(value)?;
        if slice.2.unwrap_or(1) == 1 {
            let start = at.first().copied().unwrap_or_else(|| start_of(slice, list.len().unwrap_or(0)));
            return Ok(list.splice(start..start + at.len(), values)?);
        }
        if at.len() != values.len() {
            let text = format!(
                "attempt to assign sequence of size {} to extended slice of size {}",
                values.len(),
                at.len()
            );
            return Err(Exception::Value.says(text));
        }
        for (at, value) in at.into_iter().zip(values) {
            list.set(at, value)?;
        }
        return Ok(());
    }
    let at = place(int(index)?, list.len()?);
    match at.map(|at| list.set(at, value)).transpose()? {
        Some(true) => Ok(()),
        _ => Err(out_of_range("list assignment index")),
    }
}

/// Where a slice without places in it begins.
fn start_of((start, ..): (Option<i64>, Option<i64>, Option<i64>), len: usize) -> usize {
    let start = start.unwrap_or(0);
    let start = if start < 0 { start.saturating_add(len as i64).max(0) } else { start };
    (start as usize).min(len)
}

fn remove(list: &AnyList, index: &Any) -> Result<()> {
    if let Some(slice) = slice_of(index) {
        let mut at = places(slice, list.len()?)?;
        at.sort_unstable();
        for at in at.into_iter().rev() {
            list.pop_at(at)?;
        }
        return Ok(());
    }
    let at = place(int(index)?, list.len()?);
    match at.map(|at| list.pop_at(at)).transpose()?.flatten() {
        Some(_) => Ok(()),
        None => Err(out_of_range("list assignment index")),
    }
}

pub(super) fn list(list: &AnyList, method: &str, args: &mut Args) -> Result<Tried> {
    Ok(match method {
        "__getitem__" => get(list, &args.need("index")?)?.into(),
        "__setitem__" => {
            let index = args.need("index")?;
            set(list, &index, args.need("value")?)?;
            Any::None.into()
        }
        "append" => {
            list.append(args.need("object")?)?;
            Any::None.into()
        }
        "__len__" => list.len()?.into(),
        "extend" | "__iadd__" => {
            list.extend(elements(args.need("iterable")?)?)?;
            Any::None.into()
        }
        "pop" => {
            let index = args.int("index")?.unwrap_or(-1);
            let popped = if index == -1 {
                list.pop()?
            } else {
                place(index, list.len()?).map(|at| list.pop_at(at)).transpose()?.flatten()
            };
            match popped {
                Some(value) => value.into(),
                None if list.is_empty()? => return Err(Exception::Index.says("pop from empty list")),
                None => return Err(out_of_range("pop index")),
            }
        }
        "insert" => {
            let index = args.int("index")?.unwrap_or(0);
            let len = list.len()?;
            let at = if index < 0 { index.saturating_add(len as i64).max(0) } else { index };
            list.insert(at as usize, args.need("object")?)?;
            Any::None.into()
        }
        "__delitem__" => {
            remove(list, &args.need("index")?)?;
            Any::None.into()
        }
        "remove" => {
            if !list.remove(&args.need("value")?)? {
                return Err(Exception::Value.says("list.remove(x): x not in list"));
            }
            Any::None.into()
        }
        "index" => {
            let value = args.need("value")?;
            let (start, stop) = (args.int("start")?, args.int("stop")?);
            let all = list.to_vec()?;
            let found = places((start, stop, None), all.len())?.into_iter().find(|at| all[*at] == value);
            match found {
                Some(at) => at.into(),
                None => return Err(Exception::Value.says(format!("{value} is not in list"))),
            }
        }
        "count" => list.count(&args.need("value")?)?.into(),
        "__contains__" => list.contains(&args.need("value")?)?.into(),
        "__reversed__" => {
            let mut all = list.to_vec()?;
            all.reverse();
            Tried::Iterator(all)
        }
        "__add__" => {
            let Any::List(more) = as_list(args.need("other")?)? else {
                return Err(Exception::Type.says("can only concatenate list to list"));
            };
            let mut all = list.to_vec()?;
            all.extend(more);
            Any::List(all).into()
        }
        "__mul__" | "__rmul__" => {
            let times = usize::try_from(args.int("value")?.unwrap_or(0)).unwrap_or(0);
            let all = list.to_vec()?;
            if all.len().saturating_mul(times) > MOST {
                return Err(Exception::Value.says("the list would be too long"));
            }
            Any::List(std::iter::repeat_n(all, times).flatten().collect()).into()
        }
        "__imul__" => {
            let times = usize::try_from(args.int("value")?.unwrap_or(0)).unwrap_or(0);
            if list.len()?.saturating_mul(times) > MOST {
                return Err(Exception::Value.says("the list would be too long"));
            }
            list.repeat(times)?;
            Any::None.into()
        }
        "clear" => {
            list.clear()?;
            Any::None.into()
        }
        "copy" => Any::List(list.to_vec()?).into(),
        "reverse" => {
            list.reverse()?;
            Any::None.into()
        }
        "sort" => {
            sort(list, args)?;
            Any::None.into()
        }
        _ => return Err(no_method("list", method)),
    })
}

/// The longest list that is made at once from a shorter one.
const MOST: usize = 16 << 20;

fn as_list(value: Any) -> Result<Any> {
    use crate::handle::Handle;
    Ok(match value {
        Any::Handle(Handle::List(list)) => Any::List(list.to_vec()?),
        other => other,
    })
}

/// Values that have no order leave the list as it was.
fn sort(list: &AnyList, args: &mut Args) -> Result<()> {
    let named = |args: &mut Args, name: &str| {
        args.named.iter().position(|(n, _)| n == name).map(|at| args.named.swap_remove(at).1)
    };
    let backwards = named(args, "reverse").is_some_and(|value| value.is_true());
    if named(args, "key").is_some_and(|key| !matches!(key, Any::None)) {
        return Err(Exception::Type
            .says("a shared list cannot be sorted by a function: functions stay in their process"));
    }
    args.end()?;
    let all = list.to_vec()?;
    for pair in all.windows(2) {
        compare(&pair[0], &pair[1])?;
    }
    let mut fault = None;
    list.sort_by(|a, b| match compare(a, b) {
        Ok(order) if backwards => order.reverse(),
        Ok(order) => order,
        Err(error) => {
            fault = Some(error);
            Ordering::Equal
        }
    })?;
    fault.map_or(Ok(()), Err)
}

pub(super) fn array(array: &Array<Any>, method: &str, args: &mut Args) -> Result<Tried> {
    let at = |index: &Any| Ok::<_, super::Fault>(place(int(index)?, array.len()?));
    Ok(match method {
        "__len__" => array.len()?.into(),
        "__getitem__" => {
            let index = args.need("index")?;
            if let Some(slice) = slice_of(&index) {
                let all = array.to_vec()?;
                return Ok(Any::List(
                    places(slice, all.len())?.into_iter().map(|at| all[at].clone()).collect(),
                )
                .into());
            }
            match at(&index)?.map(|at| array.get(at)).transpose()?.flatten() {
                Some(value) => value.into(),
                None => return Err(out_of_range("array index")),
            }
        }
        "__setitem__" => {
            let (index, value) = (args.need("index")?, args.need("value")?);
            let numbers = |value: &Any| match is_number(value) {
                true => Ok(()),
                false => {
                    Err(Exception::Type.says(format!("an array of numbers takes no {:?}", value.type_name())))
                }
            };
            if let Some(slice) = slice_of(&index) {
                let (at, values) = (places(slice, array.len()?)?, elements(value)?);
                values.iter().try_for_each(numbers)?;
                if at.len() != values.len() {
                    return Err(Exception::Value.says("a shared array keeps its length"));
                }
                for (at, value) in at.into_iter().zip(values) {
                    array.set(at, value)?;
                }
                return Ok(Any::None.into());
            }
            numbers(&value)?;
            match at(&index)?.map(|at| array.set(at, value)).transpose()? {
                Some(true) => Any::None.into(),
                _ => return Err(out_of_range("array assignment index")),
            }
        }
        _ => return Err(no_method("array", method)),
    })
}

/// Whether an array may hold it: numbers, and the characters of type code `u`.
pub(crate) fn is_number(value: &Any) -> bool {
    match value {
        Any::Int(_) | Any::BigInt(_) | Any::Float(_) | Any::Bool(_) => true,
        Any::Str(text) => text.chars().count() == 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pythons() {
        let of = |start, stop, step| places((start, stop, step), 5).unwrap();
        assert_eq!(of(None, None, None), [0, 1, 2, 3, 4]);
        assert_eq!(of(Some(1), Some(-1), None), [1, 2, 3]);
        assert_eq!(of(Some(-2), None, None), [3, 4]);
        assert_eq!(of(None, None, Some(-2)), [4, 2, 0]);
        assert_eq!(of(Some(10), Some(-10), Some(-3)), [4, 1]);
        assert_eq!(of(Some(3), Some(1), None), [0; 0]);
        assert_eq!(of(Some(i64::MIN), Some(i64::MAX), Some(i64::MAX)), [0]);
        assert!(places((None, None, Some(0)), 5).is_err());
    }

    #[test]
    fn negative_places_count_from_the_end() {
        assert_eq!(place(-1, 3), Some(2));
        assert_eq!(place(-3, 3), Some(0));
        assert_eq!(place(-4, 3), None);
        assert_eq!(place(3, 3), None);
        assert_eq!(place(i64::MIN, 3), None);
    }
}

//! Dicts, namespaces and values.

use crate::any::Any;
use crate::dict::Dict;
use crate::namespace::Namespace;
use crate::value::Value;

use super::args::entries;
use super::{Args, Exception, Result, Tried, no_method};

type AnyDict = Dict<Any, Any>;

pub(super) fn dict(dict: &AnyDict, method: &str, args: &mut Args) -> Result<Tried> {
    Ok(match method {
        "__getitem__" => {
            let key = args.need("key")?;
            match dict.get(&key)? {
                Some(value) => value.into(),
                None => return Err(Exception::Key.of(key)),
            }
        }
        "__setitem__" => {
            let (key, value) = (args.need("key")?, args.need("value")?);
            dict.insert(&key, value)?;
            Any::None.into()
        }
        "get" => {
            let key = args.need("key")?;
            match dict.get(&key)? {
                Some(value) => value.into(),
                None => args.next("default").unwrap_or_default().into(),
            }
        }
        "__delitem__" => {
            let key = args.need("key")?;
            if !dict.remove(&key)? {
                return Err(Exception::Key.of(key));
            }
            Any::None.into()
        }
        "pop" => {
            let key = args.need("key")?;
            match (dict.pop(&key)?, args.next("default")) {
                (Some(value), _) | (None, Some(value)) => value.into(),
                (None, None) => return Err(Exception::Key.of(key)),
            }
        }
        "popitem" => match dict.pop_item()? {
            Some(pair) => pair.into(),
            None => return Err(Exception::Key.says("popitem(): dictionary is empty")),
        },
        "setdefault" => {
            let key = args.need("key")?;
            dict.set_default(&key, args.next("default").unwrap_or_default())?.into()
        }
        "update" | "__ior__" => {
            let mut more = if args.len() > 0 { entries(args.need("other")?)? } else { Vec::new() };
            more.extend(
                std::mem::take(&mut args.named).into_iter().map(|(name, value)| (Any::Str(name), value)),
            );
            dict.update(more)?;
            Any::None.into()
        }
        "__or__" | "__ror__" => {
            let (mut ours, mut theirs) = (dict.items()?, entries(args.need("other")?)?);
            if method == "__ror__" {
                std::mem::swap(&mut ours, &mut theirs);
            }
            ours.extend(theirs);
            Any::dict(ours).into()
        }
        "#EXCHANGE" => exchange(dict, args)?.into(),
        "__contains__" => dict.contains(&args.need("key")?)?.into(),
        "__len__" => dict.len()?.into(),
        "__iter__" => Tried::Iterator(dict.keys()?),
        "__reversed__" => {
            let mut keys = dict.keys()?;
            keys.reverse();
            Tried::Iterator(keys)
        }
        "keys" => Any::List(dict.keys()?).into(),
        "values" => Any::List(dict.values()?).into(),
        "items" => Any::List(dict.items()?.into_iter().map(Any::from).collect()).into(),
        "copy" => Any::Dict(dict.items()?).into(),
        "clear" => {
            dict.clear()?;
            Any::None.into()
        }
        _ => return Err(no_method("dict", method)),
    })
}

/// Puts a value, or none, in the place of the one that is expected, or of none: what clients of ours change values atomically by.
fn exchange(dict: &AnyDict, args: &mut Args) -> Result<bool> {
    let key = args.need("key")?;
    let mut optional = |name| -> Result<Option<Any>> {
        match args.need(name)? {
            Any::Tuple(mut one) => Ok(one.pop()),
            _ => Err(Exception::Type.says("what may be missing is a tuple of one or none")),
        }
    };
    let (expected, new) = (optional("expected")?, optional("new")?);
    let mut exchanged = false;
    dict.alter(&key, |seen| {
        exchanged = seen == expected;
        if exchanged { new.clone() } else { seen }
    })?;
    Ok(exchanged)
}

pub(super) fn namespace(names: &Namespace, method: &str, args: &mut Args) -> Result<Tried> {
    let name = args.need("name")?;
    let Any::Str(name) = name else { return Err(Exception::Type.says("attribute name must be string")) };
    let missing = || Exception::Attribute.says(format!("'Namespace' object has no attribute '{name}'"));
    Ok(match method {
        "__getattribute__" => names.get_any(&name)?.ok_or_else(missing)?.into(),
        "__setattr__" => {
            names.set(&name, args.need("value")?)?;
            Any::None.into()
        }
        "__delattr__" => {
            if !names.delete(&name)? {
                return Err(missing());
            }
            Any::None.into()
        }
        _ => return Err(no_method("Namespace", method)),
    })
}

pub(super) fn value(cell: &Value<Any>, method: &str, args: &mut Args) -> Result<Tried> {
    Ok(match method {
        "get" => cell.get()?.into(),
        "set" => {
            cell.set(args.need("value")?)?;
            Any::None.into()
        }
        "#EXCHANGE" => {
            let (expected, new) = (args.need("expected")?, args.need("new")?);
            cell.compare_exchange(&expected, new)?.is_ok().into()
        }
        _ => return Err(no_method("Value", method)),
    })
}

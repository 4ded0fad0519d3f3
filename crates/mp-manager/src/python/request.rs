//! Requests: `(id, method, args, kwds)`.

use crate::any::Any;
use crate::gateway::methods::Args;

use super::pickle::{self, Graph, Id, Limits, Node, PickleError};
use super::value::{self, Proxies};

/// The longest range that is taken apart.
const LONGEST_RANGE: usize = 1 << 20;

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Request {
    /// The object; empty for the manager itself.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) args: Args,
    /// The object of a token, where that is the argument.
    pub(crate) token: Option<String>,
}

impl Request {
    /// Reads one.
    ///
    /// # Errors
    /// [`PickleError`] for what is none.
    pub(crate) fn read(bytes: &[u8], proxies: &impl Proxies) -> Result<Request, PickleError> {
        const NONE: PickleError = PickleError::Malformed("no request");
        let graph = pickle::read(bytes, Limits::default())?;
        let Some(&[id, method, args, named]) = graph.elements(graph.root()) else { return Err(NONE) };
        let (Some(method), Some(args), Node::Dict(named)) =
            (graph.text(method), graph.elements(args), graph.node(named))
        else {
            return Err(NONE);
        };
        let id = match graph.node(id) {
            Node::Str(id) => (*id).to_owned(),
            Node::None => String::new(),
            _ => return Err(NONE),
        };
        let mut token = None;
        let mut positional = Vec::with_capacity(args.len());
        for arg in args {
            match value::token(&graph, *arg) {
                Some(found) => token = Some(found.id.to_owned()),
                None => positional.push(argument(&graph, *arg, proxies, bytes.len())?),
            }
        }
        let mut by_name = Vec::with_capacity(named.len());
        for (name, value) in named {
            let name = graph.text(*name).ok_or(NONE)?;
            by_name.push((name.to_owned(), argument(&graph, *value, proxies, bytes.len())?));
        }
        Ok(Request { id, method: method.to_owned(), args: Args::new(positional, by_name), token })
    }
}

/// A value, or the numbers of a range.
fn argument(graph: &Graph<'_>, id: Id, proxies: &impl Proxies, size: usize) -> Result<Any, PickleError> {
    if let Node::Made(_) = graph.node(id)
        && let Some(numbers) = value::range(graph, id, LONGEST_RANGE)
    {
        return Ok(Any::List(numbers));
    }
    value::read(graph, id, proxies, size)
}

/// A slice of Python's: where it begins, where it ends, and by how much it goes on.
pub(crate) fn slice_of(value: &Any) -> Option<(Option<i64>, Option<i64>, Option<i64>)> {
    let Any::Opaque(fragment) = value else { return None };
    let mut whole = fragment.clone();
    whole.push(b'.');
    let graph = pickle::read(&whole, Limits::default()).ok()?;
    let &[start, stop, step] = graph.call_of(graph.root(), &["builtins", "__builtin__"], "slice")? else {
        return None;
    };
    let bound = |id| match graph.node(id) {
        Node::None => Some(None),
        Node::Int(i) => Some(Some(*i)),
        _ => None,
    };
    Some((bound(start)?, bound(stop)?, bound(step)?))
}

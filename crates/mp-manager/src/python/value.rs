//! Pickled values as [`Any`], and back.
//!
//! | in the pickle | here |
//! |---|---|
//! | plain data | the same |
//! | a proxy of an object that this gateway serves | its handle |
//! | an object of a class, a function, a `str` with lone surrogates | [`Any::Opaque`]: a [fragment](super::pickle) |
//! | a container in which something that has parts occurs twice, or that contains itself | as a whole [`Any::Opaque`], so that it comes back as it was |
//! | what lies deeper than [`DEPTH`] | [`Any::Opaque`] |
//!
//! The last two are also what keeps a small pickle from becoming a large value.

use crate::any::{Any, BigInt};
use crate::handle::Handle;

use super::pickle::{self, Graph, Id, Made, Node, PickleError, Step, Writer};

/// How deep plain values may lie in each other.
const DEPTH: usize = 48;
/// How much more than its pickle a value may be, because a string occurs in it again and again.
const TIMES: usize = 8;

/// A proxy, by what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) typeid: &'a str,
    pub(crate) id: &'a str,
}

/// Finds and names the objects that proxies mean.
pub(crate) trait Proxies {
    /// The object behind a proxy, if it is served here.
    fn find(&self, token: Token<'_>) -> Option<Handle>;
    /// Writes the proxy of an object.
    fn write(&self, handle: &Handle, to: &mut Writer);
}

/// The value of a node.
///
/// # Errors
/// [`PickleError`] for what can be neither taken apart nor kept.
pub(crate) fn read(
    graph: &Graph<'_>,
    id: Id,
    proxies: &impl Proxies,
    size: usize,
) -> Result<Any, PickleError> {
    if let Some(atom) = atom(graph.node(id)) {
        return Ok(atom);
    }
    let mut reader = Reader { graph, proxies, left: size.saturating_mul(TIMES) };
    if !graph.shares(id, |id| proxy(graph, id).is_some())
        && let Some(plain) = reader.value(id, 0)?
    {
        return Ok(plain);
    }
    opaque(graph, id)
}

fn opaque(graph: &Graph<'_>, id: Id) -> Result<Any, PickleError> {
    pickle::fragment(graph, id).map(Any::Opaque)
}

fn atom(node: &Node<'_>) -> Option<Any> {
    Some(match node {
        Node::None => Any::None,
        Node::Bool(b) => Any::Bool(*b),
        Node::Int(i) => Any::Int(*i),
        Node::Long(bytes) => Any::from(BigInt::from_le_bytes(bytes)),
        Node::Float(f) => Any::Float(*f),
        Node::Str(text) => Any::Str((*text).to_owned()),
        Node::Bytes(bytes) => Any::Bytes(bytes.to_vec()),
        Node::ByteArray(bytes) => Any::ByteArray(bytes.to_vec()),
        _ => return None,
    })
}

struct Reader<'g, 'a, P> {
    graph: &'g Graph<'a>,
    proxies: &'g P,
    /// How many more bytes may be copied.
    left: usize,
}

impl<P: Proxies> Reader<'_, '_, P> {
    /// `None`: it is too deep, or too large.
    fn value(&mut self, id: Id, depth: usize) -> Result<Option<Any>, PickleError> {
        let node = self.graph.node(id);
        let bytes = match node {
            Node::Str(text) => text.len(),
            Node::Bytes(bytes) | Node::ByteArray(bytes) | Node::Long(bytes) => bytes.len(),
            _ => 0,
        };
        let Some(left) = self.left.checked_sub(bytes) else { return Ok(None) };
        self.left = left;
        if let Some(atom) = atom(node) {
            return Ok(Some(atom));
        }
        if depth == DEPTH {
            return Ok(None);
        }
        let all = |this: &mut Self, ids: &[Id]| -> Result<Option<Vec<Any>>, PickleError> {
            ids.iter().map(|id| this.value(*id, depth + 1)).collect()
        };
        Ok(match node {
            Node::List(ids) => all(self, ids)?.map(Any::List),
            Node::Tuple(ids) => all(self, ids)?.map(Any::Tuple),
            Node::Set(ids) => all(self, ids)?.map(Any::Set),
            Node::FrozenSet(ids) => all(self, ids)?.map(Any::FrozenSet),
            Node::Dict(pairs) => {
                let mut entries = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let (Some(key), Some(value)) =
                        (self.value(*key, depth + 1)?, self.value(*value, depth + 1)?)
                    else {
                        return Ok(None);
                    };
                    entries.push((key, value));
                }
                Some(Any::Dict(entries))
            }
            Node::Made(made) => match self.made(id, made, depth)? {
                Some(value) => Some(value),
                None => Some(opaque(self.graph, id)?),
            },
            _ => Some(opaque(self.graph, id)?),
        })
    }

    /// What is plain data, or a proxy, although it is pickled as a call.
    fn made(&mut self, id: Id, made: &Made, depth: usize) -> Result<Option<Any>, PickleError> {
        let graph = self.graph;
        if let Some(token) = proxy(graph, id) {
            return Ok(self.proxies.find(token).map(Any::Handle));
        }
        let Some(args) = graph.call_of(id, BUILTINS, builtin_name(graph, made)) else {
            return Ok(codecs(graph, id));
        };
        Ok(match (builtin_name(graph, made), args) {
            ("set" | "frozenset" | "list" | "tuple", &[items]) => {
                let Some(items) = graph.elements(items) else { return Ok(None) };
                let items: Option<Vec<Any>> =
                    items.iter().map(|id| self.value(*id, depth + 1)).collect::<Result<_, _>>()?;
                items.map(match builtin_name(graph, made) {
                    "set" => Any::Set,
                    "frozenset" => Any::FrozenSet,
                    "list" => Any::List,
                    _ => Any::Tuple,
                })
            }
            ("set", []) => Some(Any::Set(Vec::new())),
            ("frozenset", []) => Some(Any::FrozenSet(Vec::new())),
            ("bytearray", []) => Some(Any::ByteArray(Vec::new())),
            ("bytearray", &[bytes]) => match graph.node(bytes) {
                Node::Bytes(bytes) => Some(Any::ByteArray(bytes.to_vec())),
                _ => None,
            },
            ("complex", &[re, im]) => match (graph.node(re), graph.node(im)) {
                (Node::Float(re), Node::Float(im)) => Some(Any::Complex(*re, *im)),
                _ => None,
            },
            _ => None,
        })
    }
}

const BUILTINS: &[&str] = &["builtins", "__builtin__"];

fn builtin_name<'a>(graph: &Graph<'a>, made: &Made) -> &'a str {
    match graph.node(made.callee) {
        Node::Global { module, name } if BUILTINS.contains(module) => name,
        _ => "",
    }
}

/// `_codecs.encode(text, 'latin1')`, which is how protocol 2 has `bytes`.
fn codecs(graph: &Graph<'_>, id: Id) -> Option<Any> {
    match graph.call_of(id, &["_codecs"], "encode")? {
        &[text, encoding] if matches!(graph.text(encoding), Some("latin1" | "latin-1")) => graph
            .text(text)?
            .chars()
            .map(|c| u8::try_from(u32::from(c)).ok())
            .collect::<Option<Vec<u8>>>()
            .map(Any::Bytes),
        _ => None,
    }
}

/// The numbers of a `range`, if that is what it is and there are no more than so many.
pub(crate) fn range(graph: &Graph<'_>, id: Id, most: usize) -> Option<Vec<Any>> {
    let ints: Option<Vec<i64>> = graph
        .call_of(id, BUILTINS, "range")?
        .iter()
        .map(|id| match graph.node(*id) {
            Node::Int(i) => Some(*i),
            _ => None,
        })
        .collect();
    let &[start, stop, step] = &*ints? else { return None };
    let mut numbers = Vec::new();
    let mut at = i128::from(start);
    while step != 0 && if step > 0 { at < i128::from(stop) } else { at > i128::from(stop) } {
        if numbers.len() == most {
            return None;
        }
        numbers.push(Any::Int(i64::try_from(at).ok()?));
        at += i128::from(step);
    }
    Some(numbers)
}

/// `multiprocessing.managers.RebuildProxy(type, token, serializer, kwds)`.
pub(crate) fn proxy<'a>(graph: &Graph<'a>, id: Id) -> Option<Token<'a>> {
    match graph.call_of(id, &["multiprocessing.managers"], "RebuildProxy")? {
        [_, token, ..] => self::token(graph, *token),
        _ => None,
    }
}

/// A `Token`, which is an object with the state `(typeid, address, id)`.
pub(crate) fn token<'a>(graph: &Graph<'a>, id: Id) -> Option<Token<'a>> {
    let Node::Made(made) = graph.node(id) else { return None };
    let [Step::Build(state)] = made.steps[..] else { return None };
    if !graph.is_global(made.callee, &["multiprocessing.managers"], "Token") {
        return None;
    }
    match graph.elements(state)? {
        &[typeid, _, id] => Some(Token { typeid: graph.text(typeid)?, id: graph.text(id)? }),
        _ => None,
    }
}

/// Writes a value.
pub(crate) fn write(value: &Any, proxies: &impl Proxies, to: &mut Writer) {
    let each = |to: &mut Writer, value: &Any| write(value, proxies, to);
    match value {
        Any::None => to.none(),
        Any::Bool(b) => to.bool(*b),
        Any::Int(i) => to.int(*i),
        Any::BigInt(big) => to.long(big.as_le_bytes()),
        Any::Float(f) => to.float(*f),
        Any::Complex(re, im) => {
            to.global("builtins", "complex");
            to.begin_tuple();
            to.float(*re);
            to.float(*im);
            to.end_tuple();
            to.reduce();
        }
        Any::Str(text) => to.str(text),
        Any::Bytes(bytes) => to.bytes(bytes),
        Any::ByteArray(bytes) => to.byte_array(bytes),
        Any::List(items) => to.list(items, each),
        Any::Tuple(items) => {
            to.begin_tuple();
            items.iter().for_each(|item| write(item, proxies, to));
            to.end_tuple();
        }
        Any::Dict(entries) => to.dict(entries, |to, (key, value)| {
            write(key, proxies, to);
            write(value, proxies, to);
        }),
        Any::Set(items) => to.set(items, each),
        Any::FrozenSet(items) => to.frozen_set(items, each),
        Any::Opaque(fragment) => to.fragment(fragment),
        Any::Handle(handle) => proxies.write(handle, to),
    }
}

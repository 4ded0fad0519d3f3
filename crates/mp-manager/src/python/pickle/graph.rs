//! What a pickle says, as a graph of things that were named and not made.

use std::collections::{HashMap, HashSet};

/// A node of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(super) u32);

/// What a pickle says. Strings and bytes are borrowed from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    /// `None`.
    None,
    /// `True` and `False`.
    Bool(bool),
    /// An `int` of 64 bits.
    Int(i64),
    /// A longer `int`: two's complement, the least significant byte first.
    Long(&'a [u8]),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Str(&'a str),
    /// A `str` with lone surrogates, which is no text elsewhere.
    WildStr(&'a [u8]),
    /// `bytes`.
    Bytes(&'a [u8]),
    /// A `bytearray`.
    ByteArray(&'a [u8]),
    /// A `list`.
    List(Vec<Id>),
    /// A `tuple`.
    Tuple(Vec<Id>),
    /// A `dict`, in its order.
    Dict(Vec<(Id, Id)>),
    /// A `set`, in the order of the pickle.
    Set(Vec<Id>),
    /// A `frozenset`.
    FrozenSet(Vec<Id>),
    /// A name of code. It is never looked up.
    Global {
        /// The module.
        module: &'a str,
        /// The qualified name in it.
        name: &'a str,
    },
    /// What a call of named code would make. It is never called.
    Made(Box<Made>),
}

/// How an object would be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// The kind of call.
    pub(crate) how: How,
    /// What is called.
    pub(crate) callee: Id,
    /// The positional arguments: a tuple.
    pub(crate) args: Id,
    /// The named arguments: a dictionary, for [`How::NewObjEx`].
    pub(crate) named: Option<Id>,
    /// What is done to it afterwards, in this order.
    pub(crate) steps: Vec<Step>,
}

/// The kinds of calls that a pickle may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `callee(*args)`.
    Reduce,
    /// `callee.__new__(callee, *args)`.
    NewObj,
    /// `callee.__new__(callee, *args, **named)`.
    NewObjEx,
}

/// What a pickle does to an object that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `object.append(item)`.
    Append(Id),
    /// `object[key] = value`.
    SetItem(Id, Id),
    /// `object.add(item)`.
    Add(Id),
    /// `object.__setstate__(state)` or an update of its `__dict__`.
    Build(Id),
}

/// A pickle that was read, and not acted upon.
#[derive(Clone, Debug)]
pub(crate) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Id,
}

impl<'a> Graph<'a> {
    /// What the pickle is of.
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// A node of this graph.
    pub(crate) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    /// The text of a `str`.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match self.node(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a tuple or list.
    pub(crate) fn elements(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(elements) | Node::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The call of a name in a module that made this, if a plain call did and nothing came after: the arguments.
    pub(crate) fn call_of(&self, id: Id, module: &[&str], name: &str) -> Option<&[Id]> {
        match self.node(id) {
            Node::Made(made) if made.how == How::Reduce && made.steps.is_empty() => {
                self.is_global(made.callee, module, name).then(|| self.elements(made.args)).flatten()
            }
            _ => None,
        }
    }

    /// Whether this is that name, in one of these modules.
    pub(crate) fn is_global(&self, id: Id, modules: &[&str], wanted: &str) -> bool {
        matches!(self.node(id), Node::Global { module, name } if *name == wanted && modules.contains(module))
    }

    /// Calls `each` with everything that this node refers to, in the order in which a pickle would have it.
    pub(super) fn children(&self, id: Id, mut each: impl FnMut(Id)) {
        match self.node(id) {
            Node::List(all) | Node::Tuple(all) | Node::Set(all) | Node::FrozenSet(all) => {
                all.iter().copied().for_each(each);
            }
            Node::Dict(pairs) => pairs.iter().for_each(|&(key, value)| {
                each(key);
                each(value);
            }),
            Node::Made(made) => {
                each(made.callee);
                each(made.args);
                made.named.into_iter().for_each(&mut each);
                for step in &made.steps {
                    match *step {
                        Step::Append(item) | Step::Add(item) | Step::Build(item) => each(item),
                        Step::SetItem(key, value) => {
                            each(key);
                            each(value);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// How often each node below this one is referred to, by a walk that visits each once.
    pub(super) fn references(&self, from: Id) -> HashMap<Id, u32> {
        let mut counts = HashMap::new();
        let mut to_visit = vec![from];
        while let Some(id) = to_visit.pop() {
            let count = counts.entry(id).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.children(id, |child| to_visit.push(child));
            }
        }
        counts
    }

    /// Whether something that has parts is referred to twice, which includes what contains itself. What is a `leaf` counts as without parts.
    pub(crate) fn shares(&self, from: Id, leaf: impl Fn(Id) -> bool) -> bool {
        let mut seen = HashSet::new();
        let mut to_visit = vec![from];
        while let Some(id) = to_visit.pop() {
            if !self.has_parts(id) || leaf(id) {
                continue;
            }
            if !seen.insert(id) {
                return true;
            }
            self.children(id, |child| to_visit.push(child));
        }
        false
    }

    fn has_parts(&self, id: Id) -> bool {
        match self.node(id) {
            Node::List(_) | Node::Dict(_) | Node::Set(_) | Node::Made(_) => true,
            Node::Tuple(all) | Node::FrozenSet(all) => !all.is_empty(),
            _ => false,
        }
    }
}

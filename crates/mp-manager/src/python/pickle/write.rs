//! Writing pickles: protocol 4 without frames, which every CPython from 3.4 on reads.

use std::collections::HashMap;

use super::graph::{Graph, How, Id, Node, Step};
use super::opcode::*;
use super::read::PickleError;

/// How many items go between two marks, as in CPython: its stack grows by that much.
const BATCH: usize = 1000;

/// How deep things may lie in each other. (CPython gives up a little below a thousand.)
const MAX_DEPTH: usize = 500;

/// Writes one pickle.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A pickle that begins after these bytes.
    pub(crate) fn after(mut out: Vec<u8>) -> Writer {
        out.extend([PROTO, 4]);
        Writer { out }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(STOP);
        self.out
    }

    /// What was written, as a fragment.
    pub(crate) fn into_fragment(self) -> Vec<u8> {
        self.out
    }

    fn counted(&mut self, [short, medium, long]: [u8; 3], bytes: &[u8]) {
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.out.extend([short, len]);
        } else if let Ok(len) = u32::try_from(bytes.len()) {
            self.out.push(medium);
            self.out.extend(len.to_le_bytes());
        } else {
            self.out.push(long);
            self.out.extend((bytes.len() as u64).to_le_bytes());
        }
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn none(&mut self) {
        self.out.push(NONE);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.push(if value { NEWTRUE } else { NEWFALSE });
    }

    pub(crate) fn int(&mut self, value: i64) {
        if let Ok(n) = u8::try_from(value) {
            self.out.extend([BININT1, n]);
        } else if let Ok(n) = u16::try_from(value) {
            self.out.push(BININT2);
            self.out.extend(n.to_le_bytes());
        } else if let Ok(n) = i32::try_from(value) {
            self.out.push(BININT);
            self.out.extend(n.to_le_bytes());
        } else {
            self.long(&value.to_le_bytes());
        }
    }

    /// Two's complement, the least significant byte first.
    pub(crate) fn long(&mut self, bytes: &[u8]) {
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.out.extend([LONG1, len]);
        } else {
            self.out.push(LONG4);
            self.out.extend((bytes.len() as u32).to_le_bytes());
        }
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.out.push(BINFLOAT);
        self.out.extend(value.to_bits().to_be_bytes());
    }

    pub(crate) fn str(&mut self, text: &str) {
        self.counted([SHORT_BINUNICODE, BINUNICODE, BINUNICODE8], text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.counted([SHORT_BINBYTES, BINBYTES, BINBYTES8], bytes);
    }

    pub(crate) fn global(&mut self, module: &str, name: &str) {
        self.str(module);
        self.str(name);
        self.out.push(STACK_GLOBAL);
    }

    /// The call of what is on the stack below its arguments.
    pub(crate) fn reduce(&mut self) {
        self.out.push(REDUCE);
    }

    /// The same through `__new__`.
    pub(crate) fn new_object(&mut self) {
        self.out.push(NEWOBJ);
    }

    /// The state on top for the object below.
    pub(crate) fn build(&mut self) {
        self.out.push(BUILD);
    }

    pub(crate) fn byte_array(&mut self, bytes: &[u8]) {
        self.global("builtins", "bytearray");
        self.bytes(bytes);
        self.out.extend([TUPLE1, REDUCE]);
    }

    /// What [`Writer::end_tuple`] ends.
    pub(crate) fn begin_tuple(&mut self) {
        self.out.push(MARK);
    }

    pub(crate) fn end_tuple(&mut self) {
        self.out.push(TUPLE);
    }

    pub(crate) fn list<T>(&mut self, items: &[T], each: impl FnMut(&mut Writer, &T)) {
        self.out.push(EMPTY_LIST);
        self.batches(items, APPENDS, each);
    }

    pub(crate) fn set<T>(&mut self, items: &[T], each: impl FnMut(&mut Writer, &T)) {
        self.out.push(EMPTY_SET);
        self.batches(items, ADDITEMS, each);
    }

    pub(crate) fn frozen_set<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Writer, &T)) {
        self.out.push(MARK);
        items.iter().for_each(|item| each(self, item));
        self.out.push(FROZENSET);
    }

    /// `each` writes a key and its value.
    pub(crate) fn dict<T>(&mut self, items: &[T], each: impl FnMut(&mut Writer, &T)) {
        self.out.push(EMPTY_DICT);
        self.batches(items, SETITEMS, each);
    }

    fn batches<T>(&mut self, items: &[T], end: u8, mut each: impl FnMut(&mut Writer, &T)) {
        for batch in items.chunks(BATCH) {
            self.out.push(MARK);
            batch.iter().for_each(|item| each(self, item));
            self.out.push(end);
        }
    }

    /// The object of a [`fragment`].
    pub(crate) fn fragment(&mut self, fragment: &[u8]) {
        self.out.extend_from_slice(fragment);
    }
}

/// The part of a pickle that makes this object, as opcodes of its own.
///
/// # Errors
/// [`PickleError::TooDeep`]; [`PickleError::Malformed`] for a tuple that contains itself by way of something mutable and is pickled from the tuple, which
/// CPython writes in a way of its own.
pub(crate) fn fragment(graph: &Graph<'_>, id: Id) -> Result<Vec<u8>, PickleError> {
    let references = graph.references(id);
    let mut copier = Copier { graph, references, places: HashMap::new(), next: 0, writer: Writer::default() };
    copier.copy(id, 0)?;
    Ok(copier.writer.out)
}

/// Where a node that is referred to more than once is.
enum Place {
    /// It is being made, and can be referred to only when that is done.
    Open,
    /// In the memo.
    At(u32),
}

struct Copier<'g, 'a> {
    graph: &'g Graph<'a>,
    references: HashMap<Id, u32>,
    places: HashMap<Id, Place>,
    next: u32,
    writer: Writer,
}

impl Copier<'_, '_> {
    fn copy(&mut self, id: Id, depth: usize) -> Result<(), PickleError> {
        if depth > MAX_DEPTH {
            return Err(PickleError::TooDeep(MAX_DEPTH));
        }
        let shared = self.references.get(&id).is_some_and(|n| *n > 1);
        if shared {
            match self.places.get(&id) {
                Some(Place::At(place)) => {
                    self.writer.out.push(LONG_BINGET);
                    self.writer.out.extend(place.to_le_bytes());
                    return Ok(());
                }
                Some(Place::Open) => return Err(PickleError::Malformed("a tuple that contains itself")),
                None => drop(self.places.insert(id, Place::Open)),
            }
        }
        let depth = depth + 1;
        let graph = self.graph;
        match graph.node(id) {
            Node::None => self.writer.none(),
            Node::Bool(value) => self.writer.bool(*value),
            Node::Int(value) => self.writer.int(*value),
            Node::Long(bytes) => self.writer.long(bytes),
            Node::Float(value) => self.writer.float(*value),
            Node::Str(text) => self.writer.str(text),
            Node::WildStr(bytes) => self.writer.counted([SHORT_BINUNICODE, BINUNICODE, BINUNICODE8], bytes),
            Node::Bytes(bytes) => self.writer.bytes(bytes),
            Node::ByteArray(bytes) => self.writer.byte_array(bytes),
            Node::Global { module, name } => self.writer.global(module, name),
            Node::Tuple(all) => {
                self.writer.begin_tuple();
                self.all(all, depth)?;
                self.writer.end_tuple();
            }
            Node::FrozenSet(all) => {
                self.writer.begin_tuple();
                self.all(all, depth)?;
                self.writer.out.push(FROZENSET);
            }
            // What can change is in the memo before its content is written, which may refer to it.
            Node::List(all) => {
                self.writer.out.push(EMPTY_LIST);
                self.memoize(id, shared);
                self.batches(all, APPENDS, depth)?;
                return Ok(());
            }
            Node::Set(all) => {
                self.writer.out.push(EMPTY_SET);
                self.memoize(id, shared);
                self.batches(all, ADDITEMS, depth)?;
                return Ok(());
            }
            Node::Dict(all) => {
                self.writer.out.push(EMPTY_DICT);
                self.memoize(id, shared);
                for batch in all.chunks(BATCH) {
                    self.writer.out.push(MARK);
                    for &(key, value) in batch {
                        self.copy(key, depth)?;
                        self.copy(value, depth)?;
                    }
                    self.writer.out.push(SETITEMS);
                }
                return Ok(());
            }
            Node::Made(made) => {
                self.copy(made.callee, depth)?;
                self.copy(made.args, depth)?;
                if let Some(named) = made.named {
                    self.copy(named, depth)?;
                }
                self.writer.out.push(match made.how {
                    How::Reduce => REDUCE,
                    How::NewObj => NEWOBJ,
                    How::NewObjEx => NEWOBJ_EX,
                });
                self.memoize(id, shared);
                for step in &made.steps {
                    self.step(*step, depth)?;
                }
                return Ok(());
            }
        }
        self.memoize(id, shared);
        Ok(())
    }

    fn all(&mut self, all: &[Id], depth: usize) -> Result<(), PickleError> {
        all.iter().try_for_each(|id| self.copy(*id, depth))
    }

    fn batches(&mut self, all: &[Id], end: u8, depth: usize) -> Result<(), PickleError> {
        for batch in all.chunks(BATCH) {
            self.writer.out.push(MARK);
            self.all(batch, depth)?;
            self.writer.out.push(end);
        }
        Ok(())
    }

    fn step(&mut self, step: Step, depth: usize) -> Result<(), PickleError> {
        match step {
            Step::Append(item) => {
                self.copy(item, depth)?;
                self.writer.out.push(APPEND);
            }
            Step::SetItem(key, value) => {
                self.copy(key, depth)?;
                self.copy(value, depth)?;
                self.writer.out.push(SETITEM);
            }
            Step::Add(item) => {
                self.writer.begin_tuple();
                self.copy(item, depth)?;
                self.writer.out.push(ADDITEMS);
            }
            Step::Build(state) => {
                self.copy(state, depth)?;
                self.writer.out.push(BUILD);
            }
        }
        Ok(())
    }

    fn memoize(&mut self, id: Id, shared: bool) {
        if shared {
            self.writer.out.push(LONG_BINPUT);
            self.writer.out.extend(self.next.to_le_bytes());
            self.places.insert(id, Place::At(self.next));
            self.next += 1;
        }
    }
}

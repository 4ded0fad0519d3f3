//! Reading a pickle without doing what it says.
//!
//! A pickle is a program for a machine with a stack and a memo. This machine runs it, but where Python would look up a name and call it,
//! here a node says that it would. So a pickle of a stranger can do nothing but be refused.
//!
//! Whatever it claims, the machine takes memory only for what it has seen: strings and bytes are borrowed, each opcode makes at most one
//! node or moves one reference, and the memo is no longer than the pickle. `Limits` bounds the number of nodes.

use super::graph::{Graph, How, Id, Made, Node, Step};
use super::opcode::*;

/// Why bytes are no pickle, or not one that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PickleError {
    /// It ends in the middle.
    #[error("the pickle ends too early")]
    Truncated,
    /// There is more after its end.
    #[error("{0} bytes after the end of the pickle")]
    LeftOver(usize),
    /// An opcode that no pickle of plain data or objects has: persistent ids, extension codes, out-of-band buffers, protocols 0 and 1.
    #[error("opcode {0:#04x} is not read here")]
    Opcode(u8),
    /// A protocol that is not known.
    #[error("pickle protocol {0} is not known")]
    Protocol(u8),
    /// An opcode that finds the wrong things on the stack.
    #[error("the pickle is malformed: {0}")]
    Malformed(&'static str),
    /// It is larger than is allowed.
    #[error("the pickle holds more than {0} values")]
    TooMany(u32),
    /// It is nested more deeply than is allowed.
    #[error("the pickle is nested more than {0} deep")]
    TooDeep(usize),
}

type Result<T> = std::result::Result<T, PickleError>;

/// How much a pickle may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The most nodes.
    pub(crate) nodes: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { nodes: 4 << 20 }
    }
}

/// Reads a pickle of protocol 2 to 5 that takes all of `bytes`.
///
/// # Errors
/// [`PickleError`].
pub(crate) fn read(bytes: &[u8], limits: Limits) -> Result<Graph<'_>> {
    let mut machine = Machine {
        input: bytes,
        all: bytes.len(),
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        limits,
    };
    let root = machine.run()?;
    if !machine.input.is_empty() {
        return Err(PickleError::LeftOver(machine.input.len()));
    }
    Ok(Graph { nodes: machine.nodes, root })
}

struct Machine<'a> {
    input: &'a [u8],
    all: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    limits: Limits,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let opcode = self.byte()?;
            match opcode {
                STOP => {
                    let root = self.pop()?;
                    return match (self.stack.is_empty(), self.marks.is_empty()) {
                        (true, true) => Ok(root),
                        _ => Err(PickleError::Malformed("something is left on the stack")),
                    };
                }
                PROTO => match self.byte()? {
                    2..=5 => {}
                    other => return Err(PickleError::Protocol(other)),
                },
                // Frames say how much to read from a file at once; all is here.
                FRAME => drop(self.take(8)?),
                MARK => self.marks.push(self.stack.len()),
                POP => self.pop_any()?,
                POP_MARK => drop(self.since_mark()?),
                NONE => self.push(Node::None)?,
                NEWTRUE => self.push(Node::Bool(true))?,
                NEWFALSE => self.push(Node::Bool(false))?,
                BININT1 => {
                    let n = self.byte()?;
                    self.push(Node::Int(n.into()))?;
                }
                BININT2 => {
                    let n = u16::from_le_bytes(self.array()?);
                    self.push(Node::Int(n.into()))?;
                }
                BININT => {
                    let n = i32::from_le_bytes(self.array()?);
                    self.push(Node::Int(n.into()))?;
                }
                LONG1 => {
                    let len = self.byte()?;
                    self.long(len.into())?;
                }
                LONG4 => {
                    let len = i32::from_le_bytes(self.array()?);
                    let len =
                        usize::try_from(len).map_err(|_| PickleError::Malformed("a negative length"))?;
                    self.long(len)?;
                }
                BINFLOAT => {
                    let bits = u64::from_be_bytes(self.array()?);
                    self.push(Node::Float(f64::from_bits(bits)))?;
                }
                SHORT_BINUNICODE | BINUNICODE | BINUNICODE8 => {
                    let bytes = self.counted(opcode, [SHORT_BINUNICODE, BINUNICODE])?;
                    self.push(std::str::from_utf8(bytes).map_or(Node::WildStr(bytes), Node::Str))?;
                }
                SHORT_BINBYTES | BINBYTES | BINBYTES8 => {
                    let bytes = self.counted(opcode, [SHORT_BINBYTES, BINBYTES])?;
                    self.push(Node::Bytes(bytes))?;
                }
                BYTEARRAY8 => {
                    let bytes = self.counted(opcode, [0, 0])?;
                    self.push(Node::ByteArray(bytes))?;
                }
                EMPTY_LIST => self.push(Node::List(Vec::new()))?,
                EMPTY_TUPLE => self.push(Node::Tuple(Vec::new()))?,
                EMPTY_DICT => self.push(Node::Dict(Vec::new()))?,
                EMPTY_SET => self.push(Node::Set(Vec::new()))?,
                TUPLE => {
                    let all = self.since_mark()?;
                    self.push(Node::Tuple(all))?;
                }
                TUPLE1 | TUPLE2 | TUPLE3 => {
                    let all = self.top(usize::from(opcode - TUPLE1) + 1)?;
                    self.push(Node::Tuple(all))?;
                }
                FROZENSET => {
                    let all = self.since_mark()?;
                    self.push(Node::FrozenSet(all))?;
                }
                APPEND => {
                    let all = self.top(1)?;
                    self.append(all)?;
                }
                APPENDS => {
                    let all = self.since_mark()?;
                    self.append(all)?;
                }
                ADDITEMS => {
                    let all = self.since_mark()?;
                    self.add(all)?;
                }
                SETITEM => {
                    let all = self.top(2)?;
                    self.set_items(all)?;
                }
                SETITEMS => {
                    let all = self.since_mark()?;
                    self.set_items(all)?;
                }
                MEMOIZE => self.remember(self.memo.len())?,
                BINPUT => {
                    let at = self.byte()?;
                    self.remember(at.into())?;
                }
                LONG_BINPUT => {
                    let at = u32::from_le_bytes(self.array()?);
                    self.remember(at as usize)?;
                }
                BINGET => {
                    let at = self.byte()?;
                    self.recall(at.into())?;
                }
                LONG_BINGET => {
                    let at = u32::from_le_bytes(self.array()?);
                    self.recall(at as usize)?;
                }
                GLOBAL => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Node::Global { module, name })?;
                }
                STACK_GLOBAL => self.stack_global()?,
                REDUCE | NEWOBJ | NEWOBJ_EX => self.make(opcode)?,
                BUILD => {
                    let state = self.pop()?;
                    match self.last_mut()? {
                        Node::Made(made) => made.steps.push(Step::Build(state)),
                        _ => return Err(PickleError::Malformed("state for what has none")),
                    }
                }
                other => return Err(PickleError::Opcode(other)),
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.input.split_at_checked(len).ok_or(PickleError::Truncated)?;
        self.input = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| PickleError::Truncated)
    }

    /// Bytes after their length: of one byte for the first of these opcodes, four for the second, eight for any other.
    fn counted(&mut self, opcode: u8, [short, medium]: [u8; 2]) -> Result<&'a [u8]> {
        let len = if opcode == short {
            u64::from(self.byte()?)
        } else if opcode == medium {
            u64::from(u32::from_le_bytes(self.array()?))
        } else {
            u64::from_le_bytes(self.array()?)
        };
        self.take(usize::try_from(len).map_err(|_| PickleError::Truncated)?)
    }

    fn line(&mut self) -> Result<&'a str> {
        let len = self.input.iter().position(|b| *b == b'\n').ok_or(PickleError::Truncated)?;
        let line = self.take(len)?;
        self.byte()?;
        std::str::from_utf8(line).map_err(|_| PickleError::Malformed("a name that is no text"))
    }

    fn long(&mut self, len: usize) -> Result<()> {
        let bytes = self.take(len)?;
        self.push(small(bytes).map_or(Node::Long(bytes), Node::Int))
    }

    fn push(&mut self, node: Node<'a>) -> Result<()> {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if id >= self.limits.nodes {
            return Err(PickleError::TooMany(self.limits.nodes));
        }
        self.nodes.push(node);
        self.stack.push(Id(id));
        Ok(())
    }

    /// How low the stack may be popped: not below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id> {
        if self.stack.len() <= self.floor() {
            return Err(PickleError::Malformed("the stack is empty"));
        }
        self.stack.pop().ok_or(PickleError::Malformed("the stack is empty"))
    }

    /// As Python: a mark may be popped, too.
    fn pop_any(&mut self) -> Result<()> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or(PickleError::Malformed("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self, n: usize) -> Result<Vec<Id>> {
        let at = self.stack.len().checked_sub(n).filter(|at| *at >= self.floor());
        Ok(self.stack.split_off(at.ok_or(PickleError::Malformed("the stack is too short"))?))
    }

    fn last(&self) -> Result<Id> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => Err(PickleError::Malformed("the stack is empty")),
        }
    }

    fn last_mut(&mut self) -> Result<&mut Node<'a>> {
        let id = self.last()?;
        Ok(&mut self.nodes[id.0 as usize])
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        match self.last_mut()? {
            Node::List(list) => list.extend(items),
            Node::Made(made) => made.steps.extend(items.into_iter().map(Step::Append)),
            _ => return Err(PickleError::Malformed("items for what is no list")),
        }
        Ok(())
    }

    fn add(&mut self, items: Vec<Id>) -> Result<()> {
        match self.last_mut()? {
            Node::Set(set) => set.extend(items),
            Node::Made(made) => made.steps.extend(items.into_iter().map(Step::Add)),
            _ => return Err(PickleError::Malformed("items for what is no set")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(PickleError::Malformed("a key without a value"));
        };
        let pairs = pairs.iter().map(|[key, value]| (*key, *value));
        match self.last_mut()? {
            Node::Dict(dict) => dict.extend(pairs),
            Node::Made(made) => made.steps.extend(pairs.map(|(key, value)| Step::SetItem(key, value))),
            _ => return Err(PickleError::Malformed("items for what is no dict")),
        }
        Ok(())
    }

    fn remember(&mut self, at: usize) -> Result<()> {
        let id = self.last()?;
        if at >= self.memo.len() {
            // Whoever puts something at a place has written at least one byte for each place before it.
            if at > self.all {
                return Err(PickleError::Malformed("a place in the memo that is far away"));
            }
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(id);
        Ok(())
    }

    fn recall(&mut self, at: usize) -> Result<()> {
        let id = self
            .memo
            .get(at)
            .copied()
            .flatten()
            .ok_or(PickleError::Malformed("nothing at that place of the memo"))?;
        self.stack.push(id);
        Ok(())
    }

    fn stack_global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |id: Id| match self.nodes[id.0 as usize] {
            Node::Str(text) => Ok(text),
            _ => Err(PickleError::Malformed("a name that is no text")),
        };
        let node = Node::Global { module: text(module)?, name: text(name)? };
        self.push(node)
    }

    fn make(&mut self, opcode: u8) -> Result<()> {
        let named = (opcode == NEWOBJ_EX).then(|| self.pop()).transpose()?;
        let (args, callee) = (self.pop()?, self.pop()?);
        if !matches!(self.nodes[args.0 as usize], Node::Tuple(_)) {
            return Err(PickleError::Malformed("arguments that are no tuple"));
        }
        let how = match opcode {
            REDUCE => How::Reduce,
            NEWOBJ => How::NewObj,
            _ => How::NewObjEx,
        };
        self.push(Node::Made(Box::new(Made { how, callee, args, named, steps: Vec::new() })))
    }
}

/// The number, if it fits.
fn small(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 8 {
        return None;
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

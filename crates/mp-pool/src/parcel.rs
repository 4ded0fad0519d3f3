//! A batch as bytes, on its way to a worker.
//!
//! ```text
//! count(32) | first(32)        how many tasks, and the number of the first in its bundle
//! stride(32) | codec(8) | flags(8) | width(16)
//! where each ends (32 each)    if they are not all of one length; from the start of the arguments
//! how many references (32 each)   if there are any
//! padding to 8
//! the arguments, one behind the other
//! ```

use std::any::Any;

use mp_session::{Error, Message, Result};
use mp_wire::Codec;

use crate::lane::{Content, Handed, codec_byte};
use crate::task::{Batch, Ends};

const FIXED: usize = 16;
const HAS_ENDS: u8 = 1;
const HAS_EXPORTS: u8 = 2;
const IS_TIMED: u8 = 4;

/// The head of a batch: mostly a few bytes.
#[derive(Debug)]
pub(crate) enum Head {
    Short([u8; FIXED]),
    Long(Vec<u8>),
}

impl Head {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Head::Short(bytes) => bytes,
            Head::Long(bytes) => bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }
}

/// Writes the head.
pub(crate) fn head(batch: &Batch) -> Head {
    let bundle = &batch.bundle;
    let mut flags = 0;
    let stride = match bundle.ends {
        Ends::Stride(stride) => stride,
        Ends::At(_) => {
            flags |= HAS_ENDS;
            0
        }
    };
    if !bundle.exports.is_empty() {
        flags |= HAS_EXPORTS;
    }
    if bundle.order.settings.timeout.is_some() {
        flags |= IS_TIMED;
    }
    let mut fixed = [0; FIXED];
    fixed[0..4].copy_from_slice(&batch.len().to_le_bytes());
    fixed[4..8].copy_from_slice(&batch.tasks.start.to_le_bytes());
    fixed[8..12].copy_from_slice(&stride.to_le_bytes());
    fixed[12] = codec_byte(bundle.codec);
    fixed[13] = flags;
    fixed[14..16].copy_from_slice(&(bundle.order.width.min(0xFFFF) as u16).to_le_bytes());
    if flags & (HAS_ENDS | HAS_EXPORTS) == 0 {
        return Head::Short(fixed);
    }
    let mut head = fixed.to_vec();
    if let Ends::At(ends) = &bundle.ends {
        let start = bundle.span(&batch.tasks).start as u32;
        for end in &ends[batch.tasks.start as usize..batch.tasks.end as usize] {
            head.extend_from_slice(&(end - start).to_le_bytes());
        }
    }
    if flags & HAS_EXPORTS != 0 {
        let mut all =
            bundle.exports.iter().map(|(task, _)| *task).skip_while(|t| *t < batch.tasks.start).peekable();
        for task in batch.tasks.clone() {
            let mut count = 0_u32;
            while all.next_if_eq(&task).is_some() {
                count += 1;
            }
            head.extend_from_slice(&count.to_le_bytes());
        }
    }
    head.resize(head.len().next_multiple_of(8), 0);
    Head::Long(head)
}

/// The references of a batch, in order.
pub(crate) fn exports(batch: &Batch) -> Vec<Box<dyn Any + Send>> {
    if batch.bundle.exports.is_empty() {
        return Vec::new();
    }
    let here = batch.bundle.exports.iter().filter(|(task, _)| batch.tasks.contains(task));
    here.map(|(_, object)| Box::new(object.clone()) as Box<dyn Any + Send>).collect()
}

/// A batch as the worker reads it.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// The number of its first task in the bundle.
    pub(crate) first: u32,
    pub(crate) codec: Codec,
    pub(crate) is_timed: bool,
    /// How many of its tasks may be at work at once.
    pub(crate) width: u32,
    stride: usize,
    ends: &'a [u8],
    /// Where the references of each task begin.
    imports: Vec<std::ops::Range<usize>>,
    arguments: &'a [u8],
    message: Option<&'a Message>,
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

impl<'a> Work<'a> {
    pub(crate) fn parse(handed: &'a Handed) -> Result<Work<'a>> {
        let bytes = handed.content.bytes()?;
        let bad = || Error::Layout { detail: "a batch of tasks whose parts do not fit into it".into() };
        if bytes.len() < FIXED {
            return Err(bad());
        }
        let (count, first, stride) = (number(bytes, 0), number(bytes, 4), number(bytes, 8) as usize);
        let (codec, flags) = (Codec::try_from(bytes[12])?, bytes[13]);
        let width = u32::from(u16::from_le_bytes([bytes[14], bytes[15]]));
        let mut at = FIXED;
        let mut ends: &[u8] = &[];
        if flags & HAS_ENDS != 0 {
            ends = bytes.get(at..at + 4 * count as usize).ok_or_else(bad)?;
            at += ends.len();
        }
        let mut imports = Vec::new();
        if flags & HAS_EXPORTS != 0 {
            let mut start = 0;
            for i in 0..count as usize {
                let end = start + number(bytes, at + 4 * i) as usize;
                imports.push(start..end);
                start = end;
            }
            at += 4 * count as usize;
        }
        let arguments = bytes.get(at.next_multiple_of(8)..).ok_or_else(bad)?;
        let message = match &handed.content {
            Content::Message(message) => Some(message),
            Content::Inline(..) => None,
        };
        let is_timed = flags & IS_TIMED != 0;
        Ok(Work { first, codec, is_timed, width, stride, ends, imports, arguments, message })
    }

    /// The argument of a task.
    #[inline]
    pub(crate) fn argument<A: mp_wire::Message>(&self, task: u32) -> Result<A> {
        let task = task as usize;
        let span = if self.ends.is_empty() {
            task * self.stride..(task + 1) * self.stride
        } else {
            let start = if task == 0 { 0 } else { number(self.ends, 4 * (task - 1)) as usize };
            start..number(self.ends, 4 * task) as usize
        };
        let bytes = self.arguments.get(span).unwrap_or_default();
        mp_wire::decode(self.codec, bytes, self.imports(task)?)
    }

    #[inline]
    fn imports(&self, task: usize) -> Result<Vec<Box<dyn Any + Send>>> {
        match (self.imports.get(task), self.message) {
            (Some(range), Some(message)) if !range.is_empty() => message.imports_in(range.clone()),
            _ => Ok(Vec::new()),
        }
    }
}

//! Messages that carry handles, and large ones.
//!
//! References are counted by the session, and bytes in a ring are not: so such a message is an object, lies in a cell
//! ([`mp_session::Cell`]), and a frame in the stream says when it comes. A pipe has 16 cells for each way; who finds them all taken waits as
//! for room.
//!
//! The cell is filled before the frame is written, so that a frame never names a message that does not come. In between, the writer's
//! *note* says what it is about to do: `tail(56) | cell + 1 (8)`.
//!
//! | the writer dies | note | what its successor does |
//! |---|---|---|
//! | before it filled the cell | tail as it is | nothing is in the cell (the sweep made it `DEAD`): clears the note |
//! | with the cell filled, before the frame counts | tail as it is | takes the message out and lets it go |
//! | after that | an older tail | clears the note |
//!
//! *reader-took-and-died*: the reader empties the cell and then moves the head. If it dies in between the frame is there and the message is
//! gone with it; the tag in the frame is the cell's lap, so its successor does not take a later message for it.
//!
//! With nobody left at one end the cells are released with the pipe, whatever is in them.

use mp_session::primitive::Ordering::*;
use mp_session::{Blueprint, Cell, Kind as ObjectKind, Message, Object, Session, Shape, Status, Taking};
use mp_wire::Result;

use crate::deadline::Deadline;
use crate::end::End;
use crate::frame::{Frame, HEAD, Kind};
use crate::turn::Turn;

/// For each way.
pub(crate) const CELLS: u64 = 16;
const STRIDE: u64 = 16;
const FIRST_CELL: u64 = 64;
/// What the cells of pipes are in the object table.
const CELLS_KIND: ObjectKind = ObjectKind(41);

/// Makes the cells of a pipe, for both ways.
pub(crate) fn make(session: &Session) -> Result<Object> {
    let size = FIRST_CELL + 2 * CELLS * STRIDE;
    let plan = Blueprint { kind: CELLS_KIND, fingerprint: 0, shape: Shape::Ring, size };
    Object::create(session, plan, |_, bytes| {
        let Some(bytes) = bytes else { return };
        // SAFETY: the block has `size` bytes, is aligned to 64 and is ours alone until `create` returns.
        unsafe {
            bytes.as_ptr().write_bytes(0, size as usize);
            bytes.cast::<u64>().write((2 * CELLS) | (STRIDE << 32));
        }
    })
}

/// Takes an object for the cells of a pipe.
pub(crate) fn open(object: Object) -> Result<Object> {
    object.expect(CELLS_KIND, 0)
}

impl End {
    fn cell(&self, base: u64, index: u64) -> &Cell {
        self.cells.ring_cell(base + index.min(CELLS - 1), STRIDE)
    }

    /// A cell that may be filled.
    fn free_cell(&self) -> Option<u64> {
        (0..CELLS).find(|i| {
            let cell = self.cell(self.out_cells, *i);
            let mut seen = cell.state();
            if seen.status == Status::Dead {
                cell.bury(seen);
                seen = cell.state();
            }
            seen.status == Status::Free
        })
    }

    /// Sends a message by way of a cell, with the codec for its frame. `false`: the deadline came first.
    pub(crate) fn send_message(
        &self,
        _turn: &Turn<'_>,
        message: &Message,
        codec: u8,
        deadline: Deadline,
    ) -> Result<bool> {
        let Some(index) = self.wait_for(HEAD, deadline, || self.free_cell())? else { return Ok(false) };
        let (cell, tail) = (self.cell(self.out_cells, index), self.out.tail().load(Relaxed));
        let seen = cell.state();
        self.out.note().store(tail << 8 | (index + 1), SeqCst);
        let put = Object::put_into(self.object.session(), cell, seen, message.as_object());
        if let Ok(true) = put {
            let frame = Frame { length: index as u32, kind: Kind::Cell, codec, tag: seen.lap as u16 };
            self.publish(tail, frame, &[]);
        }
        self.out.note().store(0, SeqCst);
        // We have the turn, and the cell was free: nobody can have been faster.
        put
    }

    /// What a writer that died left half done.
    #[cold]
    pub(crate) fn settle_note(&self) -> Result<()> {
        let note = self.out.note().load(SeqCst);
        if let Some(index) = (note & 0xFF).checked_sub(1)
            && note >> 8 == self.out.tail().load(SeqCst) & (u64::MAX >> 8)
        {
            drop(self.take_cell(self.cell(self.out_cells, index))?);
        }
        self.out.note().store(0, SeqCst);
        self.out.need().store(0, SeqCst);
        Ok(())
    }

    /// The message that a frame announces. `None`: a reader took it and died.
    pub(crate) fn announced(&self, frame: Frame) -> Result<Option<Message>> {
        let cell = self.cell(self.in_cells, u64::from(frame.length));
        if cell.state().lap as u16 != frame.tag {
            return Ok(None);
        }
        self.take_cell(cell)
    }

    fn take_cell(&self, cell: &Cell) -> Result<Option<Message>> {
        loop {
            let seen = cell.state();
            if seen.status != Status::Full {
                return Ok(None);
            }
            match Object::claim_for_take(self.object.session(), cell, seen)? {
                Some(Taking::Message(object)) => return Message::from_object(object).map(Some),
                Some(Taking::Inline(emptying)) => emptying.finish(), // nobody puts bytes here
                Some(Taking::Nothing) => return Ok(None),
                None => {}
            }
        }
    }
}

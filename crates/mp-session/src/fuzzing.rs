//! Doors for the fuzz targets: what this crate reads from other processes, and does not show.

use std::sync::Arc;

use mp_wire::Result;

use crate::ground::Ground;
use crate::header::Header;
use crate::layout::Layout;
use crate::region::Region;

/// How much of the first page means something.
pub const HEADER: usize = size_of::<Header>();

/// The memory of a session, of which the first page can be damaged.
#[derive(Debug)]
pub struct Page {
    ground: Arc<Ground>,
    good: Vec<u8>,
}

impl Page {
    /// A session's memory as its founder leaves it.
    #[allow(clippy::new_without_default, clippy::missing_panics_doc, reason = "for fuzz targets only")]
    pub fn founded() -> Page {
        let region = Region::heap(Layout::MIN_SIZE).expect("memory");
        let ground = Arc::new(Ground::found(region, 1, [7; 16], u64::MAX).expect("a session"));
        let mut page = Page { ground, good: Vec::new() };
        page.good = page.bytes().to_vec();
        page
    }

    fn bytes(&mut self) -> &mut [u8] {
        let start = self.ground.region.bytes(0, HEADER as u64).expect("a first page");
        // SAFETY: in bounds, and nobody else looks at it while we are borrowed.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), HEADER) }
    }

    /// As it was.
    pub fn restore(&mut self) {
        let good = std::mem::take(&mut self.good);
        self.bytes().copy_from_slice(&good);
        self.good = good;
    }

    /// Writes one byte.
    pub fn set(&mut self, at: usize, byte: u8) {
        self.bytes()[at] = byte;
    }

    /// Takes it for a session, as a child does.
    ///
    /// # Errors
    /// What the child would report.
    pub fn enter(&self) -> Result<()> {
        Ground::enter(self.ground.region.alias()).map(|_| ())
    }
}

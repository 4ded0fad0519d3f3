//! Named memory is a shared-memory file, which takes no locks here: who made it takes its name away.

pub(crate) use crate::imp::unix::named_memory::{PREFIX, remove};
use crate::imp::unix::{
    mapping::{self, Mapped},
    named_memory::{mappable, open, path, unlink},
};
use std::{ffi::CString, io, os::fd::AsFd};

#[derive(Debug)]
pub(crate) struct Named {
    mapped: Mapped,
    /// The name, if it is ours to take away, and the process whose it is.
    made: Option<(CString, u32)>,
}

impl Named {
    pub(crate) fn create(name: &str, len: u64) -> io::Result<Self> {
        let path = path(name)?;
        let fd = open(&path, libc::O_CREAT | libc::O_EXCL)?;
        let mapped = mapping::set_file_size(fd.as_fd(), len)
            .and_then(|()| mapping::file_size(fd.as_fd()))
            .and_then(mappable)
            .and_then(|len| Mapped::new(fd.as_fd(), len, 0));
        match mapped {
            Ok(mapped) => Ok(Named { mapped, made: Some((path, std::process::id())) }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = unlink(&path);
                Err(error)
            }
        }
    }

    pub(crate) fn attach(name: &str) -> io::Result<Self> {
        let fd = open(&path(name)?, 0)?;
        let len = mappable(mapping::file_size(fd.as_fd())?)?;
        Ok(Named { mapped: Mapped::new(fd.as_fd(), len, 0)?, made: None })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.mapped.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapped.len()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some((path, pid)) = &self.made
            && *pid == std::process::id()
        {
            // Somebody else may have taken it away before, and there is nobody to tell.
            let _ = unlink(path);
        }
    }
}

//! Handles of the operating system as arguments of a process.
//!
//! Only the kernel can carry a file or a socket from one process to another, and it does so when a process is started:
//!
//! | start method | how |
//! |---|---|
//! | spawn | the new image inherits the handle under its number; the numbers stand in [`HANDLES_VAR`] |
//! | fork server | they travel with the request, behind the standard streams if the child has its own |
//!
//! The values' places in the arguments stand in the child's [`Spec`](crate::spec::Spec); what is an object of the session lies in the
//! message of the arguments as ever. The parent's copies are closed when the child is started, or could not be; a child that dies
//! before it takes them over leaves them to the kernel.

use std::any::Any;

use mp_wire::{Error, Result};
use parking_lot::Mutex;

/// The numbers of the handles that a child has inherited, in hexadecimal, with commas.
pub(crate) const HANDLES_VAR: &str = "MP_HANDLES";

/// The most handles in the arguments of one process.
pub(crate) const MAX_HANDLES: usize = 250;

/// The handles among what was exported, each with its place, and the rest.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) objects: Vec<Box<dyn Any + Send>>,
    pub(crate) places: Vec<u32>,
    pub(crate) handles: Vec<mp_sys::OsHandle>,
}

pub(crate) fn sort(exports: Vec<Box<dyn Any + Send>>) -> Result<Sorted> {
    let mut sorted = Sorted::default();
    for (place, export) in exports.into_iter().enumerate() {
        match export.downcast::<mp_sys::OsHandle>() {
            Ok(handle) => {
                sorted.places.push(place as u32);
                sorted.handles.push(*handle);
            }
            Err(object) => sorted.objects.push(object),
        }
    }
    if sorted.handles.len() > MAX_HANDLES {
        return Err(Error::LimitReached {
            limit: "OS handles in the arguments of a process".into(),
            detail: format!("{}, of {MAX_HANDLES}", sorted.handles.len()),
        });
    }
    Ok(sorted)
}

/// What this process was given, from its first breath until its arguments are decoded.
static GIVEN: Mutex<Vec<mp_sys::OsHandle>> = Mutex::new(Vec::new());

/// Keeps what came with the request to a fork server.
pub(crate) fn keep(handles: Vec<mp_sys::OsHandle>) {
    *GIVEN.lock() = handles;
}

/// The value of [`HANDLES_VAR`].
pub(crate) fn to_text(handles: &[mp_sys::OsHandle]) -> String {
    let numbers: Vec<String> =
        handles.iter().map(|handle| format!("{:x}", mp_sys::number_to_inherit(handle))).collect();
    numbers.join(",")
}

/// Reads what [`to_text`] wrote.
pub(crate) fn parse(text: &str) -> Result<Vec<u64>> {
    let number = |part| u64::from_str_radix(part, 16);
    text.split(',')
        .map(number)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::Forged { what: format!("the environment variable {HANDLES_VAR} ({text:?})") })
}

/// Takes over what a new image has inherited.
///
/// # Safety
/// The numbers are those of open handles that the parent named for this process, and nobody has taken them over yet.
pub(crate) unsafe fn adopt(numbers: &[u64]) -> Result<()> {
    let adopt = |number: &u64| {
        // SAFETY: the caller's promise.
        unsafe { mp_sys::adopt_handle(*number) }
    };
    let handles = numbers.iter().map(adopt).collect::<std::io::Result<_>>();
    keep(handles.map_err(|e| Error::os("handles from the parent", e))?);
    Ok(())
}

/// The imports of the arguments: objects and handles, each in its place.
pub(crate) fn merge(objects: Vec<Box<dyn Any + Send>>, places: &[u32]) -> Result<Vec<Box<dyn Any + Send>>> {
    let given = std::mem::take(&mut *GIVEN.lock());
    if given.len() != places.len() {
        let detail = format!("{} OS handles were announced, {} arrived", places.len(), given.len());
        return Err(Error::Decode { type_name: "arguments".into(), detail });
    }
    let mut imports = objects;
    for (place, handle) in places.iter().zip(given) {
        let place = (*place as usize).min(imports.len());
        imports.insert(place, Box::new(handle));
    }
    Ok(imports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_and_objects_find_their_places_again() {
        let handle = || mp_sys::null_stream().unwrap();
        let exports: Vec<Box<dyn Any + Send>> = vec![
            Box::new(handle()),
            Box::new("a".to_owned()),
            Box::new(handle()),
            Box::new(handle()),
            Box::new("b".to_owned()),
        ];
        let sorted = sort(exports).unwrap();
        assert_eq!((sorted.objects.len(), &sorted.places[..]), (2, &[0, 2, 3][..]));
        let numbers = parse(&to_text(&sorted.handles)).unwrap();
        assert_eq!(numbers.len(), 3);
        keep(sorted.handles);
        let merged = merge(sorted.objects, &sorted.places).unwrap();
        let is_handle: Vec<bool> = merged.iter().map(|m| m.is::<mp_sys::OsHandle>()).collect();
        assert_eq!(is_handle, [true, false, true, true, false]);
        assert!(merge(Vec::new(), &[0]).is_err());
        assert!(parse("1,x").is_err() && parse("").is_err());
        let many = (0..=MAX_HANDLES).map(|_| Box::new(handle()) as Box<dyn Any + Send>).collect();
        assert!(matches!(sort(many), Err(Error::LimitReached { .. })));
    }
}

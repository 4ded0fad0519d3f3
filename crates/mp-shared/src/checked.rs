//! What is no plain data in a form that is: a byte that was written by somebody else is looked at before it is believed.

use std::fmt;
use std::marker::PhantomData;

use mp_macros::Shared;
use mp_wire::{Error, Result};

/// A `bool` in shared memory: a byte, of which every value but 0 is true.
///
/// # Examples
///
/// ```
/// use mp_shared::{Flag, Shared, Value};
///
/// #[derive(Clone, Copy, Shared)]
/// #[repr(C)]
/// struct Job { number: u32, done: Flag }
///
/// let job = Value::new(Job { number: 1, done: false.into() })?;
/// job.lock()?.done = true.into();
/// assert!(job.get()?.done.get());
/// # Ok::<(), mp_shared::Error>(())
/// ```
#[derive(Clone, Copy, Default, Shared)]
#[repr(transparent)]
#[shared(crate = "crate")]
pub struct Flag(u8);

impl Flag {
    /// The value.
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Flag {
    fn from(value: bool) -> Flag {
        Flag(u8::from(value))
    }
}

impl PartialEq for Flag {
    fn eq(&self, other: &Flag) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Flag {}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// An enum or a `char` in shared memory, as its number, which is checked when it is read.
///
/// For types that turn into a `u32` and may come out of one.
///
/// # Examples
///
/// ```
/// use mp_shared::{Coded, Value};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Colour { Red, Green }
///
/// impl From<Colour> for u32 {
///     fn from(colour: Colour) -> u32 { colour as u32 }
/// }
///
/// impl TryFrom<u32> for Colour {
///     type Error = ();
///     fn try_from(number: u32) -> Result<Colour, ()> {
///         [Colour::Red, Colour::Green].into_iter().find(|c| *c as u32 == number).ok_or(())
///     }
/// }
///
/// let colour = Value::new(Coded::new(Colour::Red))?;
/// colour.lock()?.set(Colour::Green);
/// assert_eq!(colour.get()?.get()?, Colour::Green);
/// assert_eq!(Coded::new('ß').get()?, 'ß');
/// # Ok::<(), mp_shared::Error>(())
/// ```
#[derive(Shared)]
#[repr(transparent)]
#[shared(crate = "crate")]
pub struct Coded<E: 'static> {
    number: u32,
    of: PhantomData<fn(E) -> E>,
}

impl<E: Into<u32> + TryFrom<u32>> Coded<E> {
    /// The number of `value`.
    pub fn new(value: E) -> Coded<E> {
        Coded { number: value.into(), of: PhantomData }
    }

    /// The value.
    ///
    /// # Errors
    /// [`Error::Layout`] when the number in memory is none of the type's.
    pub fn get(self) -> Result<E> {
        E::try_from(self.number).map_err(|_| Error::Layout {
            detail: format!("{} is the number of no {}", self.number, std::any::type_name::<E>()),
        })
    }

    /// Another value.
    pub fn set(&mut self, value: E) {
        self.number = value.into();
    }
}

impl<E> Clone for Coded<E> {
    fn clone(&self) -> Coded<E> {
        *self
    }
}

impl<E> Copy for Coded<E> {}

impl<E> fmt::Debug for Coded<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_no_harm() {
        assert!(Flag(200).get() && Flag(200) == Flag::from(true));
        assert_eq!(Coded::new('x').get().unwrap(), 'x');
        let wrong: Coded<char> = Coded { number: 0xD800, of: PhantomData };
        assert!(matches!(wrong.get(), Err(Error::Layout { .. })));
    }
}

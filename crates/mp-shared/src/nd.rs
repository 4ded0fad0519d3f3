//! Views of shared data as `ndarray` arrays.

use mp_session::Shared;
use mp_wire::{Error, Result};
use ndarray::{ArrayView, ArrayViewMut, ShapeBuilder};

use crate::{Frozen, Guard, Lease};

/// Data that can be looked at as an `ndarray` array.
pub trait View<T> {
    /// A view of that shape.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the shape does not have as many elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_shared::{Array, View};
    ///
    /// let table = Array::from_fn(6, |i| i as f64)?.freeze()?;
    /// assert_eq!(table.view((2, 3))?[(1, 0)], 3.0);
    /// # Ok::<(), mp_shared::Error>(())
    /// ```
    fn view<S: ShapeBuilder>(&self, shape: S) -> Result<ArrayView<'_, T, S::Dim>>;
}

/// Data that can be changed as an `ndarray` array.
pub trait ViewMut<T>: View<T> {
    /// A view of that shape, to be changed.
    ///
    /// # Errors
    /// As [`View::view`].
    fn view_mut<S: ShapeBuilder>(&mut self, shape: S) -> Result<ArrayViewMut<'_, T, S::Dim>>;
}

fn wrong(error: ndarray::ShapeError) -> Error {
    Error::InvalidArgument { detail: error.to_string() }
}

macro_rules! view {
    ($($type:ty),+) => { $(
        impl<T: Shared> View<T> for $type {
            fn view<S: ShapeBuilder>(&self, shape: S) -> Result<ArrayView<'_, T, S::Dim>> {
                ArrayView::from_shape(shape.into_shape_with_order(), self).map_err(wrong)
            }
        }
    )+ };
}

macro_rules! view_mut {
    ($($type:ty),+) => { $(
        impl<T: Shared> ViewMut<T> for $type {
            fn view_mut<S: ShapeBuilder>(&mut self, shape: S) -> Result<ArrayViewMut<'_, T, S::Dim>> {
                ArrayViewMut::from_shape(shape.into_shape_with_order(), self).map_err(wrong)
            }
        }
    )+ };
}

view!(Guard<'_, [T]>, Lease<T>, Frozen<T>);
view_mut!(Guard<'_, [T]>, Lease<T>);

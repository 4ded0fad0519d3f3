//! What a container can do, wherever it is: code over these traits is written once for containers of this session and for those that are
//! reached through a gateway.
//!
//! ```
//! use mp_manager::{Dict, Result, SharedDict};
//!
//! fn count(words: &impl SharedDict<String, u64>, text: &str) -> Result<()> {
//!     text.split(' ').try_for_each(|word| words.alter(&word.to_owned(), |n| Some(n.unwrap_or(0) + 1)).map(|_| ()))
//! }
//!
//! let words = Dict::new()?;
//! count(&words, "a rose is a rose")?;
//! assert_eq!(words.get("rose")?, Some(2));
//! # Ok::<(), mp_manager::Error>(())
//! ```

use mp_wire::{Error, Message, Result};

use crate::{Any, Dict, List, Namespace, Set, Value};

macro_rules! one_for_all {
    (
        $(#[$doc:meta])*
        $name:ident[$($generic:ident),*] for $type:ty {
            $($(#[$what:meta])* fn $method:ident(&self $(, $arg:ident: $of:ty)*) -> $out:ty = $call:expr;)*
        }
    ) => {
        $(#[$doc])*
        pub trait $name<$($generic: Message),*> {
            $(
                $(#[$what])*
                ///
                /// # Errors
                /// As the method of the container; for one that is reached through a gateway, those of the connection, too.
                fn $method(&self $(, $arg: $of)*) -> Result<$out>;
            )*
        }

        impl<$($generic: Message),*> $name<$($generic),*> for $type {
            $(
                fn $method(&self $(, $arg: $of)*) -> Result<$out> {
                    $call(self $(, $arg)*)
                }
            )*
        }
    };
}

one_for_all! {
    /// A [`Dict`], here or elsewhere.
    SharedDict[K, V] for Dict<K, V> {
        /// The value of a key.
        fn get(&self, key: &K) -> Option<V> = Dict::get;
        /// Whether the key is there.
        fn contains(&self, key: &K) -> bool = Dict::contains;
        /// Puts a value in.
        fn insert(&self, key: &K, value: &V) -> () = Dict::insert;
        /// Puts a value in, and gives the old one.
        fn replace(&self, key: &K, value: &V) -> Option<V> = Dict::replace;
        /// Takes an entry out, and gives its value.
        fn pop(&self, key: &K) -> Option<V> = Dict::pop;
        /// Takes an entry out; whether it was there.
        fn remove(&self, key: &K) -> bool = Dict::remove;
        /// Takes the last entry out.
        fn pop_item(&self) -> Option<(K, V)> = Dict::pop_item;
        /// The value of a key, which is put in if there is none.
        fn set_default(&self, key: &K, value: V) -> V = Dict::set_default;
        /// Lets `f` make a new value of the present one, atomically.
        fn alter(&self, key: &K, f: impl FnMut(Option<V>) -> Option<V>) -> Option<V> = Dict::alter;
        /// Puts all these entries in, at one instant.
        fn update(&self, entries: Vec<(K, V)>) -> () = Dict::update;
        /// Takes all entries out, at one instant.
        fn clear(&self) -> () = Dict::clear;
        /// How many entries there are.
        fn len(&self) -> usize = Dict::len;
        /// Whether there is none.
        fn is_empty(&self) -> bool = Dict::is_empty;
        /// All keys, in order.
        fn keys(&self) -> Vec<K> = Dict::keys;
        /// All values, in order.
        fn values(&self) -> Vec<V> = Dict::values;
        /// All entries, in order.
        fn items(&self) -> Vec<(K, V)> = Dict::items;
    }
}

one_for_all! {
    /// A [`List`], here or elsewhere.
    SharedList[T] for List<T> {
        /// Puts a value at the end.
        fn append(&self, value: &T) -> () = List::append;
        /// Puts values at the end, all at once.
        fn extend(&self, values: Vec<T>) -> () = List::extend;
        /// Puts a value before the one at `index`.
        fn insert(&self, index: usize, value: &T) -> () = List::insert;
        /// The element at `index`.
        fn get(&self, index: usize) -> Option<T> = List::get;
        /// Puts a value in the place of the one at `index`; whether there is one.
        fn set(&self, index: usize, value: &T) -> bool = List::set;
        /// Takes the last element.
        fn pop(&self) -> Option<T> = List::pop;
        /// Takes the element at `index`.
        fn pop_at(&self, index: usize) -> Option<T> = List::pop_at;
        /// The elements in a range, as far as there are any.
        fn slice(&self, range: std::ops::Range<usize>) -> Vec<T> = List::slice;
        /// Puts values in the place of those in a range.
        fn splice(&self, range: std::ops::Range<usize>, values: Vec<T>) -> () = List::splice;
        /// All elements.
        fn to_vec(&self) -> Vec<T> = List::to_vec;
        /// Takes all elements out.
        fn clear(&self) -> () = List::clear;
        /// Turns the order round.
        fn reverse(&self) -> () = List::reverse;
        /// How many elements there are.
        fn len(&self) -> usize = List::len;
        /// Whether there is none.
        fn is_empty(&self) -> bool = List::is_empty;
    }
}

one_for_all! {
    /// A [`Set`], here or elsewhere.
    SharedSet[T] for Set<T> {
        /// Puts an element in; `false`: it was there.
        fn add(&self, value: &T) -> bool = Set::add;
        /// Takes an element out; `false`: it was not there.
        fn remove(&self, value: &T) -> bool = Set::remove;
        /// Whether the element is there.
        fn contains(&self, value: &T) -> bool = Set::contains;
        /// Takes some element out.
        fn pop(&self) -> Option<T> = Set::pop;
        /// Puts all these elements in, at one instant.
        fn update(&self, values: Vec<T>) -> () = Set::update;
        /// Takes all elements out, at one instant.
        fn clear(&self) -> () = Set::clear;
        /// All elements, in order.
        fn to_vec(&self) -> Vec<T> = Set::to_vec;
        /// How many elements there are.
        fn len(&self) -> usize = Set::len;
        /// Whether there is none.
        fn is_empty(&self) -> bool = Set::is_empty;
    }
}

one_for_all! {
    /// A [`Value`], here or elsewhere.
    SharedValue[T] for Value<T> {
        /// The value.
        fn get(&self) -> T = Value::get;
        /// Puts another value in its place.
        fn set(&self, value: &T) -> () = Value::set;
        /// Changes the value, atomically, and gives what it made.
        fn update(&self, change: impl FnMut(&mut T)) -> T = Value::update;
    }
}

/// A [`Namespace`], here or elsewhere.
pub trait SharedNamespace {
    /// Assigns an attribute.
    ///
    /// # Errors
    /// As [`Namespace::set`].
    fn set(&self, name: &str, value: impl Into<Any>) -> Result<()>;
    /// An attribute of a known type.
    ///
    /// # Errors
    /// As [`Namespace::get`].
    fn get<T: TryFrom<Any, Error = Error>>(&self, name: &str) -> Result<Option<T>>;
    /// Takes an attribute out; `false`: there is none.
    ///
    /// # Errors
    /// As [`Namespace::delete`].
    fn delete(&self, name: &str) -> Result<bool>;
    /// The names of all attributes.
    ///
    /// # Errors
    /// As [`Namespace::names`].
    fn names(&self) -> Result<Vec<String>>;
}

impl SharedNamespace for Namespace {
    fn set(&self, name: &str, value: impl Into<Any>) -> Result<()> {
        Namespace::set(self, name, value)
    }

    fn get<T: TryFrom<Any, Error = Error>>(&self, name: &str) -> Result<Option<T>> {
        Namespace::get(self, name)
    }

    fn delete(&self, name: &str) -> Result<bool> {
        Namespace::delete(self, name)
    }

    fn names(&self) -> Result<Vec<String>> {
        Namespace::names(self)
    }
}

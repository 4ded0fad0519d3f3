//! Memory under a name.

use mp_sys::{NAMED_MEMORY_PREFIX, NamedMemory};
use std::io::ErrorKind;

fn name(what: &str) -> String {
    format!("{NAMED_MEMORY_PREFIX}{}{what}", std::process::id())
}

#[test]
fn the_last_user_takes_the_name_away() {
    let name = name("last");
    let maker = NamedMemory::create(&name, 100).expect("create");
    assert_eq!(NamedMemory::create(&name, 100).expect_err("twice").kind(), ErrorKind::AlreadyExists);
    let other = NamedMemory::attach(&name).expect("attach");
    assert!(maker.len() >= 100 && maker.len() == other.len());
    // SAFETY: two mappings of the same bytes, which only this test uses.
    unsafe {
        maker.as_ptr().add(99).write(7);
        assert_eq!(other.as_ptr().add(99).read(), 7);
    }
    drop(maker);
    #[cfg(target_os = "linux")]
    drop(NamedMemory::attach(&name).expect("there is still a user"));
    drop(other);
    assert_eq!(NamedMemory::attach(&name).expect_err("gone").kind(), ErrorKind::NotFound);
}

#[test]
fn wrong_names_and_lengths_are_errors() {
    for (name, len) in [("", 1), ("a/b", 1), ("a\0b", 1), ("mp-none", 0), ("mp-none", u64::MAX)] {
        assert_eq!(NamedMemory::create(name, len).expect_err("create").kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(NamedMemory::attach(&name("none")).expect_err("attach").kind(), ErrorKind::NotFound);
}

/// *name-reused*: a leaver does not take away a name that means something else by now.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_was_given_anew_stays() {
    let name = name("anew");
    let first = NamedMemory::create(&name, 10).expect("create");
    NamedMemory::remove(&name).expect("remove");
    let second = NamedMemory::create(&name, 20).expect("create again");
    drop(first);
    assert_eq!(NamedMemory::attach(&name).expect("attach").len(), 20);
    drop(second);
    assert_eq!(NamedMemory::remove(&name).expect_err("gone").kind(), ErrorKind::NotFound);
}

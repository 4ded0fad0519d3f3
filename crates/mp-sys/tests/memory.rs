//! Memory objects, also between processes.

mod common;
use common::{Words, again, told};
use mp_sys::{Exit, MemoryObject, memory_available, page_size};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;

#[test]
fn two_processes_see_one_memory() {
    if let Some(told) = told() {
        let words = Words::inherited(told[0]);
        words.wait_for(0, 1);
        words.at::<std::sync::atomic::AtomicU32>(4000).store(77, Ordering::Release);
        words.set(1, 2);
        return;
    }
    let words = Words::create();
    let number = words.object.as_inherited();
    let kid = again("two_processes_see_one_memory", &[number], &[number]);
    words.set(0, 1);
    words.wait_for(1, 2);
    assert_eq!(words.at::<std::sync::atomic::AtomicU32>(4000).load(Ordering::Acquire), 77);
    assert_eq!(kid.0.wait(common::soon()).expect("wait"), Some(Exit::Code(0)));
}

#[test]
fn a_large_object_costs_nothing_until_touched() {
    let len = 16 << 30;
    let object = MemoryObject::create(len).expect("create");
    assert_eq!(object.size().expect("size"), len);
    let map = object.map(len as usize).expect("map");
    assert_eq!(map.len(), len as usize);
    map.commit(len as usize - page_size(), page_size()).expect("commit");
    // SAFETY: the last page is mapped, committed, and ours alone.
    unsafe {
        let last = map.as_ptr().add(len as usize - 1);
        assert_eq!(last.read(), 0);
        last.write(1);
        assert_eq!(last.read(), 1);
    }
    let again = object.try_clone().expect("clone").map(len as usize).expect("map");
    // SAFETY: as above.
    assert_eq!(unsafe { again.as_ptr().add(len as usize - 1).read() }, 1);
}

#[test]
fn wrong_lengths_are_errors() {
    let object = MemoryObject::create(1 << 20).expect("create");
    for len in [0, (1 << 20) + 1, usize::MAX] {
        assert_eq!(object.map(len).expect_err("map").kind(), ErrorKind::InvalidInput);
    }
    let map = object.map(1 << 20).expect("map");
    for (offset, len) in [(1 << 20, 1), (usize::MAX, 2), (0, (1 << 20) + 1)] {
        assert_eq!(map.commit(offset, len).expect_err("commit").kind(), ErrorKind::InvalidInput);
        assert_eq!(map.discard(offset, len).expect_err("discard").kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(map.discard(1, page_size()).expect_err("discard").kind(), ErrorKind::InvalidInput);
}

#[test]
fn discarded_pages_read_as_zero_for_everybody() {
    let object = MemoryObject::create(1 << 20).expect("create");
    let (one, other) = (object.map(1 << 20).expect("map"), object.map(1 << 20).expect("map"));
    let page = page_size();
    one.commit(0, 3 * page).expect("commit");
    // SAFETY: three committed pages that only this test uses.
    unsafe {
        one.as_ptr().write_bytes(9, 3 * page);
        let discarded = one.discard(page, page).expect("discard");
        // Some emulators cannot; any real machine can.
        assert!(discarded || cfg!(not(all(target_os = "linux", target_arch = "x86_64"))));
        let expected = if discarded { 0 } else { 9 };
        assert_eq!(other.as_ptr().add(page).read(), expected);
        assert_eq!((other.as_ptr().add(page - 1).read(), other.as_ptr().add(2 * page).read()), (9, 9));
        one.as_ptr().add(page).write(5);
        assert_eq!(other.as_ptr().add(page).read(), 5);
    }
}

#[test]
fn there_is_memory() {
    assert!(page_size().is_power_of_two() && page_size() >= 4096);
    assert!(memory_available().is_some_and(|bytes| bytes > 1 << 20));
}

#[cfg(target_os = "linux")]
#[test]
fn a_peer_cannot_change_the_size() {
    let object = MemoryObject::create(1 << 20).expect("create");
    for len in [0, 1 << 19, 1 << 21] {
        // SAFETY: a plain call on our own descriptor.
        assert_eq!(unsafe { libc::ftruncate(object.as_inherited() as i32, len) }, -1);
    }
    assert_eq!(object.size().expect("size"), 1 << 20);
}

#[cfg(unix)]
#[test]
fn beyond_the_file_size_limit_is_an_error_and_no_signal() {
    if told().is_some() {
        mp_sys::set_rlimit(mp_sys::Limit::FileSize, 1 << 20, 1 << 20).expect("limit");
        assert_eq!(mp_sys::file_size_limit(), Some(1 << 20));
        assert_eq!(MemoryObject::create(2 << 20).expect_err("create").kind(), ErrorKind::FileTooLarge);
        MemoryObject::create(1 << 20).expect("create");
        return;
    }
    let kid = again("beyond_the_file_size_limit_is_an_error_and_no_signal", &[], &[]);
    assert_eq!(kid.0.wait(common::soon()).expect("wait"), Some(Exit::Code(0)));
}

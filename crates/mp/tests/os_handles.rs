//! Handles of the operating system go where the kernel carries them, and nowhere else.

use std::fs::File;

use mp::prelude::*;
use mp::process::OsHandle;

mp::enable_in_tests!();

fn file() -> OsHandle<File> {
    OsHandle(File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).unwrap())
}

fn is_refused(error: &mp::Error) -> bool {
    matches!(error, mp::Error::Unsupported { .. }) && error.to_string().contains("arguments of a process")
}

/// A clear error where it is put, not a dead number where it arrives; and the queue works on.
#[test]
fn a_queue_refuses_them() {
    let (tx, rx) = queue::unbounded::<(u32, Option<OsHandle<File>>)>().unwrap();
    let refused = tx.put((1, Some(file()))).unwrap_err();
    assert!(is_refused(&refused));
    tx.put((2, None)).unwrap();
    assert_eq!(rx.get().unwrap().0, 2);
}

#[test]
fn a_pool_refuses_them() {
    let pool = Pool::new(1).unwrap();
    let error = pool.apply(|file: OsHandle<File>| file.metadata().is_ok(), (file(),)).unwrap_err();
    let cause = match &error {
        mp::Error::Failed(failure) => failure.source.as_deref().unwrap_or(&error),
        _ => &error,
    };
    assert!(is_refused(cause), "{error:?}");
    assert_eq!(pool.apply(|a: u32| a + 1, (1,)), Ok(2));
}

/// A link goes to a child in its arguments, and files go over it.
#[cfg(unix)]
#[test]
fn a_link_to_a_child_carries_them() {
    use mp::pipe::Link;

    fn child(link: Link) -> mp::Result<()> {
        loop {
            match link.recv::<OsHandle<File>>() {
                Ok(file) => link.send(file.metadata().is_ok())?,
                Err(error) if error.is_closed() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    for method in mp::StartMethod::available() {
        let (ours, theirs) = Link::pair().unwrap();
        let child = Process::builder().start_method(*method).spawn(child, (theirs,)).unwrap();
        for _ in 0..3 {
            ours.send(file()).unwrap();
            assert_eq!(ours.recv(), Ok(true));
        }
        drop(ours);
        child.join().unwrap();
    }
}

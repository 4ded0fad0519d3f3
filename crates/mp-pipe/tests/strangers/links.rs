//! Frames, limits, deadlines, the end.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mp_pipe::{Address, Client, Error, Link, RecvIntoError};

use super::{PATIENCE, bytes_of, over_tcp};

/// A link whose other side is a bare socket.
fn raw() -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = Client::new().connect(Address::from(listener.local_addr().unwrap())).unwrap();
    (link, listener.accept().unwrap().0)
}

#[test]
fn messages_of_all_sizes_both_ways() {
    for (a, b) in [Link::pair().unwrap(), over_tcp()] {
        let sizes = [0, 1, 3, 4, 16_380, 16_384, 16_385, 0, 100_000, 5_000_000, 2];
        thread::scope(|scope| {
            scope.spawn(|| {
                for size in sizes {
                    a.send_bytes(&bytes_of(size as u64, size)).unwrap();
                    a.send((size, bytes_of(size as u64 + 1, size))).unwrap();
                }
            });
            for size in sizes {
                assert_eq!(b.recv_bytes().unwrap(), bytes_of(size as u64, size));
                assert_eq!(b.recv::<(usize, Vec<u8>)>().unwrap(), (size, bytes_of(size as u64 + 1, size)));
            }
        });
        b.send_bytes(b"back").unwrap();
        assert!(a.poll(PATIENCE).unwrap());
        assert_eq!(a.recv_bytes().unwrap(), b"back");
        assert!(!a.poll(Duration::ZERO).unwrap());
        assert_eq!(a.try_recv::<u8>(), Err(Error::Empty));
    }
}

#[test]
fn a_buffer_that_is_too_short_loses_nothing() {
    for size in [10, 20_000, 3_000_000] {
        let (a, b) = over_tcp();
        let bytes = bytes_of(7, size);
        thread::scope(|scope| {
            scope.spawn(|| (0..2).for_each(|_| a.send_bytes(&bytes).unwrap()));
            let mut exact = vec![0; size];
            assert_eq!(b.recv_bytes_into(&mut exact).unwrap(), size);
            assert_eq!(exact, bytes);
            match b.recv_bytes_into(&mut exact[1..]) {
                Err(RecvIntoError::TooShort(message)) => assert_eq!(message, bytes),
                other => panic!("{other:?}"),
            }
        });
    }
}

#[test]
fn a_message_above_the_limit_is_refused_before_it_is_read() {
    let (link, mut other) = raw();
    link.set_max_message(1000);
    // A claim of 8 EiB, and nothing behind it.
    other.write_all(&[&(-1_i32).to_be_bytes()[..], &(1_u64 << 63).to_be_bytes()].concat()).unwrap();
    let error = link.recv_bytes().unwrap_err();
    assert!(matches!(&error, Error::LimitReached { .. }), "{error}");
    assert_eq!(link.recv_bytes().unwrap_err(), error, "where the next one begins nobody knows");

    let (link, mut other) = raw();
    link.set_max_message(5);
    other.write_all(b"\0\0\0\x05hello\0\0\0\x06hello!").unwrap();
    assert_eq!(link.recv_bytes().unwrap(), b"hello");
    assert!(matches!(link.recv_bytes(), Err(Error::LimitReached { .. })));

    // Within the limit, and it never comes.
    let (link, mut other) = raw();
    other.write_all(&(1_i32 << 29).to_be_bytes()).unwrap();
    assert!(link.recv_bytes_timeout(Duration::from_millis(10)).unwrap_err().is_timeout());
    drop(other);
    assert!(matches!(link.recv_bytes(), Err(Error::Torn { .. })));

    let (link, mut other) = raw();
    other.write_all(&(-7_i32).to_be_bytes()).unwrap();
    assert!(matches!(link.recv_bytes(), Err(Error::Forged { .. })));
}

#[test]
fn the_end_and_a_message_that_is_cut_off_are_told_apart() {
    for cut in [0, 1, 3, 4, 5, 8, 9] {
        let (link, mut other) = raw();
        other.write_all(&b"\0\0\0\x02ok\0\0\0\x05hello"[..6 + cut]).unwrap();
        drop(other);
        assert_eq!(link.recv_bytes().unwrap(), b"ok");
        match (cut, link.recv_bytes()) {
            (0, Err(Error::Disconnected { .. })) | (1..9, Err(Error::Torn { .. })) => {}
            (9, Ok(bytes)) => assert_eq!(bytes, b"hello"),
            other => panic!("{other:?}"),
        }
        assert!(link.poll(Duration::ZERO).unwrap(), "the end is something to be told");
        assert!(matches!(link.recv_bytes(), Err(Error::Disconnected { .. })));
    }
}

#[test]
fn a_deadline_in_the_middle_of_a_message_loses_nothing() {
    let (link, mut other) = raw();
    let bytes = bytes_of(3, 40_000);
    let mut frame = (bytes.len() as i32).to_be_bytes().to_vec();
    frame.extend(&bytes);
    let begin = Instant::now();
    for part in frame.chunks(7000) {
        other.write_all(part).unwrap();
        if part.len() == 7000 {
            let mut buffer = [0; 50_000];
            let error = link.recv_bytes_timeout(Duration::from_millis(5)).unwrap_err();
            assert!(error.is_timeout());
            link.set_timeouts(Some(Duration::from_millis(5)), None);
            assert!(Error::from(link.recv_bytes_into(&mut buffer).unwrap_err()).is_timeout());
            link.set_timeouts(None, None);
        }
    }
    assert!(begin.elapsed() >= Duration::from_millis(10 * 5));
    assert_eq!(link.recv_bytes().unwrap(), bytes);
}

#[test]
fn a_deadline_while_sending() {
    let (a, b) = Link::pair().unwrap();
    let large = vec![1; 100_000];
    let sent = (0..).take_while(|_| a.send_bytes_timeout(&large, Duration::from_millis(20)).is_ok()).count();
    // The last one was cut off in the middle, as it did not fit: that is the end.
    let error = a.send_bytes(b"more").unwrap_err();
    assert!(matches!(&error, Error::Broken { .. } | Error::TimedOut { .. }), "{error}");
    for _ in 0..sent {
        assert_eq!(b.recv_bytes().unwrap(), large);
    }
    assert!(matches!(b.recv_bytes(), Err(Error::Torn { .. } | Error::Disconnected { .. })));
}

#[test]
fn closing_ends_what_waits_in_other_threads() {
    // A named pipe that is closed while another thread sends on it has hung under wine: see `docs/platforms.md`.
    let pairs = if cfg!(windows) { vec![over_tcp()] } else { vec![Link::pair().unwrap(), over_tcp()] };
    for (a, b) in pairs {
        let a = Arc::new(a);
        let receiver = {
            let a = a.clone();
            thread::spawn(move || a.recv_bytes())
        };
        let sender = {
            let a = a.clone();
            thread::spawn(move || {
                loop {
                    if let Err(e) = a.send_bytes(&[0; 50_000]) {
                        return e;
                    }
                }
            })
        };
        assert!(b.poll(PATIENCE).unwrap());
        a.close();
        assert!(matches!(receiver.join().unwrap(), Err(Error::Closed { .. })));
        assert!(matches!(sender.join().unwrap(), Error::Closed { .. }));
        assert!(a.is_closed() && a.send_bytes(b"x").is_err());
        loop {
            match b.recv_bytes() {
                Ok(bytes) => assert_eq!(bytes, [0; 50_000]),
                Err(error) => {
                    break assert!(matches!(error, Error::Torn { .. } | Error::Disconnected { .. }));
                }
            }
        }
    }
}

#[test]
fn threads_share_a_link() {
    let (a, b) = over_tcp();
    thread::scope(|scope| {
        for t in 0..3_u64 {
            let a = &a;
            scope.spawn(move || {
                for i in 0..300_u64 {
                    let size = if i % 50 == 0 { 100_000 } else { (i % 40) as usize };
                    a.send((t, i, vec![t as u8; size])).unwrap();
                }
            });
        }
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = [None; 3];
                for _ in 0..300 {
                    let (t, i, filler) = b.recv_timeout::<(u64, u64, Vec<u8>)>(PATIENCE).unwrap();
                    assert!(filler.iter().all(|byte| u64::from(*byte) == t));
                    assert!(last[t as usize].replace(i) < Some(i), "order of one sender");
                }
            });
        }
    });
    assert_eq!(b.try_recv::<()>(), Err(Error::Empty));
}

#[test]
fn what_is_not_for_strangers_is_refused_and_nothing_is_sent() {
    let (a, b) = over_tcp();
    let (ours, _theirs) = mp_pipe::pipe().unwrap();
    assert!(matches!(a.send(ours), Err(Error::Unsupported { .. })));
    a.send_bytes(b"bytes").unwrap();
    assert!(matches!(b.recv::<u8>(), Err(Error::Decode { .. })));
    a.send("text".to_owned()).unwrap();
    assert!(matches!(b.recv::<Vec<u64>>(), Err(Error::Decode { .. })));
    a.send(7_u8).unwrap();
    assert_eq!(b.recv::<u8>(), Ok(7));
}

#[test]
fn links_can_be_waited_for_together() {
    let links: Vec<(Link, Link)> = (0..40).map(|_| Link::pair().unwrap()).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = links.into_iter().unzip();
    let all: Vec<&dyn mp_session::Waitable> = ours.iter().map(|l| l as &dyn mp_session::Waitable).collect();
    assert!(mp_session::wait(&all, Duration::from_millis(10)).unwrap().is_empty());
    theirs[7].send_bytes(b"one").unwrap();
    theirs[7].send_bytes(b"two").unwrap();
    assert_eq!(mp_session::wait(&all, PATIENCE).unwrap(), [7]);
    assert_eq!(ours[7].recv_bytes().unwrap(), b"one");
    assert_eq!(mp_session::wait(&all, PATIENCE).unwrap(), [7], "what was read ahead counts");
    assert_eq!(ours[7].recv_bytes().unwrap(), b"two");
    drop(theirs);
    assert_eq!(mp_session::wait(&all, PATIENCE).unwrap().len(), 40, "the end is something to be told");
}

/// Somebody's own event loop sees each message, though several had come at once.
#[test]
fn the_descriptor_tells_of_each_message() {
    let (a, b) = Link::pair().unwrap();
    let Some(source) = b.source() else { return };
    let readable = || mp_sys::poll(&[(source, mp_sys::Interest::Readable)], Some(Instant::now())).unwrap()[0];
    assert!(!readable());
    (0..5_u8).for_each(|i| a.send_bytes(&[i; 3]).unwrap());
    for i in 0..5 {
        assert!(readable());
        assert_eq!(b.recv_bytes().unwrap(), [i; 3]);
    }
    assert!(!readable());
}

#[cfg(unix)]
mod handles {
    //! Files and links inside messages.

    use std::fs::File;
    use std::io::{Read, Seek, Write};

    use mp_pipe::Error;
    use mp_session::OsHandle;

    use super::super::{PATIENCE, bytes_of, over_tcp};
    use super::Link;

    /// A file without a name that says its number.
    fn file(number: u32) -> OsHandle<File> {
        let path = std::env::temp_dir().join(format!("mp-pipe-{}-{number}", std::process::id()));
        let options = || File::options().read(true).write(true).create_new(true).open(&path);
        let mut file = options().unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&number.to_le_bytes()).unwrap();
        OsHandle(file)
    }

    fn number(file: &OsHandle<File>) -> u32 {
        let mut bytes = [0; 4];
        let mut file = &file.0;
        file.rewind().unwrap();
        file.read_exact(&mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// Between messages without any, and as many as take several packets; each belongs to its message.
    #[test]
    fn files_arrive_with_their_messages() {
        let (a, b) = Link::pair().unwrap();
        let counts = [1, 0, 3, 300, 2, 253, 254];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (n, count) in counts.into_iter().enumerate() {
                    let files: Vec<_> = (0..count).map(|i| file(n as u32 * 1000 + i)).collect();
                    a.send((files, vec![n as u8; n * 50_000])).unwrap();
                    a.send_bytes(b"between").unwrap();
                }
            });
            for (n, count) in counts.into_iter().enumerate() {
                let (files, filler): (Vec<OsHandle<File>>, Vec<u8>) = b.recv_timeout(PATIENCE).unwrap();
                assert_eq!(filler, vec![n as u8; n * 50_000]);
                let numbers: Vec<u32> = files.iter().map(number).collect();
                assert_eq!(numbers, (0..count).map(|i| n as u32 * 1000 + i).collect::<Vec<_>>());
                assert_eq!(b.recv_bytes().unwrap(), b"between");
            }
        });
    }

    #[test]
    fn files_that_are_not_asked_for_are_closed() {
        let (a, b) = Link::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = OsHandle(File::from(std::os::fd::OwnedFd::from(writer)));
        a.send((writer, 1)).unwrap();
        a.send(2_u8).unwrap();
        b.recv_bytes().unwrap();
        assert_eq!(b.recv::<u8>(), Ok(2));
        let mut nothing = Vec::new();
        reader.read_to_end(&mut nothing).unwrap(); // ends when nobody has the writer
        assert!(nothing.is_empty());
    }

    #[test]
    fn a_link_travels_over_a_link() {
        let (a, b) = Link::pair().unwrap();
        for (ours, theirs) in [Link::pair().unwrap(), over_tcp()] {
            theirs.set_max_message(1000);
            a.send(("take this".to_owned(), theirs)).unwrap();
            let (_, moved) = b.recv::<(String, Link)>().unwrap();
            let bytes = bytes_of(1, 1000);
            moved.send_bytes(&bytes).unwrap();
            assert_eq!(ours.recv_bytes().unwrap(), bytes);
            ours.send_bytes(&[0; 1001]).unwrap();
            assert!(matches!(moved.recv_bytes(), Err(Error::LimitReached { .. })));
            drop(moved);
            assert!(ours.recv_bytes().unwrap_err().is_closed(), "no copy was left behind");
        }
        let (ours, theirs) = over_tcp();
        ours.send_bytes(b"one").unwrap();
        ours.send_bytes(b"two").unwrap();
        theirs.recv_bytes().unwrap();
        match a.send(theirs) {
            Err(error) => assert!(matches!(error, Error::InUse { .. }), "{error}"),
            Ok(()) => drop(b.recv::<Link>().unwrap()), // the second one had not come yet
        }
        let (ours, _theirs) = over_tcp();
        let refused = ours.send(file(1)).unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    }
}

//! Files, pipes and sockets as arguments of a process, and nowhere else.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Seek, Write};

use mp_process::{Builder, CancelToken, Error, OsHandle, Process, Run, StartMethod};
use serde::{Deserialize, Serialize};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

fn null() -> File {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).unwrap()
}

fn pass(mut from: OsHandle<PipeReader>, token: CancelToken, to: OsHandle<PipeWriter>) -> Result<bool, Error> {
    let mut text = String::new();
    from.read_to_string(&mut text)?;
    write!(to.into_inner(), "passed on: {text}")?;
    Ok(token.is_cancelled())
}

/// With objects of the session before, between and behind them; the parent's own ends are still its own.
#[test]
fn pipes_arrive_in_their_places() {
    for b in methods() {
        let (from, mut feed) = std::io::pipe().unwrap();
        let (mut out, to) = std::io::pipe().unwrap();
        let token = CancelToken::new().unwrap();
        token.cancel();
        // Without stdio of its own, and with.
        let child =
            b.stdout(mp_process::Stream::Null).spawn(pass, (OsHandle(from), token, OsHandle(to))).unwrap();
        feed.write_all(b"a line").unwrap();
        drop(feed);
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap(); // ends: no copy of the writing end is left anywhere
        assert_eq!(text, "passed on: a line");
        assert_eq!(child.join(), Ok(true));
    }
}

#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    files: Vec<OsHandle<File>>,
}

impl Run for Job {
    type Output = std::io::Result<usize>;

    fn run(mut self) -> std::io::Result<usize> {
        for (i, file) in self.files.iter_mut().enumerate() {
            writeln!(file, "{} {i}", self.name)?;
        }
        Ok(self.files.len())
    }
}

#[test]
fn a_hundred_files_in_a_struct() {
    for b in methods() {
        let path = std::env::temp_dir().join(format!("mp-os-handles-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let files = (0..100).map(|_| OsHandle(file.try_clone().unwrap())).collect();
        let job = Job { name: "entry".into(), files };
        assert_eq!(b.run(job).unwrap().join().unwrap(), 100);
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert!(
            text.starts_with("entry 0\nentry 1\n") && text.ends_with("entry 99\n"),
            "one position for all"
        );
    }
}

/// A child that has other arguments before and after: nothing of one start is left for the next.
#[test]
fn other_starts_have_none() {
    for b in methods() {
        for _ in 0..3 {
            let with =
                b.clone().spawn(|f: OsHandle<File>| f.try_clone().is_ok(), (OsHandle(null()),)).unwrap();
            let without = b.clone().spawn(|| std::env::var_os("MP_HANDLES").is_none(), ()).unwrap();
            assert!(with.join().unwrap() && without.join().unwrap());
        }
    }
}

#[test]
fn nothing_else_carries_them() {
    let session = mp_session::Session::current().unwrap();
    let handle = || OsHandle(null());
    let refused = mp_session::Message::encode(&session, &handle()).unwrap_err();
    assert!(matches!(&refused, Error::Unsupported { .. }), "{refused:?}");
    assert!(refused.to_string().contains("arguments of a process"), "{refused}");
    for b in methods() {
        let returned = b.clone().spawn(|| Ok::<_, Error>(OsHandle(null())), ()).unwrap().join().unwrap_err();
        assert!(
            matches!(&returned, Error::Failed(f) if matches!(f.source.as_deref(), Some(Error::Unsupported { .. }))),
            "{returned:?}"
        );
        let many: Vec<_> = (0..251).map(|_| handle()).collect();
        let error = b.clone().spawn(|v: Vec<OsHandle<File>>| v.len(), (many,)).map(drop).unwrap_err();
        assert!(
            matches!(&error, Error::LimitReached { limit, .. } if limit.contains("handles")),
            "{error:?}"
        );
        assert_eq!(b.spawn(|| 1_u8, ()).unwrap().join(), Ok(1));
    }
}

#[cfg(unix)]
#[test]
fn sockets_and_listeners() {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    for b in methods() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let child = b
            .spawn(
                |listener: OsHandle<TcpListener>, mut pair: OsHandle<UnixStream>| {
                    let (mut client, _) = listener.accept()?;
                    let mut byte = [0];
                    client.read_exact(&mut byte)?;
                    pair.write_all(&byte)
                },
                (OsHandle(listener), OsHandle(theirs)),
            )
            .unwrap();
        TcpStream::connect(address).unwrap().write_all(b"!").unwrap();
        let mut byte = [0];
        ours.read_exact(&mut byte).unwrap();
        child.join().unwrap();
        assert_eq!(&byte, b"!");
    }
}

/// Whatever becomes of a start, this process has as many descriptors as before.
#[cfg(target_os = "linux")]
#[test]
fn no_descriptor_is_left_behind() {
    let child = Process::builder()
        .start_method(StartMethod::Spawn)
        .spawn(
            || {
                let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
                for b in methods() {
                    b.clone().spawn(|| (), ()).unwrap().join().unwrap();
                    let before = open();
                    for round in 0..20 {
                        let args = (OsHandle(null()), OsHandle(null()));
                        let piped = b.clone().stdout(mp_process::Stream::Piped);
                        let child =
                            piped.spawn(|a: OsHandle<File>, _: OsHandle<File>| a.metadata().is_ok(), args);
                        let child = child.unwrap();
                        if round % 2 == 0 {
                            child.kill().unwrap();
                        }
                        child.wait().unwrap();
                        let bad = b.clone().env("a=b", "").stdin(mp_process::Stream::Piped);
                        assert!(bad.spawn(|_: OsHandle<File>| (), (OsHandle(null()),)).is_err());
                        struct Never;
                        impl Serialize for Never {
                            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                                Err(serde::ser::Error::custom("never"))
                            }
                        }
                        impl<'de> Deserialize<'de> for Never {
                            fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Never, D::Error> {
                                Err(serde::de::Error::custom("never"))
                            }
                        }
                        let half = b.clone().stdin(mp_process::Stream::Piped);
                        assert!(
                            half.spawn(|_: OsHandle<File>, _: Never| (), (OsHandle(null()), Never)).is_err()
                        );
                    }
                    assert_eq!(open(), before);
                }
            },
            (),
        )
        .unwrap();
    child.join().unwrap();
}

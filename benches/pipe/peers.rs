//! The other ends: processes that receive as many messages as they are told, answered each, or once after the last.

use std::io::{Read, Write};

use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Stream};
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender};
use mp_benches::Failure;
use mp_benches::sockets::{EACH, serve};
use mp_pipe::{Connection, Link, Message, Result};
use mp_process::Process;
use mp_shared::SharedMemory;

/// What a pipe and a link have in common.
pub(crate) trait End {
    fn put(&self, bytes: &[u8]) -> Result<()>;
    fn take(&self, bytes: &mut [u8]) -> Result<usize>;
    fn give<T: Message>(&self, value: T) -> Result<()>;
    fn get<T: Message>(&self) -> Result<T>;

    fn round_trips(&self, count: u32, message: &[u8], mut between: impl FnMut()) -> Result<()> {
        self.give((count, message.len(), true))?;
        let mut answer = vec![0; message.len()];
        for _ in 0..count {
            self.put(message)?;
            self.take(&mut answer)?;
            between();
        }
        Ok(())
    }

    fn one_way(&self, count: u32, message: &[u8]) -> Result<()> {
        self.give((count, message.len(), false))?;
        for _ in 0..count {
            self.put(message)?;
        }
        self.get()
    }

    fn answer(&self) -> Result<()> {
        while let Ok((count, size, each)) = self.get::<(u32, usize, bool)>() {
            let mut message = vec![0; size];
            for _ in 0..count {
                self.take(&mut message)?;
                if each {
                    self.put(&message)?;
                }
            }
            if !each {
                self.give(())?;
            }
        }
        Ok(())
    }
}

macro_rules! ends {
    ($($end:ty),*) => {$(
        impl End for $end {
            fn put(&self, bytes: &[u8]) -> Result<()> {
                self.send_bytes(bytes)
            }
            fn take(&self, bytes: &mut [u8]) -> Result<usize> {
                Ok(self.recv_bytes_into(bytes)?)
            }
            fn give<T: Message>(&self, value: T) -> Result<()> {
                self.send(value)
            }
            fn get<T: Message>(&self) -> Result<T> {
                self.recv()
            }
        }
    )*};
}

ends!(Connection, Link);

pub(crate) fn at_a_pipe(end: Connection) -> Result<()> {
    end.answer()
}

pub(crate) fn at_a_link(end: Link) -> Result<()> {
    end.answer()
}

/// Takes blocks, as many as it is told, and says so after the last.
pub(crate) fn of_blocks(end: Connection) -> Result<()> {
    while let Ok(count) = end.recv::<u32>() {
        for _ in 0..count {
            drop(end.recv::<SharedMemory>()?);
        }
        end.send(())?;
    }
    Ok(())
}

/// ipc-channel: commands, bytes there and bytes back.
pub(crate) struct IpcChannel {
    commands: IpcSender<(u32, bool)>,
    to: IpcBytesSender,
    from: IpcBytesReceiver,
    _child: Process<()>,
}

type Ends = (IpcSender<(u32, bool)>, IpcBytesSender, IpcBytesReceiver);

impl IpcChannel {
    pub(crate) fn start() -> std::result::Result<IpcChannel, Failure> {
        let (server, name) = IpcOneShotServer::<Ends>::new()?;
        let child = Process::builder().daemon(true).spawn(IpcChannel::peer, (name,))?;
        let (_, (commands, to, from)) = server.accept()?;
        Ok(IpcChannel { commands, to, from, _child: child })
    }

    fn peer(name: String) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| mp_pipe::Error::msg(e);
        let (commands, orders) = ipc::channel::<(u32, bool)>().map_err(|e| failed(&e))?;
        let ((to, theirs), (ours, from)) =
            (ipc::bytes_channel().map_err(|e| failed(&e))?, ipc::bytes_channel().map_err(|e| failed(&e))?);
        let server = IpcSender::<Ends>::connect(name).map_err(|e| failed(&e))?;
        server.send((commands, to, from)).map_err(|e| failed(&e))?;
        while let Ok((count, each)) = orders.recv() {
            for _ in 0..count {
                let message = theirs.recv().map_err(|e| failed(&e))?;
                if each {
                    ours.send(&message).map_err(|e| failed(&e))?;
                }
            }
            if !each {
                ours.send(&[1]).map_err(|e| failed(&e))?;
            }
        }
        Ok(())
    }

    pub(crate) fn round_trips(&self, count: u32, message: &[u8]) -> std::result::Result<(), Failure> {
        self.commands.send((count, true))?;
        for _ in 0..count {
            self.to.send(message)?;
            self.from.recv()?;
        }
        Ok(())
    }

    pub(crate) fn one_way(&self, count: u32, message: &[u8]) -> std::result::Result<(), Failure> {
        self.commands.send((count, false))?;
        for _ in 0..count {
            self.to.send(message)?;
        }
        self.from.recv()?;
        Ok(())
    }
}

/// interprocess's local socket, used as the bare one is.
pub(crate) struct LocalSocket {
    stream: Stream,
    _child: Process<()>,
}

impl LocalSocket {
    pub(crate) fn start() -> std::result::Result<LocalSocket, Failure> {
        let name = format!("mp-bench-{}", std::process::id());
        let at = name.as_str().to_ns_name::<GenericNamespaced>()?;
        let listener = ListenerOptions::new().name(at).create_sync()?;
        let child = Process::builder().daemon(true).spawn(LocalSocket::peer, (name.clone(),))?;
        Ok(LocalSocket { stream: listener.accept()?, _child: child })
    }

    fn peer(name: String) -> Result<()> {
        let stream = Stream::connect(name.to_ns_name::<GenericNamespaced>()?)?;
        // It ends with its stream.
        let _ = serve(&mut &stream, &mut &stream);
        Ok(())
    }

    fn ask(&mut self, count: u32, size: usize) -> std::io::Result<()> {
        self.stream.write_all(&[count.to_le_bytes(), (size as u32).to_le_bytes()].concat())
    }

    pub(crate) fn round_trips(&mut self, count: u32, message: &[u8]) -> std::io::Result<()> {
        self.ask(count | EACH, message.len())?;
        let mut answer = vec![0; message.len()];
        for _ in 0..count {
            self.stream.write_all(message)?;
            self.stream.read_exact(&mut answer)?;
        }
        Ok(())
    }

    pub(crate) fn one_way(&mut self, count: u32, message: &[u8]) -> std::io::Result<()> {
        self.ask(count, message.len())?;
        for _ in 0..count {
            self.stream.write_all(message)?;
        }
        self.stream.read_exact(&mut [0])
    }
}

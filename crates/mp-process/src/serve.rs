//! The fork server's own side: what a run of this program does that was started as one. The protocol is told in
//! [`fork_server`].

use mp_session::{MemberId, Prepared};
use mp_sys::{BirthWindow, Channel, Forked};
use mp_wire::{Error, Result};

use crate::fork_server;
use crate::handles;
use crate::panics;
use crate::preload;
use crate::request::{self, Answer, OWN_STREAMS, REQUEST, SPARE};

/// A copy of the server, not yet in the session.
pub(crate) struct Newborn {
    prepared: Prepared,
    member: MemberId,
    start_time: Option<u64>,
    /// It was forked ahead ([`crate::spare`]).
    pub(crate) is_spare: bool,
}

impl Newborn {
    /// Takes its place.
    pub(crate) fn enter(self) -> Result<mp_session::Session> {
        self.prepared.enter(self.member, self.start_time)
    }
}

/// Whether start times can be told from the clock: compared with what the system says of the first child.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    Unproven,
    Proven,
    Wrong,
}

/// The server's loop: returns in each child, and, with nothing, when its parent needs it no more.
pub(crate) fn serve(value: &str) -> Result<Option<Newborn>> {
    let (channel, preload, ticket) = fork_server::parse(value)?;
    // SAFETY: the parent made this descriptor for us and named it; nobody else uses it.
    let channel =
        unsafe { Channel::from_inherited(channel) }.map_err(|e| Error::os("fork server: channel", e))?;
    let prepared = Prepared::open(ticket)?;
    let mut needed = prepared.descriptors();
    needed.push(channel.as_inherited());
    mp_sys::close_all_except(&needed)
        .map_err(|e| Error::os("fork server: close what it does not need", e))?;
    // Children compare it with their parent's: computed once, here.
    mp_sys::image_id();
    // And what each child would do first, once for all of them.
    panics::install_hook();
    // Children of another image say that they are; they do not come to run its functions, and nor does the server.
    let same = prepared.image_id() == mp_sys::image_id();
    // SAFETY: the name is 0, or the parent got it from `preload::name` and runs the session's image, as we do.
    let failed = unsafe { preload::run(if same { preload } else { 0 }) };
    let mut clock = Clock::Unproven;
    let mut request = [0_u8; REQUEST];
    loop {
        let (length, streams) = match channel.recv(&mut request) {
            Ok(received) => received,
            // The parent went without reading our last answer: its end all the same.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
            Err(e) => return Err(Error::os("fork server: request", e)),
        };
        if length != REQUEST {
            return Ok(None);
        }
        let mut bits = [0_u8; 8];
        bits.copy_from_slice(&request[..8]);
        let member = MemberId::from_bits(u64::from_le_bytes(bits));
        if let Some(failed) = &failed {
            let answer = Answer { member, pid: 0, code: request::PRELOAD_FAILED, start_time: 0 };
            let outcome = &failed.payload[..failed.payload.len().min(request::OUTCOME)];
            // A parent that is gone needs no answer; the next message says so.
            let _ = channel.send(&answer.to_bytes(), &[]).and_then(|()| channel.send(outcome, &[]));
            continue;
        }
        // A place that is another's by now: whoever asked for it is gone.
        let Some(word) = prepared.user_word(member, request::PID_WORD) else { return Ok(None) };
        let note = request::pid_note(word);
        let window = BirthWindow::open();
        // SAFETY: this process has one thread; nothing here starts another.
        let answer = match unsafe { mp_sys::fork_sibling(note) } {
            Ok(Forked::Child) => {
                let start_time = window.close().filter(|_| clock == Clock::Proven);
                drop(channel);
                become_child(request[8] & OWN_STREAMS != 0, streams)?;
                let is_spare = request[8] & SPARE != 0;
                return Ok(Some(Newborn { prepared, member, start_time, is_spare }));
            }
            Ok(Forked::Parent(pid)) => {
                let told = window.close();
                if clock == Clock::Unproven
                    && let (Some(told), Ok(read)) = (told, mp_sys::start_time(pid))
                {
                    clock = if told == read { Clock::Proven } else { Clock::Wrong };
                }
                let start_time = told.filter(|_| clock == Clock::Proven).unwrap_or(0);
                Answer { member, pid, code: 0, start_time }
            }
            Err(error) => Answer { member, pid: 0, code: error.raw_os_error().unwrap_or(-1), start_time: 0 },
        };
        match channel.send(&answer.to_bytes(), &[]) {
            // The parent is gone.
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(None);
            }
            answered => answered.map_err(|e| Error::os("fork server: answer", e))?,
        }
    }
}

/// What the server is and a child is not.
fn become_child(own_streams: bool, mut given: Vec<mp_sys::OsHandle>) -> Result<()> {
    if own_streams {
        let handles = given.split_off(given.len().min(3));
        let streams: [_; 3] =
            given.try_into().map_err(|_| Error::Other("fork server: three streams were announced".into()))?;
        mp_sys::replace_stdio(streams).map_err(|e| Error::os("standard streams", e))?;
        given = handles;
    }
    handles::keep(given);
    // It fails when the parent is gone and whoever adopted us is not of our terminal: then our place is gone as well, and
    // that is noticed next.
    let _ = mp_sys::join_parents_group();
    Ok(())
}

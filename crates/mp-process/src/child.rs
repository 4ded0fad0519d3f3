//! What a run of this program does that is not a run of its `main`: a child's life, and a fork server's.

use mp_session::{Message, Prepared, SESSION_VAR, Session};
use mp_sys::{Channel, Forked};
use mp_wire::{Error, Result};

use crate::current;
use crate::fork_server::{self, ANSWER, REQUEST, SERVER_VAR};
use crate::handles::{self, HANDLES_VAR};
use crate::panics;
use crate::spec::Spec;
use crate::target::{self, Produced};

/// Exit code of a child that could not even begin.
const STILLBORN: i32 = 70;

/// The first line of `main`. In a child it does not return: the child does its work and exits. Called again it does
/// nothing.
///
/// `#[mp::main]` calls it, and `enable_in_tests!` does so for test programs.
#[expect(clippy::disallowed_methods, reason = "no other thread is there yet to read the environment")]
pub fn init() {
    if let Some(value) = std::env::var_os(SERVER_VAR) {
        // SAFETY: nothing else runs yet in a process that was started as a server.
        unsafe { std::env::remove_var(SERVER_VAR) };
        let code = match serve(&value.to_string_lossy()) {
            Ok(Life::Served) => 0,
            Ok(Life::Child(prepared, member)) => live(prepared.enter(member)),
            Err(error) => report(&error),
        };
        std::process::exit(code);
    }
    if std::env::var_os(SESSION_VAR).is_some() {
        let session = Session::attach();
        // SAFETY: as above; the session has no threads of its own.
        unsafe { std::env::remove_var(SESSION_VAR) };
        let handles = std::env::var(HANDLES_VAR).ok();
        // SAFETY: as above.
        unsafe { std::env::remove_var(HANDLES_VAR) };
        let session = session
            .and_then(|s| s.ok_or_else(|| Error::Other("no session".into())))
            .and_then(|s| close_what_leaked(&s, handles.as_deref()).map(|()| s));
        std::process::exit(live(session));
    }
    current::set_initialised();
}

/// A C library in the parent may have opened descriptors that are not close-on-exec; a fork server's children have none of
/// those either.
fn close_what_leaked(session: &Session, handles: Option<&str>) -> Result<()> {
    let handles = handles.map_or_else(|| Ok(Vec::new()), handles::parse)?;
    let mut keep = session.descriptors()?.descriptors();
    keep.extend(&handles);
    mp_sys::close_all_except(&keep).map_err(|e| Error::os("close what the parent let through", e))?;
    // SAFETY: the parent let them through for us, and nobody here has looked at them.
    unsafe { handles::adopt(&handles) }
}

fn report(error: &Error) -> i32 {
    // Nobody else can be told: a child without a session has no place for a result.
    eprintln!("mp: a process could not begin: {error}");
    STILLBORN
}

fn live(session: Result<Session>) -> i32 {
    let session = match session {
        Ok(session) => session,
        // The parent is gone, or has given us up: there is nobody to miss us, and nothing to say.
        Err(Error::Stale { .. }) => return STILLBORN,
        Err(error) => return report(&error),
    };
    current::set_initialised();
    panics::install_hook();
    let produced = work(&session).unwrap_or_else(Produced::failed);
    let code = produced.code;
    match leave(&session, produced) {
        Ok(()) => code,
        Err(error) => report(&error),
    }
}

/// Takes the arguments, becomes what the parent wants, and calls.
fn work(session: &Session) -> Result<Produced> {
    let message =
        session.take_arguments()?.ok_or_else(|| Error::Other("the parent left no arguments".into()))?;
    let (codec, payload) = message.payload()?;
    let (spec, args) = Spec::read(payload)?;
    if spec.image != mp_sys::image_id() {
        return Err(Error::ImageMismatch {
            detail: "the child runs another program than its parent: its file was replaced meanwhile".into(),
        });
    }
    current::set_role(&spec);
    // Rust's runtime has done it where we come from `main`; under a test harness we come before it.
    mp_sys::reset_signals().map_err(|e| Error::os("reset signals", e))?;
    if spec.daemon {
        end_with_parent(session)?;
    }
    spec.apply()?;
    // A name that the system does not take is no reason to fail.
    let _ = mp_sys::set_process_title(&session.name());
    // SAFETY: the image is the same, so the name leads to the shim that the parent named.
    let shim = unsafe { target::shim_of(spec.target) };
    let imports = handles::merge(message.imports()?, &spec.handles)?;
    Ok(shim(codec, args, imports))
}

/// A daemon watches its parent and goes with it, also when that is killed. By a thread, for the kernel's own signal for
/// this is sent when the *thread* that started us ends.
fn end_with_parent(session: &Session) -> Result<()> {
    let session = session.clone();
    std::thread::Builder::new()
        .name("mp-parent".into())
        .stack_size(256 * 1024) // it may have to sweep
        .spawn(move || {
            if let Ok(true) = session.wait_for_parent(None) {
                mp_sys::exit_now(ORPHANED);
            }
        })
        .map(|_| ())
        .map_err(|e| Error::os("thread that watches the parent", e))
}

/// Exit code of a daemon whose parent is gone; nobody is left to read it.
const ORPHANED: i32 = 1;

fn leave(session: &Session, produced: Produced) -> Result<()> {
    let message = match Message::pack(session, produced.codec, &produced.payload, produced.exports) {
        Ok(message) => message,
        // Too large for what is left of the session: say that instead.
        Err(error) => {
            let failed = Produced::failed(error);
            Message::pack(session, failed.codec, &failed.payload, failed.exports)?
        }
    };
    session.leave_result(&message)
}

enum Life {
    Served,
    Child(Prepared, mp_session::MemberId),
}

/// The fork server's loop: returns in each child, and at the end.
fn serve(value: &str) -> Result<Life> {
    let (channel, ticket) = fork_server::parse(value)?;
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
    let mut request = [0_u8; REQUEST];
    loop {
        let (length, streams) = match channel.recv(&mut request) {
            Ok(received) => received,
            // The parent went without reading our last answer: its end all the same.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(Life::Served),
            Err(e) => return Err(Error::os("fork server: request", e)),
        };
        if length != REQUEST {
            return Ok(Life::Served);
        }
        let mut member = [0_u8; 8];
        member.copy_from_slice(&request[..8]);
        // SAFETY: this process has one thread; nothing here starts another.
        let answered = match unsafe { mp_sys::fork_sibling() } {
            Ok(Forked::Child) => {
                // In case the server does not live to say so. A parent that is gone needs no answer.
                let _ = answer(&channel, mp_sys::current_pid(), 0, member);
                drop(channel);
                become_child(request[8] != 0, streams)?;
                return Ok(Life::Child(
                    prepared,
                    mp_session::MemberId::from_bits(u64::from_le_bytes(member)),
                ));
            }
            Ok(Forked::Parent(pid)) => answer(&channel, pid, 0, member),
            Err(error) => answer(&channel, 0, error.raw_os_error().unwrap_or(-1), member),
        };
        match answered {
            // The parent is gone.
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(Life::Served);
            }
            answered => answered.map_err(|e| Error::os("fork server: answer", e))?,
        }
    }
}

fn answer(channel: &Channel, pid: u32, code: i32, member: [u8; 8]) -> std::io::Result<()> {
    let mut answer = [0_u8; ANSWER];
    answer[..4].copy_from_slice(&pid.to_le_bytes());
    answer[4..8].copy_from_slice(&code.to_le_bytes());
    answer[8..].copy_from_slice(&member);
    channel.send(&answer, &[])
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

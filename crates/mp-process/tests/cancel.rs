//! Cancellation across processes: a token ends the waits of those who work under it, wherever they are.

use std::time::{Duration, Instant};

use mp_process::{Builder, CancelToken, Departure, Error, Process, StartMethod};

mp_process::enable_in_tests!();

const LONG: Duration = Duration::from_secs(60);
/// For what is to happen at once.
const SOON: Duration = Duration::from_secs(20);

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

/// Says `there`, then waits for what never comes.
fn wait_under(token: CancelToken, there: CancelToken, never: CancelToken) -> Result<bool, Error> {
    token.scope(|| {
        there.cancel();
        never.wait_timeout(LONG)
    })
}

#[test]
fn a_token_ends_a_wait_in_another_process() {
    for b in methods() {
        let [token, there, never] = [(); 3].map(|()| CancelToken::new().unwrap());
        let child = b.spawn(wait_under, (token.clone(), there.clone(), never.clone())).unwrap();
        assert!(there.wait_timeout(SOON).unwrap());
        assert!(!token.is_cancelled() && child.is_alive());
        token.cancel();
        let error = child.join().unwrap_err();
        assert!(
            matches!(&error, Error::Failed(f) if f.source.as_deref() == Some(&Error::Cancelled)),
            "{error:?}"
        );
    }
}

#[test]
fn a_child_cancels_what_its_parent_waits_for() {
    for b in methods() {
        let [token, there, never] = [(); 3].map(|()| CancelToken::new().unwrap());
        let child = b
            .spawn(
                |token: CancelToken, there: CancelToken| {
                    let waits = there.wait_timeout(SOON);
                    token.cancel();
                    waits
                },
                (token.clone(), there.clone()),
            )
            .unwrap();
        let begun = Instant::now();
        assert_eq!(wait_under(token, there, never), Err(Error::Cancelled));
        assert!(begun.elapsed() < LONG);
        assert_eq!(child.join(), Ok(true));
    }
}

#[test]
fn a_join_under_a_token_ends_and_can_be_taken_up_again() {
    for b in methods() {
        let [token, end] = [(); 2].map(|()| CancelToken::new().unwrap());
        let child = b.clone().spawn(|end: CancelToken| end.wait_timeout(LONG), (end.clone(),)).unwrap();
        std::thread::scope(|scope| {
            let joiner = scope.spawn(|| token.scope(|| (child.join(), child.join_timeout(LONG))));
            assert_eq!(child.join_timeout(Duration::from_millis(30)), Ok(None));
            token.cancel();
            assert_eq!(joiner.join().unwrap(), (Err(Error::Cancelled), Err(Error::Cancelled)));
        });
        assert!(child.is_alive());
        let calm = CancelToken::new().unwrap();
        end.cancel();
        assert_eq!(calm.scope(|| child.join()), Ok(true), "a token that nobody cancels changes nothing");
        let killed = b.spawn(|end: CancelToken| end.wait_timeout(LONG).is_ok(), (calm.clone(),)).unwrap();
        killed.kill().unwrap();
        assert_eq!(calm.scope(|| killed.wait()), Ok(Departure::Signalled(9)));
    }
}

/// A stranger's message is no token.
#[test]
fn another_object_is_no_token() {
    let session = mp_session::Session::current().unwrap();
    let token = CancelToken::new().unwrap();
    let message = mp_session::Message::encode(&session, &token).unwrap();
    assert!(message.decode::<CancelToken>().unwrap() == token);
    let plan = mp_session::Blueprint {
        kind: mp_session::Kind::BLOCK,
        fingerprint: 0,
        shape: mp_session::Shape::Plain,
        size: 8,
    };
    let block = mp_session::Object::create(&session, plan, |_, _| {}).unwrap();
    let message = mp_session::Message::encode(&session, &block).unwrap();
    assert!(matches!(message.decode::<CancelToken>(), Err(Error::WrongKind { .. })));
}

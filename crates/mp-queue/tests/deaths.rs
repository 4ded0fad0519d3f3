//! What a queue does when members die, played in one process: a member is cut off at a chosen point.
#![allow(clippy::mem_forget, reason = "a kill runs no destructor either")]

mod support;

use std::mem::forget;
use std::thread;
use std::time::{Duration, Instant};

use mp_queue::{Error, Queue, Receiver, Sender};
use mp_session::{Blueprint, Kind, Message, Object, Session, Shape};
use support::{PATIENCE, hand_over, queue};

/// A session with two members, of which the second may die.
fn two() -> (Session, Session) {
    let heap = Session::on_heap(32 << 20).unwrap();
    (heap.member("a").unwrap(), heap.member("b").unwrap())
}

/// The first ring of a queue, below all that the handles do.
fn ring_of(session: &Session, handle: &(impl mp_queue::Message + Sized)) -> Object {
    let object: Object = Message::encode(session, handle).unwrap().decode().unwrap();
    let ring = object.child().unwrap();
    drop(object);
    ring
}

/// From cell to cell in a queue of numbers.
const NUMBERS: u64 = 16;

/// From cell to cell: the ring says it.
fn stride(ring: &Object) -> u64 {
    // SAFETY: the first word of a ring, which nobody changes.
    let geometry = unsafe { ring.bytes().unwrap().0.cast::<u64>().read() };
    geometry >> 32
}

/// Claims the cell for filling, and never fills it: dropping a claim does nothing.
fn claim(ring: &Object, cell: u64) {
    let cell = ring.ring_cell(cell, stride(ring));
    assert!(ring.claim_for_put(cell, cell.state()).unwrap().is_some());
}

#[test]
fn a_producer_dies_with_a_claim() {
    for capacity in [None, Some(3)] {
        let (a, b) = two();
        let q = queue::<u32>(&a, capacity);
        let theirs: Sender<u32> = hand_over(&a, &b, &q.sender());
        let ring = ring_of(&b, &theirs);
        q.put(1).unwrap();
        claim(&ring, 1);
        q.put(2).unwrap();
        assert_eq!(q.get(), Ok(1));
        assert_eq!(q.try_get(), Err(Error::Empty), "the next one is being written");
        assert_eq!(q.len(), 1);
        assert!(q.get_timeout(Duration::from_millis(5)).unwrap_err().is_timeout());
        forget((ring, theirs));
        b.abandon();
        assert_eq!(q.try_get(), Ok(2), "the dead one's cell is stepped over");
        assert_eq!(q.try_get(), Err(Error::Empty));
        // Nothing of the capacity is lost.
        q.put_many(0..3).unwrap();
        assert_eq!((q.len(), q.is_full()), (3, capacity.is_some()));
    }
}

/// A dead claim must not hold up producers either, with nobody there to get.
#[test]
fn a_producer_dies_in_the_last_free_cell() {
    let (a, b) = two();
    let q = queue::<u32>(&a, Some(1));
    let theirs: Sender<u32> = hand_over(&a, &b, &q.sender());
    let ring = ring_of(&b, &theirs);
    claim(&ring, 0);
    assert_eq!(q.try_put(7).unwrap_err().error, Error::Full);
    forget((ring, theirs));
    b.abandon();
    q.put_timeout(7, PATIENCE).unwrap();
    assert_eq!(q.try_put(8).unwrap_err().error, Error::Full);
    assert_eq!(q.get(), Ok(7));
}

#[test]
fn a_sleeping_consumer_learns_of_a_dead_claim() {
    let (a, b) = two();
    let q = queue::<u32>(&a, None);
    let theirs: Sender<u32> = hand_over(&a, &b, &q.sender());
    let ring = ring_of(&b, &theirs);
    claim(&ring, 0);
    q.put(5).unwrap();
    let consumer = {
        let q = q.clone();
        thread::spawn(move || q.get_timeout(PATIENCE))
    };
    thread::sleep(Duration::from_millis(60)); // so that it sleeps; it works all the same if it does not
    forget((ring, theirs));
    b.abandon();
    assert!(a.notice_deaths().unwrap() || q.is_empty(), "it or we clear up");
    assert_eq!(consumer.join().unwrap(), Ok(5));
}

/// Takes the cell to move what it holds elsewhere, and gets no further.
fn take_and_stop(session: &Session, ring: &Object) {
    let (cell, elsewhere) = (ring.ring_cell(0, stride(ring)), next_ring(session));
    let moved = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let to = elsewhere.ring_cell(0, NUMBERS);
        Object::move_between(session, cell, cell.state(), to, || {
            std::panic::resume_unwind(Box::new("killed"))
        })
    }));
    assert!(moved.is_err());
    forget(elsewhere);
}

#[test]
fn a_consumer_dies_with_a_taken_cell() {
    for capacity in [None, Some(3)] {
        let (a, b) = two();
        let q = queue::<u32>(&a, capacity);
        let theirs: Receiver<u32> = hand_over(&a, &b, &q.receiver());
        let ring = ring_of(&b, &theirs);
        q.put_many([1, 2, 3]).unwrap();
        take_and_stop(&b, &ring);
        assert_eq!(q.get(), Ok(2), "others go on");
        assert_eq!(q.len(), 1);
        if capacity.is_some() {
            assert_eq!(q.try_put(4).unwrap_err().error, Error::Full, "one lap later it is in the way");
        }
        forget((ring, theirs));
        b.abandon();
        a.notice_deaths().unwrap();
        assert_eq!(q.get(), Ok(1), "the message is still there");
        assert_eq!(q.get(), Ok(3));
        assert_eq!(q.try_get(), Err(Error::Empty));
        q.put_many([6, 7, 8]).unwrap();
        assert_eq!(q.get_many(9), Ok(vec![6, 7, 8]));
    }
}

/// A taken cell keeps the old ring in view until it is decided what becomes of it.
#[test]
fn a_message_comes_back_in_a_ring_that_was_left() {
    let (a, b) = two();
    let q = queue::<u32>(&a, None);
    let theirs: Receiver<u32> = hand_over(&a, &b, &q.receiver());
    let ring = ring_of(&b, &theirs);
    q.put_many(0..200).unwrap();
    take_and_stop(&b, &ring);
    let got = q.get_many(1000).unwrap();
    assert_eq!(got, (1..200).collect::<Vec<_>>());
    q.put(200).unwrap();
    assert_eq!(q.get(), Ok(200));
    forget((ring, theirs));
    b.abandon();
    a.notice_deaths().unwrap();
    assert_eq!(q.len(), 1);
    assert_eq!(q.get(), Ok(0));
}

#[test]
fn the_last_sender_dies() {
    let (a, b) = two();
    let (sender, receiver) = queue::<String>(&a, None).split();
    let theirs: Sender<String> = hand_over(&a, &b, &sender);
    drop(sender);
    theirs.put("last words".into()).unwrap();
    theirs.put("of some length, so that they do not fit into a cell of the ring".repeat(3)).unwrap();
    let consumer = {
        let receiver = receiver.clone();
        thread::spawn(move || (receiver.get(), receiver.get(), receiver.get()))
    };
    thread::sleep(Duration::from_millis(60)); // so that it sleeps; it works all the same if it does not
    let begin = Instant::now();
    forget(theirs);
    b.abandon();
    a.notice_deaths().unwrap();
    let (first, second, end) = consumer.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!((first.unwrap().len(), second.unwrap().len()), (10, 3 * 63));
    // Members on the heap have no pid, so nobody is named; `processes.rs` sees to that.
    assert!(matches!(end, Err(Error::Disconnected { .. })), "{end:?}");
    assert!(matches!(receiver.try_get(), Err(Error::Disconnected { .. })));
}

#[test]
fn the_last_receiver_dies() {
    let (a, b) = two();
    let (sender, receiver) = queue::<u8>(&a, Some(1)).split();
    let theirs: Receiver<u8> = hand_over(&a, &b, &receiver);
    drop(receiver);
    sender.put(1).unwrap();
    forget(theirs);
    b.abandon();
    let refused = sender.put_timeout(2, PATIENCE).unwrap_err();
    assert_eq!(refused.value, 2);
    assert!(matches!(refused.error, Error::Disconnected { .. }), "{refused}");
}

#[test]
fn nothing_is_left_of_the_dead() {
    let (a, b) = two();
    let clean = a.stats();
    {
        let q = queue::<Vec<u8>>(&a, None);
        let theirs: Queue<Vec<u8>> = hand_over(&a, &b, &q);
        for i in 0..100 {
            theirs.put(vec![i; 1000]).unwrap();
        }
        let taken = theirs.get_many(10).unwrap();
        forget((theirs, taken));
        b.abandon();
        a.notice_deaths().unwrap();
        assert_eq!(q.get_many(1000).unwrap().len(), 90);
        q.put(vec![0; 5000]).unwrap();
    }
    let now = a.stats();
    assert_eq!(now.objects, clean.objects);
}

/// The rows of the table in `rings.rs`: who grows the queue dies before, between and after the two steps.
#[test]
fn a_producer_dies_growing_the_queue() {
    for stage in 0..3 {
        let (a, b) = two();
        let q = queue::<u32>(&a, None);
        q.put_many(0..31).unwrap(); // one more does not fit
        let theirs: Sender<u32> = hand_over(&a, &b, &q.sender());
        let ring = ring_of(&b, &theirs);
        let decider = ring.words().word(0);
        decider.store(b.thread_id().unwrap().to_bits(), std::sync::atomic::Ordering::Release);
        let next = next_ring(&b);
        if stage >= 1 {
            ring.adopt(&next).unwrap();
        }
        if stage >= 2 {
            let cell = ring.ring_cell(31, stride(&ring));
            assert!(cell.mark_moved(cell.state()));
            assert_eq!(q.try_put(31), Ok(()), "whoever sees the seal need not wait");
        } else {
            assert!(q.put_timeout(31, Duration::from_millis(5)).unwrap_err().error.is_timeout());
            assert_eq!(q.try_put(31).unwrap_err().error, Error::Full);
        }
        forget((ring, theirs, next));
        b.abandon();
        if stage < 2 {
            q.put_timeout(31, PATIENCE).unwrap();
        }
        q.put_many(32..200).unwrap();
        assert_eq!(q.get_many(1000).unwrap(), (0..200).collect::<Vec<_>>(), "stage {stage}");
        q.close().unwrap();
        assert!(matches!(q.get(), Err(Error::Closed { .. })));
    }
}

/// A ring as the queue makes them: 64 cells.
fn next_ring(session: &Session) -> Object {
    let plan = Blueprint { kind: Kind(33), fingerprint: 0, shape: Shape::Ring, size: 64 * NUMBERS + 128 };
    Object::create(session, plan, |_, bytes| {
        let words = bytes.unwrap().cast::<u64>();
        // SAFETY: the block has that many bytes, is aligned to 64 and is ours alone until `create` returns.
        unsafe {
            words.write_bytes(0, (64 * NUMBERS as usize + 128) / 8);
            words.write(64 | NUMBERS << 32);
        }
    })
    .unwrap()
}

#[test]
fn closing_takes_over_from_a_dead_grower() {
    let (a, b) = two();
    let q = queue::<u32>(&a, None);
    q.put(1).unwrap();
    let theirs: Sender<u32> = hand_over(&a, &b, &q.sender());
    let ring = ring_of(&b, &theirs);
    let me = b.thread_id().unwrap().to_bits();
    ring.words().word(0).store(me, std::sync::atomic::Ordering::Release);
    let next = next_ring(&b);
    ring.adopt(&next).unwrap();
    forget((ring, theirs, next));
    b.abandon();
    q.close().unwrap();
    assert!(q.is_closed());
    assert!(matches!(q.put(2), Err(Error::Closed { .. })));
    assert_eq!(q.get(), Ok(1));
    assert!(matches!(q.get(), Err(Error::Closed { .. })));
}

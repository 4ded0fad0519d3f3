//! A message whose parts do not fit into it, or whose references lead nowhere, is an error.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_session::{Error, HeapSession, Message, Object, Session};

struct World {
    heap: HeapSession,
    session: Session,
    object: Object,
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fn world() -> World {
    let heap = Session::on_heap(0).unwrap();
    let session = heap.member("a").unwrap();
    let object = Message::encode(&session, &1_u8).unwrap().as_object().clone();
    World { heap, session, object }
}

fn is_typed(error: &Error) -> bool {
    matches!(
        error,
        Error::Layout { .. }
            | Error::Decode { .. }
            | Error::Stale { .. }
            | Error::Forged { .. }
            | Error::WrongKind { .. }
    )
}

// Offsets and bytes that are written over a good message of two references, a text and some numbers.
fuzz_target!(|bytes: &[u8]| {
    WORLD.with(|cell| {
        let World { heap, session, object } = cell.get_or_init(world);
        let value = (vec![object.clone(), object.clone()], "text".to_owned(), [1_u32, 2, 3]);
        let message = Message::encode(session, &value).unwrap();
        drop(value);
        let (start, size) = message.as_object().bytes().unwrap();
        // SAFETY: nobody else knows of the message.
        let block = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), size as usize) };
        let good = block.to_vec();
        for change in bytes.chunks_exact(2) {
            block[usize::from(change[0]) % good.len()] = change[1];
        }
        bounded(bytes.len(), || {
            for error in [
                message.payload().err(),
                message.imports().err(),
                message.decode::<(Vec<Object>, String, [u32; 3])>().err(),
                message.decode::<Vec<u8>>().err(),
            ] {
                assert!(error.as_ref().is_none_or(is_typed), "{error:?}");
            }
        });
        // What it owns is what it owned: members do not lie.
        block.copy_from_slice(&good);
        drop(message);
        let found = heap.verify();
        assert!(found.is_empty(), "{found:#?}");
    });
});

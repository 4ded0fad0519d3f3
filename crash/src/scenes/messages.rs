//! Messages: packing, decoding, releasing, with what they carry.

use std::mem::forget;

use mp_session::{Message, Object, Role};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/message: pack", play: pack },
    Scene { name: "session/message: pack with references", play: pack_references },
    Scene { name: "session/message: decode with references", play: decode },
    Scene { name: "session/message: decode what is something else", play: decode_in_vain },
    Scene { name: "session/message: release with references", play: release },
];

fn pack(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(Message::encode(&victim, &"a short text".to_owned()).unwrap()))
}

fn pack_references(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let theirs = vec![give(&stage.witness, &stage.victim, &kept), block(&stage.victim, 0)];
    let victim = stage.victim.clone();
    Act::new(move || {
        forget(Message::encode(&victim, &theirs).unwrap());
        forget(theirs);
    })
    .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn decode(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let message = Message::encode(&stage.witness, &vec![kept.clone(), kept.clone()]).unwrap();
    let theirs = give(&stage.witness, &stage.victim, message.as_object());
    drop(message);
    Act::new(move || {
        let message = Message::from_object(theirs).unwrap();
        forget(message.decode::<Vec<Object>>().unwrap());
        drop(message);
    })
    .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn decode_in_vain(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let message = Message::encode(&stage.witness, &(kept.clone(), 1_u64)).unwrap();
    let theirs = give(&stage.witness, &stage.victim, message.as_object());
    Act::new(move || {
        let message = Message::from_object(theirs).unwrap();
        assert!(message.decode::<(Object, String)>().is_err());
        forget(message);
    })
    .check(move |_| {
        drop(message);
        assert_eq!(kept.holders(Role::First), 1);
    })
}

fn release(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let theirs = give(&stage.witness, &stage.victim, &kept);
    let message = Message::encode(&stage.victim, &(theirs, block(&stage.victim, 64))).unwrap();
    Act::new(move || drop(message)).check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

//! Containers: each operation has happened or has not, and the container works.
//!
//! The victim does one operation on a container that the witness has, too. Afterwards the container holds what it held before or what it
//! is meant to hold, takes part in some operations of each kind, and leaves nothing behind when it goes.

use std::fmt::Debug;
use std::mem::forget;

use mp_manager::{Dict, List, Namespace, Set, Value};
use mp_session::Session;
use mp_wire::Message;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "manager/dict: make", play: make },
    Scene { name: "manager/dict: the first key", play: |stage| dict(stage, 0, |d| set(d, 1, SHORT)) },
    Scene { name: "manager/dict: a new key", play: |stage| dict(stage, 3, |d| set(d, 7, SHORT)) },
    Scene {
        name: "manager/dict: a new key, and grow",
        play: |stage| dict(stage, 14, |d| set(d, 77, MIDDLE)),
    },
    Scene {
        name: "manager/dict: a new key with a message",
        play: |stage| dict(stage, 3, |d| set(d, 7, LARGE)),
    },
    Scene { name: "manager/dict: another value in place", play: |stage| dict(stage, 3, |d| set(d, 1, "b")) },
    Scene { name: "manager/dict: another value beside", play: |stage| dict(stage, 3, |d| set(d, 1, MIDDLE)) },
    Scene { name: "manager/dict: a message for a value", play: |stage| dict(stage, 3, |d| set(d, 1, LARGE)) },
    Scene { name: "manager/dict: a value for a message", play: |stage| dict(stage, 3, |d| set(d, 2, SHORT)) },
    Scene {
        name: "manager/dict: a message for a message",
        play: |stage| dict(stage, 3, |d| set(d, 2, LARGE)),
    },
    Scene { name: "manager/dict: remove", play: |stage| dict(stage, 3, |d| assert!(d.remove(&0).unwrap())) },
    Scene {
        name: "manager/dict: remove a message",
        play: |stage| dict(stage, 3, |d| drop(d.pop(&2).unwrap())),
    },
    Scene { name: "manager/dict: pop item", play: |stage| dict(stage, 4, |d| drop(d.pop_item().unwrap())) },
    Scene { name: "manager/dict: alter", play: |stage| dict(stage, 3, alter) },
    Scene { name: "manager/dict: update over shards", play: |stage| dict(stage, 3, update) },
    Scene { name: "manager/dict: clear", play: |stage| dict(stage, 5, |d| d.clear().unwrap()) },
    Scene {
        name: "manager/dict: take over from the dead",
        play: |stage| dict_after(stage, 5, take_over, true),
    },
    Scene {
        name: "manager/dict: many readers' copy",
        play: |stage| dict(stage, 4, |d| drop(d.items().unwrap())),
    },
    Scene { name: "manager/dict: release", play: release },
    Scene { name: "manager/set: add and update", play: a_set },
    Scene { name: "manager/list: append the first", play: |stage| list(stage, 0, |l| push(l, SHORT)) },
    Scene { name: "manager/list: append", play: |stage| list(stage, 3, |l| push(l, MIDDLE)) },
    Scene { name: "manager/list: append, and grow", play: |stage| list(stage, 4, |l| push(l, LARGE)) },
    Scene { name: "manager/list: extend", play: |stage| list(stage, 2, extend) },
    Scene { name: "manager/list: insert in the middle", play: |stage| list(stage, 3, |l| put(l, 1, MIDDLE)) },
    Scene { name: "manager/list: insert at the front", play: |stage| list(stage, 3, |l| put(l, 0, LARGE)) },
    Scene {
        name: "manager/list: set",
        play: |stage| list(stage, 3, |l| assert!(l.set(1, LARGE.to_owned()).unwrap())),
    },
    Scene {
        name: "manager/list: set a message",
        play: |stage| list(stage, 3, |l| assert!(l.set(2, short()).unwrap())),
    },
    Scene { name: "manager/list: pop", play: |stage| list(stage, 3, |l| drop(l.pop().unwrap())) },
    Scene {
        name: "manager/list: pop the first",
        play: |stage| list(stage, 3, |l| drop(l.pop_at(0).unwrap())),
    },
    Scene {
        name: "manager/list: pop in the middle",
        play: |stage| list(stage, 4, |l| drop(l.pop_at(2).unwrap())),
    },
    Scene {
        name: "manager/list: splice",
        play: |stage| list(stage, 4, |l| l.splice(1..3, [short()]).unwrap()),
    },
    Scene { name: "manager/list: clear", play: |stage| list(stage, 3, |l| l.clear().unwrap()) },
    Scene { name: "manager/list: reverse", play: |stage| list(stage, 3, |l| l.reverse().unwrap()) },
    Scene { name: "manager/list: sort", play: |stage| list(stage, 3, |l| l.sort().unwrap()) },
    Scene { name: "manager/list: repeat", play: |stage| list(stage, 3, |l| l.repeat(2).unwrap()) },
    Scene { name: "manager/value: swap", play: a_value },
    Scene { name: "manager/namespace: assign", play: a_namespace },
];

const SHORT: &str = "a";
const MIDDLE: &str = "some twenty bytes, which is more than eight";
/// More than a kibibyte: such a value is a message.
const LARGE: &str = {
    const BYTES: [u8; 1100] = [b'x'; 1100];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

type Texts = Dict<u64, String>;

fn short() -> String {
    SHORT.to_owned()
}

fn text(n: u64) -> String {
    if n % 3 == 2 { LARGE.to_owned() } else { format!("{n}") }
}

fn set(dict: &Texts, key: u64, value: &str) {
    dict.insert(&key, value.to_owned()).unwrap();
}

fn alter(dict: &Texts) {
    dict.alter(&1, |old| old.map(|old| old + "!")).unwrap();
}

fn update(dict: &Texts) {
    dict.update((1..6).map(|n| (n, text(n + 1)))).unwrap();
}

fn take_over(dict: &Texts) {
    assert_eq!(dict.get(&1).unwrap(), Some(text(1)));
    dict.items().unwrap();
}

fn make(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(Texts::new_in(&victim).unwrap()))
}

/// Cuts off `operation` on one handle of a container; `look` tells what is in it.
fn cut<C: Message, S: PartialEq + Debug + 'static>(
    stage: &Stage,
    container: C,
    after: S,
    look: fn(&C) -> S,
    operation: impl FnOnce(&C) + 'static,
    works: fn(&C),
) -> Act {
    let before = look(&container);
    let theirs: C = give(&stage.witness, &stage.victim, &container);
    Act::new(move || {
        operation(&theirs);
        forget(theirs);
    })
    .check(move |_| {
        let found = look(&container);
        assert!(found == before || found == after, "{found:?}\nis neither {before:?}\nnor {after:?}");
        works(&container);
    })
}

fn dict_of(session: &Session, count: u64) -> Texts {
    // Few shards, so that some have several keys.
    let dict = Dict::with_shards(session, 2).unwrap();
    (0..count).for_each(|n| set(&dict, n, &text(n)));
    dict
}

fn dict(stage: &Stage, count: u64, operation: fn(&Texts)) -> Act {
    dict_after(stage, count, operation, false)
}

/// The same, where somebody died before.
fn dict_after(stage: &Stage, count: u64, operation: fn(&Texts), after_a_death: bool) -> Act {
    let after = {
        let copy = dict_of(&stage.witness, count);
        operation(&copy);
        copy.items().unwrap()
    };
    let container = dict_of(&stage.witness, count);
    if after_a_death {
        // With all its locks.
        let bygone = container.clone();
        let witness = stage.witness.clone();
        stage.bygone(move |session| {
            let theirs = give(&witness, session, &bygone);
            mp_manager::__private::leave_locked(&theirs).unwrap();
            forget(theirs);
        });
    }
    cut(
        stage,
        container,
        after,
        |d| d.items().unwrap(),
        operation,
        |dict| {
            assert_eq!(dict.len().unwrap(), dict.items().unwrap().len(), "len is exact");
            for n in 20..40 {
                set(dict, n, &text(n));
                assert_eq!(dict.get(&n).unwrap(), Some(text(n)));
            }
            let last = dict.pop_item().unwrap();
            assert_eq!(last, Some((39, text(39))));
            for (key, value) in dict.items().unwrap() {
                assert_eq!(dict.pop(&key).unwrap(), Some(value));
            }
            assert!(dict.is_empty().unwrap() && dict.get(&1).unwrap().is_none());
        },
    )
}

fn release(stage: &Stage) -> Act {
    let theirs = dict_of(&stage.victim, 4);
    Act::new(move || drop(theirs))
}

fn a_set(stage: &Stage) -> Act {
    let set = Set::<u64>::new_in(&stage.witness).unwrap();
    set.add(&5).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &set);
    Act::new(move || {
        theirs.add(&7).unwrap();
        theirs.update([5, 6, 8]).unwrap();
        forget(theirs);
    })
    .check(move |_| {
        let found = set.to_vec().unwrap();
        assert!([&[5][..], &[5, 7], &[5, 7, 6, 8]].contains(&&found[..]), "{found:?}");
        assert_eq!(set.len().unwrap(), found.len());
        assert!(set.add(&9).unwrap() && !set.add(&5).unwrap() && set.remove(&5).unwrap());
    })
}

fn push(list: &List<String>, value: &str) {
    list.append(value.to_owned()).unwrap();
}

fn put(list: &List<String>, index: usize, value: &str) {
    list.insert(index, value.to_owned()).unwrap();
}

fn extend(list: &List<String>) {
    list.extend([short(), LARGE.to_owned(), short()]).unwrap();
}

fn list_of(session: &Session, count: u64) -> List<String> {
    let list = List::new_in(session).unwrap();
    // Not in order, so that there is something to sort.
    (0..count).rev().for_each(|n| push(&list, &text(n)));
    list
}

fn list(stage: &Stage, count: u64, operation: fn(&List<String>)) -> Act {
    let after = {
        let copy = list_of(&stage.witness, count);
        operation(&copy);
        copy.to_vec().unwrap()
    };
    let container = list_of(&stage.witness, count);
    cut(
        stage,
        container,
        after,
        |l| l.to_vec().unwrap(),
        operation,
        |list| {
            let mut model = list.to_vec().unwrap();
            assert_eq!(list.len().unwrap(), model.len());
            for n in 0..20 {
                push(list, &text(n));
                put(list, 0, &text(n));
                model.push(text(n));
                model.insert(0, text(n));
            }
            list.splice(2..30, []).unwrap();
            model.drain(2..30);
            assert_eq!(list.to_vec().unwrap(), model);
            while let Some(last) = list.pop().unwrap() {
                assert_eq!(Some(last), model.pop());
            }
        },
    )
}

fn a_value(stage: &Stage) -> Act {
    let value = Value::new_in(&stage.witness, LARGE.to_owned()).unwrap();
    let after = format!("{LARGE}y");
    let operation = |value: &Value<String>| drop(value.update(|text| text.push('y')).unwrap());
    cut(
        stage,
        value,
        after,
        |v| v.get().unwrap(),
        operation,
        |value| {
            value.set(short()).unwrap();
            assert_eq!(value.get().unwrap(), SHORT);
        },
    )
}

fn a_namespace(stage: &Stage) -> Act {
    let namespace = Namespace::new_in(&stage.witness).unwrap();
    namespace.set("x", 1).unwrap();
    let operation = |namespace: &Namespace| namespace.set("x", MIDDLE).unwrap();
    let after = vec![("x".to_owned(), mp_manager::Any::from(MIDDLE))];
    cut(
        stage,
        namespace,
        after,
        |n| n.items().unwrap(),
        operation,
        |namespace| {
            namespace.set("y", LARGE).unwrap();
            assert_eq!(namespace.get::<String>("y").unwrap().as_deref(), Some(LARGE));
            assert!(namespace.delete("x").unwrap());
        },
    )
}

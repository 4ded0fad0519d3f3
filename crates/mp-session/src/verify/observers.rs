//! Observers have an owner who lives, and every wait word that somebody observes says so.

use super::{Findings, is_live};
use crate::ground::Ground;
use crate::observers::{self, IN_BUCKET, Subscription};
use crate::primitive::Ordering::*;
use crate::slots::SlotState;
use crate::wait::{OBSERVED, RUNG};

pub(super) fn check(ground: &Ground, found: &mut Findings) {
    let used = ground.observers_used();
    for o in 0..ground.layout.observer_count {
        let state = SlotState::load(&ground.observer(o).state);
        if state.status == observers::FREE {
            continue;
        }
        if o >= used {
            found.push(format!("observer {o}: in use, and beyond the {used} that scans look at"));
        }
        if !is_live(ground, u32::from(state.partner).wrapping_sub(1)) {
            found.push(format!("observer {o}: {state:?}, whose member takes no part"));
        }
    }
    for b in 0..ground.layout.bucket_count {
        for place in 0..IN_BUCKET {
            let packed = ground.bucket(b).subscriptions[place].load(Acquire);
            if packed == 0 || observers::is_stale(ground, packed) {
                continue;
            }
            let subscription = Subscription::unpack(packed);
            let word = subscription.word;
            if word + 8 > ground.layout.size {
                found.push(format!("{subscription:?}: to a word that is nowhere"));
            } else if ground.word(word).load(Acquire) & OBSERVED == 0 {
                found.push(format!("{subscription:?}: to a word that does not know"));
            }
        }
    }
}

/// Whether the thread waits for many things: at an observer's words, which must name it.
pub(super) fn waits_for_many(ground: &Ground, t: u32, key: u64, found: &mut Findings) -> bool {
    let layout = &ground.layout;
    if !(layout.observers..layout.observer(layout.observer_count)).contains(&key) {
        return false;
    }
    let observer = ((key - layout.observers) / crate::layout::OBSERVER_SIZE) as u32;
    let slot = ground.observer(observer);
    if slot.sleeper.load(Acquire) != u64::from(t) + 1 && ground.thread(t).bell.load(Acquire) != RUNG {
        found.push(format!("thread {t}: sleeps as observer {observer}, which does not know"));
    }
    true
}

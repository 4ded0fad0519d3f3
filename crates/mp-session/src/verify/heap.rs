//! Blocks: every tag has an owner who knows the block, and every owner's block carries the tag.

use std::collections::HashMap;

use super::{Findings, entries, is_live, live_members};
use crate::ground::Ground;
use crate::heap::{CLASSES, RUN, SMALL, Tag};
use crate::layout::{CHUNK, SPAN};
use crate::ledger::READY;
use crate::primitive::Ordering::*;
use crate::runs::{RUN_CLASSES, run_spans};
use crate::table::{EntryState, LIVE};

/// By offset: the tag that the block there must have, whose it is, and how many bytes are in use.
type Claims = HashMap<u64, (u32, String, u64)>;

pub(super) fn check(ground: &Ground, found: &mut Findings) {
    let mut claims = claims(ground, found);
    let frontier = ground.header().span_frontier.load(Acquire);
    if frontier > ground.layout.span_count {
        found.push(format!("heap: the frontier is at span {frontier} of {}", ground.layout.span_count));
        return;
    }
    let (mut span, mut ownerless) = (0, 0);
    while span < frontier {
        let kind = ground.span_kind(span).load(Acquire);
        let owner = ground.span_owner(span).load(Acquire);
        let class = kind & 0xFFFF;
        if kind & SMALL != 0 && (class as usize) < CLASSES.len() {
            match owner.checked_sub(1) {
                None => ownerless += 1,
                Some(m) if !is_live(ground, m) => {
                    found.push(format!("heap: span {span} belongs to member {m}, which takes no part"));
                }
                Some(_) => {}
            }
            let size = CLASSES[class as usize];
            for block in 0..SPAN as u32 / size {
                let tag = ground.tag(span, block).load(Acquire);
                let at = ground.layout.span(span) + u64::from(block) * u64::from(size);
                settle(at, u64::from(size), tag, &mut claims, found);
            }
            span += 1;
        } else if kind & RUN != 0 && class < RUN_CLASSES {
            let length = run_spans(class);
            if owner != 0 {
                found.push(format!("heap: span {span} is a run, and member {} allocates from it", owner - 1));
            }
            for inner in span + 1..span + length {
                if inner >= ground.layout.span_count || ground.span_kind(inner).load(Acquire) != 0 {
                    found.push(format!("heap: span {inner} is inside of the run at {span}, and has a kind"));
                }
            }
            let tag = ground.tag(span, 0).load(Acquire);
            settle(ground.layout.span(span), u64::from(length) * SPAN, tag, &mut claims, found);
            span += length;
        } else {
            found.push(format!(
                "heap: span {span} is of kind {kind:#x}, and lies before the frontier {frontier}"
            ));
            span += 1;
        }
    }
    if span != frontier {
        found.push(format!("heap: the frontier {frontier} is inside of a run that ends at {span}"));
    }
    for beyond in frontier + 1..ground.layout.span_count {
        if ground.span_kind(beyond).load(Acquire) != 0 {
            found.push(format!("heap: span {beyond} has a kind, and lies beyond the frontier {frontier}"));
        }
    }
    for (at, (_, who, _)) in claims {
        found.push(format!("heap: {who} has a block at {at:#x}, which is none"));
    }
    // Fewer than there are, and nobody would look for them; more cost a look in vain.
    let counted = ground.header().orphan_spans.load(Acquire);
    if counted < ownerless {
        found.push(format!("heap: {ownerless} spans have no owner, {counted} are counted"));
    }
    chunks(ground, found);
}

fn claims(ground: &Ground, found: &mut Findings) -> Claims {
    let mut claims = Claims::new();
    let mut claim = |at: u64, tag: Tag, who: String, size: u64| {
        if let Some((_, other, _)) = claims.insert(at, (tag.word(), who.clone(), size)) {
            found.push(format!("heap: both {who} and {other} have the block at {at:#x}"));
        }
    };
    for i in 0..entries(ground) {
        let entry = ground.entry(i);
        let at = entry.offset.load(Acquire);
        if EntryState::unpack(entry.state.load(Acquire)).status == LIVE && at != 0 {
            claim(at, Tag::entry(i), format!("object {i}"), entry.size.load(Acquire));
        }
    }
    for m in live_members(ground) {
        for (chunk, note) in ground.member(m).ledger_chunks.iter().enumerate() {
            let note = note.load(Acquire);
            if note != 0 {
                let who =
                    format!("the ledger of member {m}{}", if note & READY == 0 { ", not ready" } else { "" });
                claim(note & !READY, Tag::member(m), who, (128 << chunk) * 8);
            }
        }
    }
    claims
}

/// A block as it was found.
fn settle(at: u64, size: u64, tag: u32, claims: &mut Claims, found: &mut Findings) {
    match claims.remove(&at) {
        None if tag == 0 => {}
        None => found.push(format!("heap: the block at {at:#x} has tag {tag:#x}, and nobody knows it")),
        Some((expected, who, needed)) => {
            if tag != expected {
                found.push(format!("heap: the block at {at:#x} of {who} has tag {tag:#x}"));
            }
            if needed > size {
                found.push(format!("heap: {who} has {needed} bytes at {at:#x}, a block of {size}"));
            }
        }
    }
}

/// Whose the chunks of entries are.
fn chunks(ground: &Ground, found: &mut Findings) {
    let frontier = ground.header().chunk_frontier.load(Acquire);
    let mut ownerless = 0;
    for chunk in 0..frontier.min(ground.layout.entry_count / CHUNK) {
        match ground.chunk_owner(chunk).load(Acquire).checked_sub(1) {
            None => ownerless += 1,
            Some(m) if !is_live(ground, m) => {
                found.push(format!("table: chunk {chunk} belongs to member {m}, which takes no part"));
            }
            Some(_) => {}
        }
    }
    let counted = ground.header().orphan_chunks.load(Acquire);
    if counted < ownerless {
        found.push(format!("table: {ownerless} chunks have no owner, {counted} are counted"));
    }
}

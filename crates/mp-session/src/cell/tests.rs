//! Each stage at which somebody at work on a cell may be cut off.

use super::*;
use crate::region::Region;

fn ground() -> Ground {
    Ground::found(Region::heap(8 << 20).unwrap(), 1, [0; 16], u64::MAX).unwrap()
}

fn free(lap: u64) -> CellState {
    CellState { lap, thread: 0, status: Status::Free }
}

#[test]
fn states_survive_packing() {
    for status in [
        Status::Free,
        Status::Claimed,
        Status::Full,
        Status::Taken,
        Status::Dead,
        Status::Moved,
        Status::Bytes,
    ] {
        let s = CellState { lap: 1 << 40, thread: 16_383, status };
        assert_eq!(CellState::unpack(s.pack()), s);
    }
}

#[test]
fn bytes_are_taken_once() {
    let g = ground();
    let cell = &g.member(0).arguments;
    for lap in 0..3 {
        Claim::put(&g, 3, cell, cell.state(), 0).unwrap().fill_bytes(0xABC, lap % 2 == 0);
        let seen = cell.state();
        assert_eq!(seen, CellState { lap, thread: 0xABC, status: Status::Bytes });
        assert!(cell.take_bytes(seen) && !cell.take_bytes(seen) && !cell.take_bytes(cell.state()));
        assert_eq!(cell.state(), free(lap + 1));
    }
    assert!(g.thread(3).intent.read().is_none());
}

/// Every stage at which a mover may be cut off, and where the message is then.
#[test]
fn a_dead_mover_is_settled_at_each_stage() {
    for stage in 0..6 {
        let g = ground();
        let (from, to) = (&g.member(0).arguments, &g.member(1).arguments);
        to.state.store(free(4).pack(), Relaxed);
        Claim::put(&g, 9, from, from.state(), 0).unwrap().fill_bytes(77, true);
        let (seen, t) = (from.state(), &g.thread(3).intent);
        let mine = seen.by(3, Status::Taken).pack();
        let full = CellState { lap: 4, ..seen };
        t.begin(Op::MoveTry, g.offset_of(&from.state), mine, g.offset_of(&to.state), full.pack());
        if stage >= 1 {
            from.state.store(mine, Relaxed);
        }
        if stage >= 2 {
            t.advance(Op::MoveHeld);
        }
        if stage >= 3 {
            from.state.store(free(1).pack(), Relaxed);
        }
        if stage >= 4 {
            to.state.store(full.pack(), Relaxed);
        }
        if stage >= 5 {
            assert!(to.take_bytes(to.state()), "somebody was faster than the sweeper");
        }
        for _ in 0..2 {
            settle(&g, t, t.read().unwrap());
        }
        match stage {
            0..=2 => assert_eq!((from.state(), to.state()), (seen, free(4)), "stage {stage}"),
            3 | 4 => assert_eq!((from.state(), to.state()), (free(1), full), "stage {stage}"),
            _ => assert_eq!((from.state(), to.state()), (free(1), free(5)), "stage {stage}"),
        }
    }
}

#[test]
fn a_round_through_a_cell_moves_the_record() {
    let g = ground();
    let cell = &g.member(0).arguments;
    let (from, to) = (&g.member(0).ledger_first[0], &g.member(1).ledger_first[0]);
    let owned = Owned { index: 5, role: crate::ids::Role::Second };
    from.store(owned.pack(), Relaxed);
    let record = g.offset_of(from);
    Claim::put(&g, 3, cell, cell.state(), record).unwrap().fill(owned.pack(), record);
    assert_eq!((cell.state().status, from.load(Relaxed)), (Status::Full, 0));
    let record = g.offset_of(to);
    let got = Claim::take(&g, 4, cell, cell.state(), record).unwrap().empty_into(record);
    assert_eq!(got, Some(owned));
    assert_eq!((cell.state(), to.load(Relaxed)), (free(1), owned.pack()));
    assert!(g.thread(3).intent.read().is_none() && g.thread(4).intent.read().is_none());
}

/// Every stage at which a producer may be cut off, and what is left of the record and the cell.
#[test]
fn a_dead_producer_is_settled_at_each_stage() {
    let owned = Owned { index: 5, role: crate::ids::Role::First }.pack();
    for stage in 0..5 {
        let g = ground();
        let cell = &g.member(0).arguments;
        let record = &g.member(0).ledger_first[0];
        record.store(owned, Relaxed);
        let (at, t) = (g.offset_of(record), &g.thread(3).intent);
        let mine = free(0).by(3, Status::Claimed).pack();
        t.begin(Op::PutTry, g.offset_of(&cell.state), mine, at, 0);
        if stage >= 1 {
            cell.state.store(mine, Relaxed);
        }
        if stage >= 2 {
            t.advance(Op::PutHeld);
            cell.value.store(owned, Relaxed);
        }
        if stage >= 3 {
            cell.state.store(free(0).with(Status::Full).pack(), Relaxed);
        }
        if stage >= 4 {
            // A consumer was faster than the sweeper.
            cell.state.store(free(1).pack(), Relaxed);
        }
        for _ in 0..2 {
            settle(&g, t, t.read().unwrap());
        }
        let (status, left) = (cell.state().status, record.load(Relaxed));
        match stage {
            0 => assert_eq!((status, left), (Status::Free, owned)),
            1 | 2 => assert_eq!((status, left), (Status::Dead, owned)),
            3 => assert_eq!((status, left), (Status::Full, 0)),
            _ => assert_eq!((status, left), (Status::Free, 0)),
        }
    }
}

#[test]
fn a_dead_consumer_is_settled_at_each_stage() {
    let owned = Owned { index: 5, role: crate::ids::Role::First };
    for stage in 0..4 {
        let g = ground();
        let cell = &g.member(0).arguments;
        let record = &g.member(0).ledger_first[0];
        let full = free(7).with(Status::Full);
        cell.state.store(full.pack(), Relaxed);
        cell.value.store(owned.pack(), Relaxed);
        let (at, t) = (g.offset_of(record), &g.thread(3).intent);
        let mine = full.by(3, Status::Taken).pack();
        t.begin(Op::TakeTry, g.offset_of(&cell.state), mine, at, owned.pack());
        if stage >= 1 {
            cell.state.store(mine, Relaxed);
            record.store(owned.tentative(), Relaxed);
        }
        if stage >= 2 {
            t.advance(Op::TakeHeld);
        }
        if stage >= 3 {
            cell.state.store(free(8).pack(), Relaxed);
        }
        for _ in 0..2 {
            settle(&g, t, t.read().unwrap());
        }
        let (state, left) = (cell.state(), record.load(Relaxed));
        match stage {
            0..=2 => assert_eq!((state, left), (full, 0), "delivered again, stage {stage}"),
            _ => {
                assert_eq!((state, left), (free(8), owned.pack()), "the dead one has it, and it is swept")
            }
        }
    }
}

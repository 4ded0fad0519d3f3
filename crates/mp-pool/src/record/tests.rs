use super::*;

fn control(session: &Session) -> Object {
    let plan = mp_session::Blueprint {
        kind: mp_session::Kind::POOL,
        fingerprint: 0,
        shape: mp_session::Shape::Plain,
        size: 0,
    };
    Object::create(session, plan, |_, _| {}).unwrap()
}

fn taken(reader: &mut Reader, lane: &Lane) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    while let Some(span) = reader.next(lane) {
        all.push((span.task(), span.count()));
    }
    reader.tell(lane);
    all
}

#[test]
fn runs_grow_under_the_readers_eyes() {
    let heap = Session::on_heap(16 << 20).unwrap();
    let session = heap.member("pool").unwrap();
    let (lane, control) = (Lane::create(&session).unwrap(), control(&session));
    let (mut writer, mut reader) = (Writer::new(&lane, &control), Reader::default());
    let put = |writer: &mut Writer<'_>, task: u32, bytes: &[u8]| {
        writer.value(task, Codec::Plain, bytes, Vec::new()).unwrap();
    };
    assert_eq!(taken(&mut reader, &lane), []);
    put(&mut writer, 0, &[1; 8]);
    put(&mut writer, 1, &[2; 8]);
    assert_eq!(taken(&mut reader, &lane), [(0, 2)]);
    put(&mut writer, 2, &[3; 8]);
    // A number is left out: another run. Another length: another run. None: no run.
    put(&mut writer, 4, &[3; 8]);
    put(&mut writer, 5, &[3; 7]);
    put(&mut writer, 6, &[]);
    put(&mut writer, 7, &[0; 300]);
    writer.outcome(8, &Outcome::Failure(Failure::default())).unwrap();
    put(&mut writer, 9, &vec![5; LONGEST + 1]);
    put(&mut writer, 10, &[9; 3]);
    put(&mut writer, 11, &[9; 3]);
    let all = [(2, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 2)];
    assert_eq!(taken(&mut reader, &lane), all);
    writer.close_run();
    put(&mut writer, 0, &[9; 3]);
    assert_eq!(taken(&mut reader, &lane), [(0, 1)], "a batch's numbers begin anew");
    assert_eq!(writer.records, 12);
}

#[test]
fn the_ring_goes_round_and_nothing_is_lost() {
    let heap = Session::on_heap(16 << 20).unwrap();
    let session = heap.member("pool").unwrap();
    let (lane, control) = (Lane::create(&session).unwrap(), control(&session));
    let (mut writer, mut reader) = (Writer::new(&lane, &control), Reader::default());
    let (mut sent, mut got) = (0_u64, 0_u64);
    let mut dice = 1_u64;
    while sent < 200_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = if dice >> 60 == 0 { (dice >> 40) as usize % 3000 } else { 8 };
        let mut bytes = vec![0; length.max(8)];
        bytes[..8].copy_from_slice(&sent.to_le_bytes());
        writer.value(sent as u32 % 50_000, Codec::Plain, &bytes, Vec::new()).unwrap();
        sent += 1;
        if sent % 50_000 == 0 {
            writer.close_run();
        }
        if dice >> 56 & 15 == 0 || sent == 200_000 {
            while let Some(span) = reader.next(&lane) {
                let (Span::Run { stride: width, bytes, .. }, count) = (&span, span.count()) else {
                    assert!(matches!(&span, Span::Value { bytes, .. } if bytes[..8] == got.to_le_bytes()));
                    got += 1;
                    continue;
                };
                for i in 0..count {
                    assert_eq!(span.task() + i, got as u32 % 50_000);
                    let at = (i * width) as usize;
                    assert_eq!(bytes[at..at + 8], got.to_le_bytes());
                    got += 1;
                }
            }
            reader.tell(&lane);
        }
    }
    assert_eq!(got, sent);
}

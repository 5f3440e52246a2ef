//! When the rows of a target leave, and where they go.

use super::*;

const FLOWS: u16 = 3;

/// A row of `probe` at `ttl` in one flow of a target.
fn of(target: u32, flow: u16, mut row: HopRecord) -> HopRecord {
    row.flow = FlowId(flow);
    row.trace_id = TraceId::new(TargetId(target), row.flow, FLOWS);
    row
}

fn ended(target: u32, flow: u16, stop_reason: StopReason) -> TraceEnd {
    TraceEnd {
        target: TargetId(target),
        flow: FlowId(flow),
        ..end(stop_reason, None)
    }
}

/// Target, flow and TTL of the rows of `hops`.
fn places(rows: &TargetRows) -> Vec<(u32, u16, u8)> {
    let place = |row: &HopRecord| {
        let target = row.trace_id.target(FLOWS);
        (target.0, row.flow.0, row.ttl.map_or(0, |ttl| ttl.0))
    };
    rows.hops.iter().map(place).collect()
}

#[test]
fn the_rows_of_a_target_leave_together_when_its_last_flow_has_ended() {
    let (mut assembler, mut out) = (Assembler::new(true, FLOWS), Assembled::default());
    for (probe, flow, ttl) in [(0, 2, 2), (1, 0, 1), (2, 1, 1), (3, 2, 1)] {
        let row = of(7, flow, row(probe, ttl, 0, Status::Replied));
        assembler.row(row, &mut out);
    }
    for flow in [2, 0] {
        assembler.end(&ended(7, flow, StopReason::GapLimit), &mut out);
        assert!(out.is_empty());
        assert_eq!(assembler.traces().0, 0, "not written, not counted");
    }
    assembler.end(&ended(7, 1, StopReason::GapLimit), &mut out);
    let expected = [(7, 0, 1), (7, 1, 1), (7, 2, 1), (7, 2, 2)];
    assert_eq!(places(&out.whole), expected);
    let flows: Vec<u16> = (out.whole.traces.iter())
        .filter_map(|trace| Some(trace.flow?.0))
        .collect();
    assert_eq!(flows, [0, 1, 2]);
    assert!(out.cut_short.is_empty());
    assert_eq!(assembler.traces().0, 3);
    assert!(assembler.open.is_empty());
}

#[test]
fn a_flow_without_a_row_counts_as_well() {
    let (mut assembler, mut out) = (Assembler::new(true, FLOWS), Assembled::default());
    for flow in 0..FLOWS {
        assert!(out.is_empty());
        assembler.end(&ended(7, flow, StopReason::Excluded), &mut out);
    }
    assert_eq!(out.whole.traces.len(), 3);
}

#[test]
fn a_reply_after_the_end_of_its_trace_changes_nothing_and_leaves_with_the_target() {
    let (mut assembler, mut out) = (Assembler::new(true, FLOWS), Assembled::default());
    let mut weak = of(7, 0, row(1, 2, 0, Status::Replied));
    weak.evidence = Some(Evidence::Weak);
    assembler.row(of(7, 0, row(0, 1, 0, Status::Timeout)), &mut out);
    assembler.row(weak, &mut out);
    assembler.end(&ended(7, 0, StopReason::GapLimit), &mut out);
    // While the trace was open, each of these would take the place of an own row.
    assembler.row(of(7, 0, row(0, 1, 1, Status::Late)), &mut out);
    assembler.row(of(7, 0, row(1, 2, 1, Status::Replied)), &mut out);
    assembler.row(of(7, 0, row(0, 1, 2, Status::SendError)), &mut out);
    assert!(out.is_empty());
    for flow in 1..FLOWS {
        assembler.end(&ended(7, flow, StopReason::GapLimit), &mut out);
    }
    let shown: Vec<_> = { out.whole.hops.iter() }
        .map(|row| (row.ttl, row.reply_index, row.status, row.on_path))
        .collect();
    let (one, two) = (Some(Ttl(1)), Some(Ttl(2)));
    assert_eq!(
        shown,
        [
            (one, 0, Status::Timeout, Some(true)),
            (two, 0, Status::Replied, Some(true)),
            (one, 1, Status::Late, Some(false)),
            (two, 1, Status::Duplicate, Some(false)),
        ]
    );
    let trace = &out.whole.traces[0];
    assert_eq!((trace.hops_responding, trace.probes_sent), (1, 2));
    assert_eq!(trace.path.as_ref().map(|path| path[0]), Some(None));
}

#[test]
fn one_interrupted_trace_cuts_its_target_short_and_no_other() {
    let (mut assembler, mut out) = (Assembler::new(true, FLOWS), Assembled::default());
    for (target, interrupted) in [(7, None), (8, Some(1))] {
        for flow in 0..FLOWS {
            let row = of(target, flow, row(0, 1, 0, Status::Replied));
            assembler.row(row, &mut out);
            let reason = match interrupted == Some(flow) {
                true => StopReason::Interrupted,
                false => StopReason::GapLimit,
            };
            assembler.end(&ended(target, flow, reason), &mut out);
        }
    }
    assert_eq!(places(&out.whole), [(7, 0, 1), (7, 1, 1), (7, 2, 1)]);
    assert_eq!(places(&out.cut_short), [(8, 0, 1), (8, 1, 1), (8, 2, 1)]);
    let targets = |rows: &TargetRows| -> Vec<u32> {
        rows.traces.iter().map(|trace| trace.target.0).collect()
    };
    assert_eq!(targets(&out.whole), [7; 3]);
    assert_eq!(targets(&out.cut_short), [8; 3]);
    assert_eq!(places(&out.take_all()).len(), 6);
    assert!(out.is_empty());
}

#[test]
fn rows_of_other_tables_wait_for_their_target_while_it_is_open() {
    let (mut assembler, mut out) = (Assembler::new(true, FLOWS), Assembled::default());
    let table = |target: u32| TableRow::new(TargetId(target), "a row");
    assembler.row(of(7, 0, row(0, 1, 0, Status::Replied)), &mut out);
    assembler.table(table(7), &mut out);
    assert!(out.is_empty());
    assembler.table(table(9), &mut out);
    assert_eq!(out.whole.tables.len(), 1, "target 9 is not open");
    for flow in 0..FLOWS {
        assembler.end(&ended(7, flow, StopReason::Interrupted), &mut out);
    }
    let [row] = &out.cut_short.tables[..] else {
        panic!("{:?}", out.cut_short.tables);
    };
    assert_eq!(row.target, TargetId(7));
}

#[test]
fn rows_of_a_second_pass_are_written_at_once_and_stand_for_no_ttl() {
    let (mut assembler, mut out) = (Assembler::new(true, FLOWS), Assembled::default());
    // Also if rows of the same trace wait.
    assembler.row(of(7, 0, row(0, 1, 0, Status::Timeout)), &mut out);
    let second = |probe: u64, reply_index: u16, status: Status| HopRecord {
        purpose: Purpose::SecondPass,
        round: 1,
        ..of(7, 0, row(probe, 1, reply_index, status))
    };
    assembler.row(second(5, 0, Status::Timeout), &mut out);
    assembler.row(second(5, 1, Status::Late), &mut out);
    let shown: Vec<_> = { out.whole.hops.iter() }
        .map(|row| (row.reply_index, row.status, row.on_path))
        .collect();
    assert_eq!(
        shown,
        [
            (0, Status::Timeout, Some(false)),
            (1, Status::Late, Some(false))
        ]
    );
}

#[test]
fn a_probe_without_a_trace_that_the_end_left_unsent_goes_to_the_rows_that_a_resumed_run_drops() {
    let unsent = |probe, purpose| HopRecord {
        reason: Some(UnsentReason::Interrupted),
        purpose,
        ..row(probe, 1, 0, Status::Skipped)
    };
    for (groups, purpose) in [(false, Purpose::Sweep), (true, Purpose::SecondPass)] {
        let (mut assembler, mut out) = (Assembler::new(groups, 1), Assembled::default());
        let other = HopRecord {
            reason: Some(UnsentReason::Blocklisted),
            ..unsent(1, purpose)
        };
        assembler.row(other, &mut out);
        assembler.row(unsent(2, purpose), &mut out);
        let probes =
            |rows: &TargetRows| -> Vec<_> { rows.hops.iter().map(|row| row.probe_id).collect() };
        assert_eq!(probes(&out.whole), [Some(ProbeId(1))]);
        assert_eq!(probes(&out.cut_short), [Some(ProbeId(2))]);
    }
}

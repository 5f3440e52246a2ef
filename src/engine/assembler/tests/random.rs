//! Traces of random rows: whatever the rows are, the path and the rows that stand for its TTLs agree.

use proptest::prelude::*;

use super::*;
use crate::model::Inferred;

/// A probe with its replies.
#[derive(Clone, Debug)]
struct Sent {
    ttl: u8,
    purpose: Purpose,
    status: Status,
    replies: Vec<Came>,
}

/// A reply: its kind, the last number of its responder's address, and its evidence.
#[derive(Clone, Debug)]
struct Came {
    kind: ReplyKind,
    from: u8,
    evidence: Evidence,
    status: Status,
    names_hop: bool,
}

const FROM_TARGET: u8 = 5;

prop_compose! {
    fn came()(
        kind in prop_oneof![
            4 => Just(ReplyKind::TimeExceeded),
            1 => Just(ReplyKind::PortUnreachable),
            1 => Just(ReplyKind::HostUnreachable),
            1 => Just(ReplyKind::FragmentationNeeded),
            1 => Just(ReplyKind::EchoReply),
        ],
        from in 0..=FROM_TARGET,
        evidence in prop_oneof![Just(Evidence::Weak), Just(Evidence::Full)],
        status in prop_oneof![Just(Status::Replied), Just(Status::Late), Just(Status::Duplicate)],
        names_hop in prop::bool::weighted(0.9),
    ) -> Came {
        Came { kind, from, evidence, status, names_hop }
    }
}

prop_compose! {
    fn sent()(
        ttl in 1..8u8,
        purpose in prop_oneof![
            5 => Just(Purpose::Trace),
            1 => Just(Purpose::Distance),
        ],
        status in prop_oneof![
            4 => Just(Status::Replied),
            2 => Just(Status::Timeout),
            1 => Just(Status::SendError),
            1 => Just(Status::Skipped),
            1 => Just(Status::Inferred),
        ],
        replies in prop::collection::vec(came(), 0..4),
    ) -> Sent {
        Sent { ttl, purpose, status, replies }
    }
}

fn with_reply(row: HopRecord, came: &Came) -> HopRecord {
    let responder = match came.from {
        FROM_TARGET => TARGET,
        number => Ipv4Addr::new(10, 0, 0, number),
    };
    HopRecord {
        reply: Some(reply(responder, came.kind)),
        evidence: Some(came.evidence),
        rtt_us: came.names_hop.then_some(i32::from(came.from) + 1),
        ..row
    }
}

/// The rows of a probe in the order in which the tracker gives them out.
fn rows_of(number: u64, attempt: u8, sent: &Sent) -> Vec<HopRecord> {
    let bare = |index, status| HopRecord {
        attempt,
        purpose: sent.purpose,
        reply: None,
        evidence: None,
        ..row(number, sent.ttl, index, status)
    };
    let mut replies = sent.replies.iter();
    let mut rows = Vec::new();
    match (sent.status, replies.next()) {
        (Status::Inferred, _) => {
            let inferred = Inferred {
                responder: Some(Ipv4Addr::new(10, 0, 0, sent.ttl).into()),
                from: None,
            };
            return vec![HopRecord {
                probe_id: None,
                purpose: Purpose::Trace,
                inferred: Some(Box::new(inferred)),
                ..bare(0, Status::Inferred)
            }];
        }
        (Status::SendError | Status::Skipped, _) => return vec![bare(0, sent.status)],
        (Status::Replied, Some(first)) => {
            rows.push(with_reply(bare(0, Status::Replied), first));
        }
        (_, first) => {
            rows.push(bare(0, Status::Timeout));
            let late = first.map(|came| with_reply(bare(1, came.status), came));
            rows.extend(late);
        }
    }
    for (index, came) in (2..).zip(replies) {
        let mut row = with_reply(bare(index, came.status), came);
        row.ttl = row.ttl.filter(|_| came.names_hop);
        rows.push(row);
    }
    rows
}

fn all_rows(probes: &[Sent]) -> Vec<HopRecord> {
    let mut attempts = [0; 8];
    { (0..).zip(probes) }
        .flat_map(|(number, sent)| {
            let attempt: &mut u8 = &mut attempts[usize::from(sent.ttl)];
            *attempt += 1;
            rows_of(number, *attempt, sent)
        })
        .collect()
}

/// Checks the rows and the only trace of a run.
fn check(out: &Assembled, end: &TraceEnd) {
    let trace = &out.whole.traces[0];
    let first = trace.first_ttl.map_or(0, |ttl| ttl.0);
    let path = trace.path.clone().unwrap_or_default();
    assert_eq!(trace.path.is_some(), trace.first_ttl.is_some());
    assert_ne!(path.last(), Some(&None), "silence at the end");
    let last_ttl = { path.len().checked_sub(1) }.map(|behind| Ttl(first + behind as u8));
    assert_eq!(trace.last_ttl, last_ttl);
    assert_eq!(trace.last_responder, path.last().copied().flatten());
    assert!(last_ttl <= end.last_ttl);
    assert!(
        last_ttl.is_none()
            || end
                .path_length
                .is_none_or(|length| last_ttl <= Some(length))
    );
    assert!(usize::from(trace.hops_responding) >= path.iter().flatten().count());

    let mut standing: Vec<&HopRecord> = out.whole.hops.iter().collect();
    standing.retain(|row| row.on_path.expect("a run with traces"));
    for (ttl, entry) in (first..).map(Ttl).zip(&path) {
        let here = |row: &&HopRecord| row.ttl == Some(ttl);
        let may_stand = |row: &HopRecord| row.reply_index == 0 && row.purpose == Purpose::Trace;
        let has_rows = { out.whole.hops.iter() }.filter(here).any(may_stand);
        let rows: Vec<_> = standing.iter().copied().filter(here).collect();
        assert_eq!(rows.len(), usize::from(has_rows), "rows of {ttl:?}");
        for row in rows {
            match entry {
                Some(_) => assert!(row.reply.is_some() && row.responder() == *entry),
                None => assert!(may_stand(row), "{row:?}"),
            }
        }
    }
    let is_within = |row: &&HopRecord| row.ttl.is_some() && row.ttl <= last_ttl;
    let is_within = |row| is_within(row) && row.ttl >= trace.first_ttl;
    assert!(standing.iter().all(is_within), "a row outside of the path");
}

proptest! {
    #[test]
    fn the_path_and_its_rows_agree(
        probes in prop::collection::vec(sent(), 0..16),
        stop_reason in prop_oneof![
            Just(StopReason::Completed), Just(StopReason::Unreachable), Just(StopReason::Interrupted),
        ],
        last_ttl in prop::option::weighted(0.9, 1..8u8),
        length in prop::option::of(1..8u8),
        sealed_after in 0.0..2.0,
    ) {
        let rows = all_rows(&probes);
        // Some rows come after the end of the trace. An own row never does.
        let sealed_after = (sealed_after * rows.len() as f64) as usize;
        let is_late = |place: usize, row: &HopRecord| place >= sealed_after && row.reply_index > 0;
        let mut before = { rows.iter().enumerate() }.filter(|(place, row)| !is_late(*place, row));
        let reached = before.any(|(_, row)| row.is_arrival());
        let end = TraceEnd {
            stop_reason: match stop_reason {
                StopReason::Completed if !reached => StopReason::GapLimit,
                reason => reason,
            },
            last_ttl: last_ttl.map(Ttl),
            path_length: length.map(Ttl),
            ..end(StopReason::GapLimit, None)
        };
        let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
        let (late, before): (Vec<_>, Vec<_>) =
            { rows.into_iter().enumerate() }.partition(|(place, row)| is_late(*place, row));
        before.into_iter().for_each(|(_, row)| assembler.row(row, &mut out));
        assembler.end(&end, &mut out);
        out.whole.append(&mut out.cut_short);
        let written = out.whole.hops.len();
        late.into_iter().for_each(|(_, row)| assembler.row(row, &mut out));
        prop_assert!(out.whole.hops[written..].iter().all(|row| row.on_path == Some(false)));
        check(&out, &end);
    }
}

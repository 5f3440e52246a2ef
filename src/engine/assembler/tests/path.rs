//! The path of a trace: `path` with the columns taken from it, and the rows that stand for its TTLs.

use super::*;
use crate::model::{Inferred, UnsentReason};

/// A row that stands for its TTL: TTL, attempt and reply number.
type Place = (u8, u8, u16);

/// The address of the router that [`row`] lets answer at this TTL.
fn router(ttl: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, ttl)
}

fn assembled(rows: impl IntoIterator<Item = HopRecord>, end: &TraceEnd) -> Assembled {
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    for row in rows {
        assembler.row(row, &mut out);
    }
    assembler.end(end, &mut out);
    out.whole.append(&mut out.cut_short);
    out
}

/// An end at which the last hop that answered has this TTL.
fn open_end(stop_reason: StopReason, last_ttl: u8) -> TraceEnd {
    TraceEnd {
        last_ttl: Some(Ttl(last_ttl)),
        ..end(stop_reason, None)
    }
}

fn attempt(attempt: u8, row: HopRecord) -> HopRecord {
    let number = row.probe_id.expect("a probe").0 + 100 * u64::from(attempt);
    HopRecord {
        attempt,
        probe_id: Some(ProbeId(number)),
        ..row
    }
}

fn silent(ttl: u8) -> HopRecord {
    row(ttl.into(), ttl, 0, Status::Timeout)
}

fn answered(ttl: u8) -> HopRecord {
    row(ttl.into(), ttl, 0, Status::Replied)
}

fn says(kind: ReplyKind, responder: Ipv4Addr, row: HopRecord) -> HopRecord {
    HopRecord {
        reply: Some(reply(responder, kind)),
        ..row
    }
}

fn with_rtt(rtt_us: i32, row: HopRecord) -> HopRecord {
    HopRecord {
        rtt_us: Some(rtt_us),
        ..row
    }
}

fn distance(row: HopRecord) -> HopRecord {
    let purpose = Purpose::Distance;
    HopRecord { purpose, ..row }
}

fn inferred(ttl: u8, responder: Ipv4Addr) -> HopRecord {
    HopRecord {
        probe_id: None,
        inferred: Some(Box::new(Inferred {
            responder: Some(responder.into()),
            from: Some(TraceId(7)),
        })),
        ..row(0, ttl, 0, Status::Inferred)
    }
}

/// The path of the only trace, with `0.0.0.0` for silence. Checks the columns that are taken from the path.
fn path(out: &Assembled) -> Option<Vec<Ipv4Addr>> {
    let trace = &out.whole.traces[0];
    let path = trace.path.as_ref()?;
    let first = trace.first_ttl.expect("a TTL that was probed").0;
    let last = path.len().checked_sub(1);
    let last_ttl = last.map(|last| Ttl(first + last as u8));
    let last_responder = last.and_then(|last| path[last]);
    assert_eq!(last.is_some(), last_responder.is_some(), "{path:?}");
    assert_eq!(
        (trace.last_ttl, trace.last_responder),
        (last_ttl, last_responder)
    );
    let responders = path.iter().map(|responder| match responder {
        Some(IpAddr::V4(responder)) => *responder,
        Some(other) => panic!("{other}"),
        None => Ipv4Addr::UNSPECIFIED,
    });
    Some(responders.collect())
}

fn on_path(out: &Assembled) -> Vec<Place> {
    let rows = out.whole.hops.iter().inspect(|row| {
        assert!(row.on_path.is_some(), "{row:?}");
    });
    let standing = rows.filter(|row| row.on_path == Some(true));
    let place = |row: &HopRecord| {
        let ttl = row.ttl.expect("a row of the path has a TTL").0;
        (ttl, row.attempt, row.reply_index)
    };
    standing.map(place).collect()
}

const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn each_ttl_up_to_the_target_has_one_row_on_the_path() {
    let second = attempt(2, silent(2));
    let target = with_rtt(900, arrival(3, 3));
    // A second answer of the target, and its answers at other TTLs, are no part of the path.
    let copy = HopRecord {
        reply_index: 1,
        ..with_rtt(950, row(3, 3, 1, Status::Duplicate))
    };
    let copy = says(ReplyKind::PortUnreachable, TARGET, copy);
    let beyond = with_rtt(800, arrival(4, 4));
    let far = distance(with_rtt(700, arrival(32, 32)));
    let rows = [
        far,
        answered(1),
        silent(2),
        target,
        copy,
        beyond,
        silent(5),
        second,
    ];
    let out = assembled(rows, &end(StopReason::Completed, Some(3)));
    assert_eq!(path(&out), Some(vec![router(1), NONE, TARGET]));
    assert_eq!(on_path(&out), [(1, 1, 0), (2, 2, 0), (3, 1, 0)]);
    let trace = &out.whole.traces[0];
    assert_eq!(trace.target_rtt_us, Some(900), "of the row on the path");
    assert_eq!(trace.flow, Some(FlowId(0)));
}

#[test]
fn a_further_reply_that_shows_the_hop_is_on_the_path() {
    let complaint = says(ReplyKind::HostUnreachable, router(9), answered(2));
    let further = row(2, 2, 1, Status::Duplicate);
    let out = assembled(
        [answered(1), complaint, further, answered(3)],
        &open_end(StopReason::GapLimit, 3),
    );
    assert_eq!(path(&out), Some(vec![router(1), router(2), router(3)]));
    assert_eq!(on_path(&out), [(1, 1, 0), (2, 1, 1), (3, 1, 0)]);
}

#[test]
fn a_complaint_is_on_the_path_if_its_router_answered_nowhere_before() {
    let prohibited = |by, row| says(ReplyKind::AdministrativelyProhibited, by, row);
    let rows = [
        answered(1),
        prohibited(router(9), answered(2)),
        // An answer of another kind is preferred, even if it came to a later attempt.
        prohibited(router(8), answered(3)),
        attempt(2, answered(3)),
        // This router is the hop at the first TTL.
        prohibited(router(1), answered(4)),
        answered(5),
    ];
    let out = assembled(rows, &open_end(StopReason::GapLimit, 5));
    let expected = vec![router(1), router(9), router(3), NONE, router(5)];
    assert_eq!(path(&out), Some(expected));
    // The last attempt stands for a TTL without an answer of the hop, whatever it brought.
    let places = [(1, 1, 0), (2, 1, 0), (3, 2, 0), (4, 1, 0), (5, 1, 0)];
    assert_eq!(on_path(&out), places);
}

#[test]
fn of_several_sizes_at_one_ttl_the_one_that_shows_the_hop_is_on_the_path() {
    let sized = |probe_size, row| HopRecord { probe_size, ..row };
    let too_large = |row| says(ReplyKind::FragmentationNeeded, router(1), row);
    let rows = [
        sized(1_500, answered(1)),
        too_large(sized(1_500, answered(2))),
        too_large(sized(1_400, attempt(2, answered(2)))),
        sized(1_300, attempt(3, answered(2))),
        too_large(sized(1_500, answered(3))),
        sized(1_300, attempt(2, silent(3))),
        sized(1_300, arrival(4, 4)),
    ];
    let out = assembled(rows, &end(StopReason::Completed, Some(4)));
    let expected = vec![router(1), router(2), NONE, TARGET];
    assert_eq!(path(&out), Some(expected));
    let places = [(1, 1, 0), (2, 3, 0), (3, 2, 0), (4, 1, 0)];
    assert_eq!(on_path(&out), places);
}

#[test]
fn an_answer_too_large_that_ends_the_path_is_on_it() {
    let too_large = says(ReplyKind::PacketTooBig, router(1), answered(2));
    let out = assembled(
        [answered(1), too_large],
        &open_end(StopReason::Unreachable, 2),
    );
    assert_eq!(path(&out), Some(vec![router(1), router(1)]));
    assert_eq!(on_path(&out), [(1, 1, 0), (2, 1, 0)]);
}

#[test]
fn a_reply_is_on_the_path_only_if_it_came_while_the_trace_was_open() {
    let weak = HopRecord {
        evidence: Some(Evidence::Weak),
        ..says(ReplyKind::TimeExceeded, router(9), answered(2))
    };
    let rows = [
        silent(1),
        row(1, 1, 1, Status::Late),
        weak,
        row(2, 2, 1, Status::Replied),
        silent(3),
        arrival(4, 4),
    ];
    let (mut assembler, mut out) = (Assembler::new(true, 1), Assembled::default());
    for row in rows {
        assembler.row(row, &mut out);
    }
    assembler.end(&end(StopReason::Completed, Some(4)), &mut out);
    assembler.row(row(3, 3, 1, Status::Late), &mut out);
    // The late reply and the stronger one took the places of the own rows. The weak one is an extra row.
    let expected = vec![router(1), router(2), NONE, TARGET];
    assert_eq!(path(&out), Some(expected));
    let places = [(1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0)];
    assert_eq!(on_path(&out), places);
    let last = out.whole.hops.last().expect("a row");
    assert_eq!((last.status, last.on_path), (Status::Late, Some(false)));
}

#[test]
fn probes_that_were_not_sent_stand_for_their_ttl_but_do_not_begin_the_path() {
    let unsent = |status, ttl: u8| HopRecord {
        reason: Some(UnsentReason::NearHopLimit),
        ..row(ttl.into(), ttl, 0, status)
    };
    let rows = [
        unsent(Status::Skipped, 1),
        unsent(Status::SendError, 2),
        unsent(Status::Skipped, 3),
        silent(4),
        row(4, 4, 1, Status::SendError),
        answered(5),
    ];
    let out = assembled(rows, &open_end(StopReason::Interrupted, 5));
    assert_eq!(out.whole.traces[0].first_ttl, Some(Ttl(2)));
    assert_eq!(path(&out), Some(vec![NONE, NONE, NONE, router(5)]));
    let places = [(2, 1, 0), (3, 1, 0), (4, 1, 0), (5, 1, 0)];
    assert_eq!(on_path(&out), places);
    // The hash covers the skipped TTL as well.
    let ttls = (1..=5).map(|ttl| (Ttl(ttl), (ttl == 5).then_some(router(5).into())));
    assert_eq!(out.whole.traces[0].path_hash, Some(path_hash(ttls)));
}

#[test]
fn what_was_probed_beyond_the_end_of_the_path_is_not_on_it() {
    // The first router came back at TTL 3. What a loop repeats beyond is no part of the path.
    let again = |ttl, by| says(ReplyKind::TimeExceeded, router(by), answered(ttl));
    let rows = [
        answered(1),
        answered(2),
        again(3, 1),
        again(4, 2),
        again(5, 1),
    ];
    let out = assembled(rows, &open_end(StopReason::Loop, 3));
    assert_eq!(path(&out), Some(vec![router(1), router(2), router(1)]));
    assert_eq!(on_path(&out), [(1, 1, 0), (2, 1, 0), (3, 1, 0)]);
}

#[test]
fn a_path_without_an_answer_is_empty_and_one_without_a_hop_probe_is_none() {
    let far = distance(with_rtt(700, arrival(32, 32)));
    let none = TraceEnd {
        last_ttl: None,
        ..end(StopReason::Interrupted, None)
    };
    let out = assembled([far.clone(), silent(1), silent(2)], &none);
    assert_eq!((path(&out), on_path(&out)), (Some(vec![]), vec![]));
    assert_eq!(out.whole.traces[0].target_rtt_us, Some(700));
    let out = assembled([far], &none);
    assert_eq!((path(&out), on_path(&out)), (None, vec![]));
    assert_eq!(out.whole.traces[0].target_rtt_us, Some(700));
    let out = assembled([], &none);
    assert_eq!((path(&out), on_path(&out)), (None, vec![]));
    assert_eq!(out.whole.traces[0].target_rtt_us, None);
}

#[test]
fn an_answer_that_identifies_no_hop_is_not_on_the_path() {
    let of_no_hop = HopRecord {
        ttl: None,
        ..arrival(2, 1)
    };
    let of_no_hop = HopRecord {
        reply_index: 1,
        status: Status::Duplicate,
        ..of_no_hop
    };
    let out = assembled(
        [answered(1), silent(2), of_no_hop],
        &open_end(StopReason::GapLimit, 1),
    );
    assert_eq!(path(&out), Some(vec![router(1)]));
    assert_eq!(on_path(&out), [(1, 1, 0)]);
    assert_eq!(out.whole.traces[0].target_rtt_us, None);
}

#[test]
fn an_inferred_hop_stands_for_its_ttl_but_its_address_is_not_in_the_path() {
    let rows = [
        inferred(1, router(1)),
        answered(2),
        inferred(3, router(3)),
        // This one was probed as well.
        inferred(4, router(4)),
        silent(4),
        // Nobody probed TTL 5.
        answered(6),
        inferred(7, router(7)),
    ];
    let out = assembled(rows, &open_end(StopReason::GapLimit, 6));
    let expected = vec![router(2), NONE, NONE, NONE, router(6)];
    assert_eq!(path(&out), Some(expected));
    let standing: Vec<_> = {
        out.whole
            .hops
            .iter()
            .filter(|row| row.on_path == Some(true))
    }
    .map(|row| (row.ttl.map(|ttl| ttl.0), row.status))
    .collect();
    let expected = [
        (Some(2), Status::Replied),
        (Some(3), Status::Inferred),
        (Some(4), Status::Timeout),
        (Some(6), Status::Replied),
    ];
    assert_eq!(standing, expected);
    let only = [inferred(1, router(1)), inferred(2, router(2))];
    let out = assembled(only, &open_end(StopReason::GapLimit, 2));
    assert_eq!((path(&out), on_path(&out)), (None, vec![]));
}

#[test]
fn a_router_at_the_length_of_the_path_leaves_the_least_rtt_of_the_target() {
    // Packets take ways of different lengths, so a router and then the target answered at TTL 2.
    let rows = [
        answered(1),
        with_rtt(10, answered(2)),
        with_rtt(900, attempt(2, arrival(2, 2))),
        with_rtt(850, arrival(3, 3)),
    ];
    let out = assembled(rows, &end(StopReason::Completed, Some(2)));
    assert_eq!(path(&out), Some(vec![router(1), router(2)]));
    assert_eq!(out.whole.traces[0].target_rtt_us, Some(850));
}

#[test]
fn a_run_without_traces_has_no_path() {
    let (mut assembler, mut out) = (Assembler::new(false, 1), Assembled::default());
    assembler.row(answered(5), &mut out);
    assembler.row(row(5, 5, 1, Status::Duplicate), &mut out);
    assert!(out.whole.hops.iter().all(|row| row.on_path.is_none()));
}

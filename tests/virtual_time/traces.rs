//! The rows of `traces` against the rows of `hops` they sum up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use pathsurvey::model::{
    HopRecord, Purpose, ReplyKind, Status, StopReason, TraceId, TraceRecord, Ttl, path_hash,
};

use super::experiment::Observed;
use super::{order, paths_column};

/// Checks that every (target, flow) has one trace, and that it says what its hops say.
///
/// Rows that arrived after a trace was sealed (extra ones, with a higher index) do not change what the trace says.
pub fn check(run: &Observed) {
    order::check(run);
    paths_column::check(run);
    let mut rows: HashMap<TraceId, Vec<&HopRecord>> = HashMap::new();
    for row in &run.hops {
        rows.entry(row.trace_id).or_default().push(row);
    }
    let mut seen = HashSet::new();
    for trace in &run.traces {
        assert!(seen.insert((trace.target, trace.flow)), "two of {trace:?}");
        let flow = trace.flow.expect("a flow");
        let expected = TraceId::new(trace.target, flow, run.config.flows);
        assert_eq!(trace.trace_id, expected);
        let own = rows.remove(&trace.trace_id).unwrap_or_default();
        let (own, further): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|row| row.reply_index == 0);
        let in_time = |row: &&HopRecord| {
            let reply = row.reply.as_ref();
            reply.is_some_and(|reply| reply.received_at <= trace.finished_at)
        };
        let further: Vec<_> = further.into_iter().filter(in_time).collect();
        let rows = || own.iter().chain(&further);
        let reached = rows().any(|row| is_arrival(row, trace));
        assert_eq!(trace.reached, reached, "{trace:?}");
        check_trace(trace, own, &further);
    }
    assert_eq!(rows.len(), 0, "hops without a trace");
    let pairs = run.targets.iter().len() * usize::from(run.config.flows);
    assert_eq!(seen.len(), pairs, "a trace for each target and flow");
    assert_eq!(run.tally.traces_ended, pairs as u64);
    let reached = run.traces.iter().filter(|trace| trace.reached).count();
    assert_eq!(run.tally.traces_reached, reached as u64);
}

fn check_trace(trace: &TraceRecord, own: Vec<&HopRecord>, further: &[&HopRecord]) {
    let same =
        |row: &&HopRecord| row.destination == trace.destination && Some(row.flow) == trace.flow;
    assert!(own.iter().all(same), "a row of another trace in {trace:?}");
    let count = |which: &dyn Fn(&HopRecord) -> bool| own.iter().filter(|row| which(row)).count();
    let sent = count(&|row| row.status != Status::SendError);
    assert_eq!(trace.probes_sent as usize, sent, "{trace:?}");
    let replies = count(&|row| row.status == Status::Replied);
    assert_eq!(trace.replies as usize, replies, "{trace:?}");

    let mut hops = own;
    hops.retain(|row| row.purpose != Purpose::Distance);
    hops.sort_by_key(|row| (row.ttl, row.attempt));
    check_ttls(trace, &hops);
    let probed = hops.clone();
    hops.extend(further);
    hops.retain(|row| row.purpose != Purpose::Distance && row.reply.is_some());
    hops.retain(|row| row.ttl.is_some() && !is_too_large(trace, row));
    hops.sort_by_key(|row| (row.ttl, row.attempt, row.reply_index));
    check_path(trace, &probed, &hops);
}

/// The end of the path, from whichever address.
pub fn is_arrival(row: &HopRecord, trace: &TraceRecord) -> bool {
    const REPEAT_THE_PROBE: [ReplyKind; 5] = [
        ReplyKind::EchoReply,
        ReplyKind::SynAck,
        ReplyKind::Rst,
        ReplyKind::Ack,
        ReplyKind::Udp,
    ];
    row.reply_kind().is_some_and(|kind| {
        let by_target = row.responder() == Some(trace.destination);
        REPEAT_THE_PROBE.contains(&kind) || by_target && kind != ReplyKind::TimeExceeded
    })
}

/// Somebody other than the target dropped the probe for another reason than its TTL.
pub fn is_complaint(row: &HopRecord, trace: &TraceRecord) -> bool {
    let complains = row
        .reply_kind()
        .is_some_and(|kind| kind.is_unreachable() || kind == ReplyKind::ParameterProblem);
    complains && row.responder() != Some(trace.destination)
}

/// Whether the answer is that of a router which looked at the size, not at the TTL, and the path went on with a smaller probe.
pub fn is_too_large(trace: &TraceRecord, row: &HopRecord) -> bool {
    let kinds = [ReplyKind::FragmentationNeeded, ReplyKind::PacketTooBig];
    let is_kind = row.reply_kind().is_some_and(|kind| kinds.contains(&kind));
    is_kind && trace.stop_reason != StopReason::Unreachable
}

/// `hops` are sorted by TTL.
fn check_ttls(trace: &TraceRecord, hops: &[&HopRecord]) {
    let ttl = |row: &&HopRecord| row.ttl;
    assert_eq!(trace.first_ttl, hops.first().and_then(ttl));
    assert_eq!(trace.max_ttl, hops.last().and_then(ttl));
    for pair in hops.windows(2) {
        let gap = pair[1].ttl.map(|ttl| ttl.0 - 1) > pair[0].ttl.map(|ttl| ttl.0);
        assert!(!gap, "a TTL is left out in {trace:?}");
    }
}

/// `probed` are the hops' own rows, `answers` all that were answered; both are sorted by TTL.
fn check_path(trace: &TraceRecord, probed: &[&HopRecord], answers: &[&HopRecord]) {
    let last = end_of_path(trace, answers);
    let on_path = |row: &&&HopRecord| row.ttl <= last;
    let is_hop = |row: &&&HopRecord| is_hop(trace, answers, row, last);
    let mut path: BTreeMap<Ttl, Option<IpAddr>> = probed
        .iter()
        .filter(on_path)
        .filter_map(|row| Some((row.ttl?, None)))
        .collect();
    let (complaints, hops): (Vec<&&HopRecord>, Vec<&&HopRecord>) =
        { answers.iter().filter(on_path).filter(is_hop) }
            .partition(|row: &&&HopRecord| is_complaint(row, trace));
    for row in hops.into_iter().chain(complaints) {
        let known = row.ttl.and_then(|ttl| path.get_mut(&ttl));
        let known = known.expect("an answer at a TTL that was probed");
        *known = known.or(row.responder());
    }
    let first_arrival = answers.iter().find(|row| is_arrival(row, trace));
    if let Some(length) = trace.path_length {
        assert_eq!(
            Some(length),
            first_arrival.and_then(|row| row.ttl),
            "{trace:?}"
        );
        assert_eq!(trace.stop_reason, StopReason::Completed);
    }
    let responding = path.values().flatten().count();
    assert_eq!(usize::from(trace.hops_responding), responding, "{trace:?}");
    let hash = (!path.is_empty()).then(|| path_hash(path));
    assert_eq!(trace.path_hash, hash, "{trace:?}");
}

/// Whether the responder stands at the row's TTL: not if it complains and has answered before, unless the path ends there.
pub fn is_hop(
    trace: &TraceRecord,
    answers: &[&HopRecord],
    row: &HopRecord,
    end: Option<Ttl>,
) -> bool {
    let answered_before =
        |other: &&HopRecord| other.ttl < row.ttl && other.responder() == row.responder();
    let is_end = trace.stop_reason == StopReason::Unreachable && row.ttl == end;
    is_end || !is_complaint(row, trace) || !answers.iter().any(answered_before)
}

/// Where the path ends: at the target, at the complaint behind which nothing else answered, where an address came back for good;
/// else at the last answer that is no complaint of a router that stands before.
pub fn end_of_path(trace: &TraceRecord, answers: &[&HopRecord]) -> Option<Ttl> {
    let complains = |row: &&&HopRecord| is_complaint(row, trace);
    let complained = |up_to: Option<Ttl>, who: Option<IpAddr>| {
        let mut before = answers.iter().filter(complains);
        before.any(|row| row.ttl <= up_to && row.responder() == who)
    };
    let behind = |ttl: Option<Ttl>| answers.iter().filter(move |row| row.ttl > ttl);
    let found = match trace.stop_reason {
        StopReason::Completed => answers.iter().find(|row| is_arrival(row, trace)),
        StopReason::Unreachable => answers.iter().filter(complains).find(|end| {
            let mut others = behind(end.ttl);
            others.all(|row| is_complaint(row, trace) && complained(end.ttl, row.responder()))
        }),
        StopReason::Loop => answers.iter().find(|row| {
            let who = row.responder();
            let same = |other: &&HopRecord| other.responder() == who;
            let far =
                |other: &&HopRecord| other.ttl.map(|ttl| ttl.0 + 2) <= row.ttl.map(|ttl| ttl.0);
            let known = |other: &&HopRecord| {
                let mut up_to = answers.iter().filter(|known| known.ttl <= row.ttl);
                up_to.any(|known| known.responder() == other.responder())
            };
            answers.iter().any(|other| same(other) && far(other)) && behind(row.ttl).all(known)
        }),
        _ => answers
            .iter()
            .rfind(|row| is_hop(trace, answers, row, None)),
    };
    found?.ttl
}

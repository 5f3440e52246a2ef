//! The rows of `traces` against the rows of `hops` they sum up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use pathsurvey::model::{
    HopRecord, Purpose, ReplyKind, Status, StopReason, TraceId, TraceRecord, Ttl, path_hash,
};

use super::experiment::Observed;
use super::order;

/// Checks that every (target, flow) has one trace, and that it says what its hops say.
///
/// Rows that arrived after a trace was sealed (extra ones, with a higher index) do not change what the trace says.
pub fn check(run: &Observed) {
    order::check(run);
    let mut rows: HashMap<TraceId, Vec<&HopRecord>> = HashMap::new();
    for row in &run.hops {
        rows.entry(row.trace_id).or_default().push(row);
    }
    let mut seen = HashSet::new();
    for trace in &run.traces {
        assert!(seen.insert((trace.target, trace.flow)), "two of {trace:?}");
        let expected = TraceId::new(trace.target, trace.flow, run.config.flows);
        assert_eq!(trace.trace_id, expected);
        let own = rows.remove(&trace.trace_id).unwrap_or_default();
        let (own, further): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|row| row.reply_index == 0);
        check_reached(trace, &own, &further);
        check_trace(trace, own);
    }
    assert_eq!(rows.len(), 0, "hops without a trace");
    let pairs = run.targets.iter().len() * usize::from(run.config.flows);
    assert_eq!(seen.len(), pairs, "a trace for each target and flow");
    assert_eq!(run.tally.traces_ended, pairs as u64);
    let reached = run.traces.iter().filter(|trace| trace.reached).count();
    assert_eq!(run.tally.traces_reached, reached as u64);
}

fn check_trace(trace: &TraceRecord, own: Vec<&HopRecord>) {
    let same = |row: &&HopRecord| row.destination == trace.destination && row.flow == trace.flow;
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
    check_path(trace, &hops);
}

/// Of further answers those of the target count that may be to any of several probes.
fn check_reached(trace: &TraceRecord, own: &[&HopRecord], further: &[&HopRecord]) {
    let in_time = |row: &HopRecord| {
        let reply = row.reply.as_ref();
        reply.is_some_and(|reply| reply.received_at <= trace.finished_at)
    };
    let reached = own.iter().any(|row| is_arrival(row, trace))
        || further
            .iter()
            .any(|row| row.ttl.is_none() && is_arrival(row, trace) && in_time(row));
    assert_eq!(trace.reached, reached, "{trace:?}");
}

fn is_arrival(row: &HopRecord, trace: &TraceRecord) -> bool {
    row.responder() == Some(trace.destination) && row.reply_kind() != Some(ReplyKind::TimeExceeded)
}

/// Whether the answer is that of a router which looked at the size, not at the TTL, and the path went on with a smaller probe.
fn is_too_large(trace: &TraceRecord, row: &HopRecord) -> bool {
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
    let first_arrival = hops.iter().find(|row| is_arrival(row, trace));
    if let Some(length) = trace.path_length {
        assert_eq!(Some(length), first_arrival.and_then(ttl), "{trace:?}");
        assert_eq!(trace.stop_reason, StopReason::Completed);
    }
}

/// `hops` are sorted by TTL.
fn check_path(trace: &TraceRecord, hops: &[&HopRecord]) {
    let last = end_of_path(trace, hops);
    let mut path: BTreeMap<Ttl, Option<IpAddr>> = BTreeMap::new();
    for row in hops {
        if let Some(ttl) = row.ttl.filter(|ttl| Some(*ttl) <= last) {
            let known = path.entry(ttl).or_default();
            *known = known.or(row.responder().filter(|_| !is_too_large(trace, row)));
        }
    }
    let responding = path.values().flatten().count();
    assert_eq!(usize::from(trace.hops_responding), responding, "{trace:?}");
    let hash = (!path.is_empty()).then(|| path_hash(path));
    assert_eq!(trace.path_hash, hash, "{trace:?}");
}

/// Where the path ends: at the target, at the first unreachable, where an address came back; else at the last answer.
fn end_of_path(trace: &TraceRecord, hops: &[&HopRecord]) -> Option<Ttl> {
    let is_answered = |row: &&&HopRecord| row.responder().is_some() && !is_too_large(trace, row);
    let answered = || hops.iter().filter(is_answered);
    match trace.stop_reason {
        StopReason::Completed => answered().find(|row| is_arrival(row, trace))?.ttl,
        StopReason::Unreachable => {
            let is_end =
                |row: &&&HopRecord| row.reply_kind().is_some_and(ReplyKind::is_unreachable);
            answered().find(is_end)?.ttl
        }
        StopReason::Loop => {
            let comes_back = |row: &&&HopRecord| {
                answered().any(|earlier| {
                    earlier.responder() == row.responder()
                        && earlier.ttl.map(|ttl| ttl.0 + 2) <= row.ttl.map(|ttl| ttl.0)
                })
            };
            answered().find(comes_back)?.ttl
        }
        _ => answered().next_back()?.ttl,
    }
}

//! The row of a trace of many flows, from its hop rows.

use std::collections::BTreeSet;

use super::anomalies;
use super::path_rows::is_attempt;
use crate::model::{Anomalies, HopRecord, Status, TraceEnd, TraceId, TraceRecord};

/// Computes the row of a trace of many flows, which has no path. `found` are the anomalies of its graph. Those that single answers show
/// join them.
pub fn graph_record(
    trace_id: TraceId,
    end: &TraceEnd,
    rows: &[HopRecord],
    found: Anomalies,
) -> TraceRecord {
    let own = || rows.iter().filter(|row| row.reply_index == 0);
    let probed = || own().filter(|row| is_attempt(row) && row.status != Status::Skipped);
    let arrivals = || rows.iter().filter(|row| row.is_arrival());
    // A router that finds a probe too large does not look at its TTL.
    let shows_hop = |row: &&HopRecord| row.reply_kind().is_some_and(|kind| !kind.is_too_large());
    let responding = probed().filter(shows_hop).filter_map(|row| row.ttl);
    let responding: BTreeSet<_> = responding.collect();
    TraceRecord {
        trace_id,
        target: end.target,
        destination: end.destination,
        flow: None,
        started_at: end.started_at,
        finished_at: end.finished_at,
        first_ttl: probed().filter_map(|row| row.ttl).min(),
        max_ttl: probed().filter_map(|row| row.ttl).max(),
        stop_reason: end.stop_reason,
        reached: arrivals().next().is_some(),
        path_length: end.path_length,
        path_mtu: None,
        hops_responding: responding.len() as u16,
        probes_sent: own().filter(|row| row.status.was_sent()).count() as u32,
        replies: own().filter(|row| row.status == Status::Replied).count() as u32,
        path: None,
        last_responder: None,
        last_ttl: None,
        target_rtt_us: arrivals().filter_map(|row| row.rtt_us).min(),
        path_hash: None,
        anomalies: anomalies::of_answers(rows, found),
    }
}

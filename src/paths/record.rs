//! The row of a trace, from its hop rows.

use super::anomalies;
use super::path_rows::{PathRows, is_attempt};
use crate::model::{HopRecord, Status, StopReason, TraceEnd, TraceId, TraceRecord, path_hash};

/// Computes the row of a trace from its hop rows and its path. The rows are ordered by TTL and attempt, with rows without a TTL
/// last.
pub fn trace_record(
    trace_id: TraceId,
    end: &TraceEnd,
    rows: &[HopRecord],
    path: &PathRows,
) -> TraceRecord {
    let own = || rows.iter().filter(|row| row.reply_index == 0);
    let probed = own().filter(|row| is_attempt(row) && row.status != Status::Skipped);
    // These rows include answers to one of several probes, and further answers to a probe that a router answered first.
    let reached = rows.iter().any(HopRecord::is_arrival);
    debug_assert!(end.stop_reason != StopReason::Completed || reached);
    let hops_responding = path.probed().filter_map(|(_, responder)| responder).count();
    TraceRecord {
        trace_id,
        target: end.target,
        destination: end.destination,
        flow: Some(end.flow),
        started_at: end.started_at,
        finished_at: end.finished_at,
        first_ttl: path.first_ttl(),
        max_ttl: probed.filter_map(|row| row.ttl).max(),
        stop_reason: end.stop_reason,
        reached,
        path_length: end.path_length,
        path_mtu: end.path_mtu,
        hops_responding: hops_responding as u16,
        probes_sent: own().filter(|row| row.status.was_sent()).count() as u32,
        replies: own().filter(|row| row.status == Status::Replied).count() as u32,
        path: path.responders(),
        last_responder: path.last().map(|(_, responder)| responder),
        last_ttl: path.last().map(|(ttl, _)| ttl),
        target_rtt_us: target_rtt_us(end, rows, path),
        path_hash: { path.probed().next() }.map(|_| path_hash(path.probed())),
        anomalies: anomalies::find(rows, end),
    }
}

/// Returns the round-trip time of the target's answer at the end of the path. If the length of the path is not known, or if
/// another answer stands there, returns the least round-trip time of the target's answers.
fn target_rtt_us(end: &TraceEnd, rows: &[HopRecord], path: &PathRows) -> Option<i32> {
    let place = end.path_length.and_then(|ttl| path.answer_at(ttl));
    let settling = place.map(|place| &rows[place]);
    let settling = settling.filter(|row| row.is_arrival());
    let answers = rows.iter().filter(|row| row.is_arrival());
    settling
        .and_then(|row| row.rtt_us)
        .or_else(|| answers.filter_map(|row| row.rtt_us).min())
}

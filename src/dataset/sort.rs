//! The order of rows within a file.

use rayon::slice::ParallelSliceMut;

use crate::model::{HopRecord, TraceRecord};

/// With at least this many rows, a second core pays off.
const PARALLEL_FROM: usize = 100_000;

/// References to `rows` by (trace, TTL, attempt, reply index, probe). Within a trace, rows without a TTL come last. Rows that are equal in
/// all of these keep their order, so that the same input gives the same output.
pub(super) fn sorted_hops(rows: &[HopRecord]) -> Vec<&HopRecord> {
    let mut keyed: Vec<(u128, u64, u32)> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            (
                packed_key(row),
                row.probe_id.map_or(u64::MAX, |id| id.0),
                at as u32,
            )
        })
        .collect();
    if keyed.len() >= PARALLEL_FROM {
        keyed.par_sort_unstable();
    } else {
        keyed.sort_unstable();
    }
    keyed
        .into_iter()
        .map(|(_, _, at)| &rows[at as usize])
        .collect()
}

/// Trace, TTL, attempt and reply index in one number with the same order.
fn packed_key(row: &HopRecord) -> u128 {
    const NO_TTL: u128 = 256;
    let ttl = row.ttl.map_or(NO_TTL, |ttl| u128::from(ttl.0));
    u128::from(row.trace_id.0) << 48
        | ttl << 32
        | u128::from(row.attempt) << 16
        | u128::from(row.reply_index)
}

/// References to `rows` by trace.
pub(super) fn sorted_traces(rows: &[TraceRecord]) -> Vec<&TraceRecord> {
    let mut sorted: Vec<&TraceRecord> = rows.iter().collect();
    sorted.sort_by_key(|row| row.trace_id);
    sorted
}

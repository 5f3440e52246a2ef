//! Selects the rows of a trace whose responder is the hop at the TTL of the row.
//!
//! A router that finds a probe too large for its next link (Fragmentation Needed, Packet Too Big) looks at the size, not at the
//! TTL. It may be at any TTL up to that of the probe, and smaller probes go past it. Such an answer shows no hop, with one
//! exception: if no smaller probe could be sent, the path ends with it, as with any other unreachable.
//!
//! Any other complaint shows no hop if its router also answered at a lower TTL: the router is the hop at that TTL. This does not
//! hold if the path ends at the TTL of the complaint with an unreachable.

use crate::model::{HopRecord, ProbeId, Purpose, ReplyKind, StopReason, TraceEnd};

/// Selects the rows of a trace that show a hop.
#[derive(Clone, Debug)]
pub struct HopRows {
    /// Complaints of routers that also answered at a lower TTL, as probe and reply number. A complaint that ends the path is left
    /// out.
    from_before: Vec<(Option<ProbeId>, u16)>,

    /// The probe whose answer "too large" ends the path.
    too_large_at_the_end: Option<ProbeId>,
}

impl HopRows {
    /// Classifies `rows`, all rows of a trace that ended with `end`.
    pub fn of(rows: &[HopRecord], end: &TraceEnd) -> Self {
        // If several answers can end the path, an answer of another kind than "too large" does. Otherwise the answer to the
        // smallest probe does.
        let ended = rows
            .iter()
            .filter(|row| row.purpose != Purpose::Distance)
            .filter(|row| row.ttl == end.last_ttl && ends_path(row, end.stop_reason))
            .min_by_key(|row| (is_too_large(row), row.probe_size));
        let is_end =
            |row: &HopRecord| row.ttl == end.last_ttl && end.stop_reason == StopReason::Unreachable;
        let from_before = rows
            .iter()
            .filter(|row| row.is_complaint() && !is_too_large(row) && !is_end(row))
            .filter(|row| {
                let same = |other: &HopRecord| other.responder() == row.responder();
                let hops = rows.iter().filter(|row| row.purpose != Purpose::Distance);
                { hops }.any(|other| other.ttl.is_some() && other.ttl < row.ttl && same(other))
            })
            .map(|row| (row.probe_id, row.reply_index))
            .collect();
        HopRows {
            from_before,
            too_large_at_the_end: ended
                .filter(|row| is_too_large(row))
                .and_then(|row| row.probe_id),
        }
    }

    /// Returns `false` if the answer in this row is "too large" and does not end the path. Returns `true` for all other rows.
    pub fn is_in_place(&self, row: &HopRecord) -> bool {
        let ends_path = |probe| row.probe_id == Some(probe);
        !is_too_large(row) || self.too_large_at_the_end.is_some_and(ends_path)
    }

    /// Whether the answer or the timeout in this row is that of the hop at its TTL. Rows of the distance probe are not.
    pub fn is_hop(&self, row: &HopRecord) -> bool {
        let stands_before = self.from_before.contains(&(row.probe_id, row.reply_index));
        row.purpose != Purpose::Distance && self.is_in_place(row) && !stands_before
    }
}

fn is_too_large(row: &HopRecord) -> bool {
    row.reply_kind().is_some_and(ReplyKind::is_too_large)
}

/// Whether a path that stops for `reason` can end with the answer in this row.
fn ends_path(row: &HopRecord, reason: StopReason) -> bool {
    match reason {
        StopReason::Completed => row.is_arrival(),
        StopReason::Unreachable => row.is_complaint(),
        _ => false,
    }
}

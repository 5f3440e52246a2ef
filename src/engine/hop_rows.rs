//! Which rows of a trace tell who stands at their TTL.
//!
//! Whoever calls a probe too large for its next line (Fragmentation Needed, Packet Too Big) looked at the size and not at the TTL:
//! it may stand at any TTL up to the probe's, and the path goes on past it for a smaller one. Such an answer is of no hop, unless
//! the path ends with it: where no smaller probe could be sent it is an unreachable as any other.
//!
//! The same holds for any other complaint of a router that answered at a lower TTL: it stands there.

use crate::model::{HopRecord, ProbeId, Purpose, ReplyKind, StopReason, TraceEnd};

/// Tells rows that show a hop from those that do not.
#[derive(Clone, Debug)]
pub struct HopRows {
    /// Complaints of routers that answered at a lower TTL, where the path goes on: probe and number of the reply.
    from_before: Vec<(ProbeId, u16)>,

    /// The probe that was too large where the path ends.
    too_large_at_the_end: Option<ProbeId>,
}

impl HopRows {
    /// `rows` are those of the trace that ended so.
    pub fn of(rows: &[HopRecord], end: &TraceEnd) -> Self {
        // Of several answers at the last TTL those to larger probes were not the end; nor was any, where another kind was.
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
                .map(|row| row.probe_id),
        }
    }

    /// Whether an answer in this row comes from where the TTL ran out or the path ended.
    pub fn is_in_place(&self, row: &HopRecord) -> bool {
        !is_too_large(row) || Some(row.probe_id) == self.too_large_at_the_end
    }

    /// Whether the row is of the path, probed hop by hop, and its answer or silence that of its TTL.
    pub fn is_hop(&self, row: &HopRecord) -> bool {
        let stands_before = self.from_before.contains(&(row.probe_id, row.reply_index));
        row.purpose != Purpose::Distance && self.is_in_place(row) && !stands_before
    }
}

fn is_too_large(row: &HopRecord) -> bool {
    row.reply_kind().is_some_and(ReplyKind::is_too_large)
}

/// Whether the answer is such that a path ends with it for that reason.
fn ends_path(row: &HopRecord, reason: StopReason) -> bool {
    match reason {
        StopReason::Completed => row.is_arrival(),
        StopReason::Unreachable => row.is_complaint(),
        _ => false,
    }
}

//! Puts the rows of a trace together.
//!
//! A trace's rows wait here until its strategy ends it; then they leave sorted by TTL, with the trace's own row computed from
//! them, so that the two cannot disagree. While a trace is open a late reply takes the place of its probe's `timeout`
//! row, and a surer one that of a weak one; afterwards they become extra rows and the probe's own stays. A probe's own row must
//! come before its extra ones: whether a trace is open shows in its waiting rows alone. A sweep has no traces: its rows pass
//! through.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::anomalies;
use super::hop_rows::HopRows;
use crate::model::{
    Evidence, HopRecord, ProbeId, Purpose, Statistics, Status, StopReason, TableRow, TraceEnd,
    TraceId, TraceRecord, Ttl, path_hash,
};

/// Probes remembered at a time whose late reply took the place of their own row. Beyond it the oldest are forgotten, which leaves a
/// gap in the numbers of their further replies.
const PROMOTED_PROBES: usize = 1 << 17;

/// What leaves the assembler.
#[derive(Debug, Default)]
pub struct Assembled {
    /// Rows of `hops`; those of a trace together.
    pub hops: Vec<HopRecord>,
    /// Rows of `traces`.
    pub traces: Vec<TraceRecord>,
    /// Rows of the strategy's own tables.
    pub tables: Vec<TableRow>,
}

impl Assembled {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty() && self.traces.is_empty() && self.tables.is_empty()
    }
}

/// Collects rows until they can be written.
#[derive(Debug)]
pub struct Assembler {
    groups: bool,
    flows: u16,
    open: HashMap<TraceId, Vec<HopRecord>>,
    /// Probes whose late reply took the place of their own row: those that follow move up by one.
    promoted: BTreeSet<ProbeId>,
    statistics: Statistics,
    reached: u64,
    ended: u64,
}

impl Assembler {
    /// `groups`: the strategy ends traces, and rows wait for that. `flows` as in the run.
    pub fn new(groups: bool, flows: u16) -> Self {
        Assembler {
            groups,
            flows,
            open: HashMap::new(),
            promoted: BTreeSet::new(),
            statistics: Statistics::default(),
            reached: 0,
            ended: 0,
        }
    }

    /// Takes a row.
    pub fn row(&mut self, mut row: HopRecord, out: &mut Assembled) {
        if row.reply_index == 0 {
            if self.groups {
                self.open.entry(row.trace_id).or_default().push(row);
            } else {
                self.write(row, out);
            }
            return;
        }
        if row.status == Status::SendError {
            return self.not_sent(row);
        }
        row.reply_index -= u16::from(self.promoted.contains(&row.probe_id));
        let Some(rows) = self.open.get_mut(&row.trace_id) else {
            return self.write(as_further(row), out);
        };
        let own = match row.status {
            Status::Late | Status::Replied => rows
                .iter_mut()
                .find(|own| own.probe_id == row.probe_id && own.reply_index == 0),
            _ => None,
        };
        match own {
            Some(own) if own.status == Status::Timeout => {
                row.reply_index = 0;
                self.promoted.insert(row.probe_id);
                *own = row;
            }
            Some(own) if own.evidence == Some(Evidence::Weak) && row.evidence > own.evidence => {
                own.reply_index = std::mem::replace(&mut row.reply_index, 0);
                own.status = Status::Duplicate;
                std::mem::swap(own, &mut row);
                rows.push(row);
            }
            _ => rows.push(as_further(row)),
        }
        if self.promoted.len() > PROMOTED_PROBES {
            self.promoted.pop_first();
        }
    }

    /// Takes that a probe whose time is up was not sent at all. Where its trace is no longer open, its `timeout` row stays.
    fn not_sent(&mut self, row: HopRecord) {
        let rows = self.open.get_mut(&row.trace_id);
        let own = rows.and_then(|rows| {
            rows.iter_mut()
                .find(|own| own.probe_id == row.probe_id && own.status == Status::Timeout)
        });
        if let Some(own) = own {
            *own = HopRecord {
                reply_index: 0,
                ..row
            };
        }
    }

    /// Takes the end of a trace: all its probes have ended.
    pub fn end(&mut self, end: &TraceEnd, out: &mut Assembled) {
        let trace_id = TraceId::new(end.target, end.flow, self.flows);
        let mut rows = self.open.remove(&trace_id).unwrap_or_default();
        rows.sort_by_key(|row| {
            let place = (row.attempt, row.reply_index, row.probe_id);
            (row.ttl.is_none(), row.ttl, place)
        });
        let record = trace_record(trace_id, end, &rows);
        self.ended += 1;
        self.reached += u64::from(record.reached);
        self.statistics.count_trace(&record);
        out.traces.push(record);
        for row in rows {
            self.write(row, out);
        }
    }

    /// What has been written so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Traces that ended, and how many of them reached their target.
    pub fn traces(&self) -> (u64, u64) {
        (self.ended, self.reached)
    }

    fn write(&mut self, row: HopRecord, out: &mut Assembled) {
        self.statistics.count(&row);
        out.hops.push(row);
    }
}

/// A row that keeps its place behind its probe's own: whatever it proves, the probe has been answered.
fn as_further(row: HopRecord) -> HopRecord {
    let status = match row.status {
        Status::Replied => Status::Duplicate,
        status => status,
    };
    HopRecord { status, ..row }
}

/// The trace's row, computed from its hops' rows (sorted by TTL and attempt, those without a TTL last).
fn trace_record(trace_id: TraceId, end: &TraceEnd, rows: &[HopRecord]) -> TraceRecord {
    let own = || rows.iter().filter(|row| row.reply_index == 0);
    // An inferred hop is copied from other traces: it is no finding of this one.
    let hops = || {
        own()
            .filter(|row| row.purpose != Purpose::Distance)
            .filter(|row| row.status != Status::Inferred)
    };
    let probed = || hops().filter(|row| row.status != Status::Skipped);
    let first_ttl = probed().filter_map(|row| row.ttl).min();
    let max_ttl = probed().filter_map(|row| row.ttl).max();
    let hop_rows = HopRows::of(rows, end);
    let on_path = |row: &&HopRecord| row.ttl.is_some() && row.ttl <= end.last_ttl;
    let mut path: BTreeMap<Ttl, Option<IpAddr>> = hops()
        .filter(on_path)
        .filter_map(|row| Some((row.ttl?, None)))
        .collect();
    // A router's complaint is the hop's answer only if the hop gave no other.
    for complaints in [false, true] {
        let answers = rows
            .iter()
            .filter(on_path)
            .filter(|row| row.reply.is_some() && hop_rows.is_hop(row));
        for row in answers.filter(|row| row.is_complaint() == complaints) {
            if let Some(responder) = row.ttl.and_then(|ttl| path.get_mut(&ttl)) {
                *responder = responder.or(row.responder());
            }
        }
    }
    // Also by an answer that may be to any of several probes, and by one behind a router's answer to the same probe.
    let reached = rows.iter().any(HopRecord::is_arrival);
    debug_assert!(end.stop_reason != StopReason::Completed || reached);
    TraceRecord {
        trace_id,
        target: end.target,
        destination: end.destination,
        flow: end.flow,
        started_at: end.started_at,
        finished_at: end.finished_at,
        first_ttl,
        max_ttl,
        stop_reason: end.stop_reason,
        reached,
        path_length: end.path_length,
        path_mtu: end.path_mtu,
        hops_responding: path.values().flatten().count() as u16,
        probes_sent: own().filter(|row| row.status.was_sent()).count() as u32,
        replies: own().filter(|row| row.status == Status::Replied).count() as u32,
        path_hash: (!path.is_empty()).then(|| path_hash(path)),
        anomalies: anomalies::find(rows, end),
    }
}

#[cfg(test)]
mod tests;

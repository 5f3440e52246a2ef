//! Collects the rows of each target and writes them together.
//!
//! The rows of a trace wait until the strategy ends the trace. They are then put in the order of their TTLs. The row of the
//! trace is computed from them, so it always agrees with them. Nothing changes it later.
//!
//! A target leaves when the traces of all its flows have ended. Its rows leave together, flow by flow. A dataset that ends
//! between two targets has all rows of the first target and no row of the second.
//!
//! A sweep has no traces, and its rows are written at once. The rows of a second pass are written at once as well, because their
//! traces have left. The row of a probe that the end of the run left unsent goes to the rows that a resumed run drops.
//!
//! A later row about the same probe is handled as follows:
//!
//! | later row | while the trace is open | after that, or in a sweep |
//! |---|---|---|
//! | a late reply after a `timeout` row | takes the place of the `timeout` row | an extra row |
//! | a stronger reply after a weak one | becomes the probe's own row; the weak one becomes an extra row | an extra row |
//! | a send error after a `timeout` row | takes the place of the `timeout` row | dropped |
//! | any other reply | an extra row | an extra row |
//!
//! A probe's own row must be added before its extra rows. A trace counts as open while rows of it wait and it has not ended. An
//! extra row of a trace that has ended goes behind the other rows of the trace if the target is still here, else it is written
//! by itself.
//!
//! The end of a trace also decides which of its rows stand for a TTL of its path ([`PathRows`]). A row that comes later
//! stands for none. In a run without traces, and in a trace of many flows, this is not decided.

use std::collections::{BTreeSet, HashMap};

use crate::model::{
    Evidence, HopRecord, ProbeId, Purpose, Statistics, Status, StopReason, TableRow, TargetId,
    TraceEnd, TraceId, TraceRecord, UnsentReason,
};
use crate::paths::path_rows::PathRows;
use crate::paths::{graph_record, trace_record};

/// Most probes that are remembered because a late reply took the place of their own row. If there are more, the oldest is
/// forgotten, and the numbers of its further replies have a gap.
const PROMOTED_PROBES: usize = 1 << 17;

/// The rows of targets.
#[derive(Debug, Default)]
pub struct TargetRows {
    /// Rows of `hops`. Those of one trace follow each other.
    pub hops: Vec<HopRecord>,
    /// Rows of `traces`.
    pub traces: Vec<TraceRecord>,
    /// Rows of the strategy's own tables.
    pub tables: Vec<TableRow>,
}

impl TargetRows {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty() && self.traces.is_empty() && self.tables.is_empty()
    }

    /// Moves all rows of `other` behind these.
    pub fn append(&mut self, other: &mut TargetRows) {
        self.hops.append(&mut other.hops);
        self.traces.append(&mut other.traces);
        self.tables.append(&mut other.tables);
    }
}

/// The output of the assembler.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The rows of targets whose traces all ended by themselves, and rows that belong to no open target.
    pub whole: TargetRows,
    /// The rows of targets with at least one trace that was interrupted, and of probes without a trace that the end of the run left
    /// unsent. A resumed run probes them again.
    pub cut_short: TargetRows,
}

impl Assembled {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.cut_short.is_empty()
    }

    /// Removes and returns all rows, for a sink that does not tell the two apart.
    pub fn take_all(&mut self) -> TargetRows {
        let mut rows = std::mem::take(&mut self.whole);
        rows.append(&mut self.cut_short);
        rows
    }
}

/// A target with rows that wait.
#[derive(Debug, Default)]
struct OpenTarget {
    /// In the order of their numbers.
    traces: Vec<OpenTrace>,
    /// How many of the traces have ended.
    ended: usize,
    tables: Vec<TableRow>,
}

#[derive(Debug)]
struct OpenTrace {
    id: TraceId,
    rows: Vec<HopRecord>,
    /// The row of the trace; `None` until it has ended.
    record: Option<Box<TraceRecord>>,
}

impl OpenTarget {
    /// The trace with this number, if it has rows or has ended.
    fn known(&mut self, id: TraceId) -> Option<&mut OpenTrace> {
        let at = self.traces.binary_search_by_key(&id, |trace| trace.id);
        self.traces.get_mut(at.ok()?)
    }

    /// The trace with this number. Adds it if it is new.
    fn trace(&mut self, id: TraceId) -> &mut OpenTrace {
        let at = self.traces.binary_search_by_key(&id, |trace| trace.id);
        let at = at.unwrap_or_else(|at| {
            let new = OpenTrace {
                id,
                rows: Vec::new(),
                record: None,
            };
            self.traces.insert(at, new);
            at
        });
        &mut self.traces[at]
    }
}

/// Collects rows until they can be written.
#[derive(Debug)]
pub struct Assembler {
    groups: bool,
    /// Whether a row can stand for a TTL of a path.
    has_paths: bool,
    /// Traces per target.
    traces: u16,
    open: HashMap<TargetId, OpenTarget>,
    /// Probes whose late reply took the place of their own row. The numbers of their further replies are one lower.
    promoted: BTreeSet<ProbeId>,
    statistics: Statistics,
    reached: u64,
    ended: u64,
}

impl Assembler {
    /// Creates an assembler. With `groups`, the strategy ends every trace of a target, and rows wait for the last of them. `traces` is
    /// the number of traces per target.
    pub fn new(groups: bool, traces: u16) -> Self {
        Assembler {
            groups,
            has_paths: groups,
            traces,
            open: HashMap::new(),
            promoted: BTreeSet::new(),
            statistics: Statistics::default(),
            reached: 0,
            ended: 0,
        }
    }

    /// The same for traces of many flows, which have no path.
    pub fn without_paths(self) -> Self {
        Assembler {
            has_paths: false,
            ..self
        }
    }

    /// Takes a row.
    pub fn row(&mut self, mut row: HopRecord, out: &mut Assembled) {
        let waits = self.groups && row.purpose != Purpose::SecondPass;
        if row.reply_index == 0 {
            match waits {
                true => self.own_row(row),
                // A resumed run sends this probe.
                false if row.reason == Some(UnsentReason::Interrupted) => {
                    self.write(row, &mut out.cut_short);
                }
                false => self.write(row, &mut out.whole),
            }
            return;
        }
        if row.status == Status::SendError {
            return self.not_sent(row);
        }
        let is_promoted = |probe: &ProbeId| self.promoted.contains(probe);
        row.reply_index -= u16::from(row.probe_id.as_ref().is_some_and(is_promoted));
        let trace = match waits {
            true => self.trace(&row),
            false => None,
        };
        let Some(trace) = trace else {
            return self.write(as_further(row), &mut out.whole);
        };
        let may_replace =
            trace.record.is_none() && matches!(row.status, Status::Late | Status::Replied);
        let mut rows = trace.rows.iter_mut();
        let own =
            rows.find(|own| may_replace && own.probe_id == row.probe_id && own.reply_index == 0);
        match own {
            Some(own) if own.status == Status::Timeout => {
                row.reply_index = 0;
                let probe = row.probe_id;
                *own = row;
                self.promoted.extend(probe);
            }
            Some(own) if own.evidence == Some(Evidence::Weak) && row.evidence > own.evidence => {
                own.reply_index = std::mem::replace(&mut row.reply_index, 0);
                own.status = Status::Duplicate;
                std::mem::swap(own, &mut row);
                trace.rows.push(row);
            }
            _ => trace.rows.push(as_further(row)),
        }
        if self.promoted.len() > PROMOTED_PROBES {
            self.promoted.pop_first();
        }
    }

    /// Takes the own row of a probe, or the row of an inferred hop.
    fn own_row(&mut self, row: HopRecord) {
        let target = row.trace_id.target(self.traces);
        let open = self.open.entry(target).or_default();
        open.trace(row.trace_id).rows.push(row);
    }

    /// The trace of a row, if rows of it wait.
    fn trace(&mut self, row: &HopRecord) -> Option<&mut OpenTrace> {
        let open = self.open.get_mut(&row.trace_id.target(self.traces))?;
        open.known(row.trace_id)
    }

    /// Takes the send error of a probe that timed out. It takes the place of the `timeout` row. If the trace is no longer open,
    /// the `timeout` row stays and the send error is dropped.
    fn not_sent(&mut self, row: HopRecord) {
        let trace = self.trace(&row).filter(|trace| trace.record.is_none());
        let own = trace.and_then(|trace| {
            let mut rows = trace.rows.iter_mut();
            rows.find(|own| own.probe_id == row.probe_id && own.status == Status::Timeout)
        });
        if let Some(own) = own {
            *own = HopRecord {
                reply_index: 0,
                ..row
            };
        }
    }

    /// Takes a row of one of the strategy's own tables. It waits for its target, if rows of the target wait.
    pub fn table(&mut self, row: TableRow, out: &mut Assembled) {
        match self.open.get_mut(&row.target) {
            Some(open) => open.tables.push(row),
            None => out.whole.tables.push(row),
        }
    }

    /// Ends a trace. All its probes must have ended. If it is the last of its target, writes the target.
    pub fn end(&mut self, end: &TraceEnd, out: &mut Assembled) {
        let trace_id = TraceId::new(end.target, end.flow, self.traces);
        let open = self.open.entry(end.target).or_default();
        let trace = open.trace(trace_id);
        let rows = &mut trace.rows;
        rows.sort_by_key(|row| {
            let probe = (row.probe_id.is_none(), row.probe_id);
            let place = (row.attempt, row.reply_index, probe);
            (row.ttl.is_none(), row.ttl, place)
        });
        let record = match end.graph {
            Some(anomalies) => graph_record(trace_id, end, rows, anomalies),
            None => {
                let path = PathRows::of(rows, end);
                for place in path.rows() {
                    rows[place].on_path = Some(true);
                }
                trace_record(trace_id, end, rows, &path)
            }
        };
        let is_first = trace.record.replace(Box::new(record)).is_none();
        open.ended += usize::from(is_first);
        if open.ended >= usize::from(self.traces.max(1)) {
            self.leave(end.target, out);
        }
    }

    /// Writes a target whose traces have all ended.
    fn leave(&mut self, target: TargetId, out: &mut Assembled) {
        let Some(mut open) = self.open.remove(&target) else {
            return;
        };
        let mut ends = { open.traces.iter() }.filter_map(|trace| trace.record.as_ref());
        let out = match ends.any(|record| record.stop_reason == StopReason::Interrupted) {
            true => &mut out.cut_short,
            false => &mut out.whole,
        };
        out.tables.append(&mut open.tables);
        for OpenTrace { rows, record, .. } in open.traces {
            if let Some(record) = record {
                self.ended += 1;
                self.reached += u64::from(record.reached);
                self.statistics.count_trace(&record);
                out.traces.push(*record);
            }
            for row in rows {
                self.write(row, out);
            }
        }
    }

    /// The statistics of the rows written so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The number of traces written, and the number of those that reached their target.
    pub fn traces(&self) -> (u64, u64) {
        (self.ended, self.reached)
    }

    fn write(&mut self, mut row: HopRecord, out: &mut TargetRows) {
        row.on_path = self.has_paths.then_some(row.on_path == Some(true));
        self.statistics.count(&row);
        out.hops.push(row);
    }
}

/// Returns the row as an extra row of an answered probe: the status `Replied` becomes `Duplicate`.
fn as_further(row: HopRecord) -> HopRecord {
    let status = match row.status {
        Status::Replied => Status::Duplicate,
        status => status,
    };
    HopRecord { status, ..row }
}

#[cfg(test)]
mod tests;

//! The traces of a sweep.
//!
//! A sweep writes no traces, because it forgets what it has probed. When its parts are merged, all rows of a trace come together. So the
//! compaction writes the row of each (target, flow), and sets `on_path` in its hops. [`crate::paths::sweep`] has the rules.
//!
//! Memory: the rows of one trace, and the batches that hold them.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::error::ArrowError;

use super::cuts::Cuts;
use super::job::{Job, NewTable};
use super::merge::Merge;
use super::parts::PartWriter;
use super::{CompactError, Options, decode};
use crate::dataset::directory::RunFolder;
use crate::dataset::manifest::Manifest;
use crate::dataset::read::{self, Part, ReadError, Run};
use crate::dataset::table::{self, Order, TableSchema};
use crate::dataset::{Counted, RunMeta, files, tables};
use crate::model::{HopRecord, Protocol, Purpose, Targets, Time, TraceRecord, Ttl, Vary};
use crate::paths::sweep::{Swept, swept_trace};

/// The method of a sweep in manifests.
const METHOD: &str = "sweep";
/// Records that are encoded together.
const RECORDS: usize = 1024;

/// The facts of a sweep that are not in its rows.
#[derive(Clone)]
pub struct SweepFacts {
    /// The stored targets of the run.
    pub targets: Arc<dyn Targets>,
    /// The number of flows per target.
    pub flows: u16,
    /// The lowest TTL.
    pub first_ttl: Ttl,
    /// The highest TTL.
    pub max_ttl: Ttl,
}

type Read = dyn Fn(&Manifest, File) -> Result<SweepFacts, String> + Send + Sync;

/// Reads the facts of a sweep from its manifest and the file of its stored targets. The error says why that is not possible, and what to do.
#[derive(Clone)]
pub struct SweepReader(Arc<Read>);

impl SweepReader {
    /// A reader that calls `read`.
    pub fn new(
        read: impl Fn(&Manifest, File) -> Result<SweepFacts, String> + Send + Sync + 'static,
    ) -> Self {
        SweepReader(Arc::new(read))
    }
}

impl fmt::Debug for SweepReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SweepReader")
    }
}

/// The facts of a run that is a sweep without traces, or why they cannot be read. `None` for any other run, and if the caller does not ask
/// for the traces of sweeps.
pub(super) fn without_traces(
    run: &Run,
    folder: &RunFolder,
    options: &Options,
) -> Option<Result<(SweepFacts, RunMeta), String>> {
    let reader = options.sweeps.as_ref()?;
    let rows = |table| {
        run.parts(table)
            .iter()
            .map(|part| part.listed().rows)
            .sum::<u64>()
    };
    let manifest = run.manifest();
    let is_swept = manifest.method == METHOD && rows("hops") > 0;
    if !is_swept || manifest.tables.get("traces").is_none() || rows("traces") > 0 {
        return None;
    }
    Some(read_facts(manifest, folder, reader))
}

fn read_facts(
    manifest: &Manifest,
    folder: &RunFolder,
    reader: &SweepReader,
) -> Result<(SweepFacts, RunMeta), String> {
    let protocol: Protocol = manifest.protocol.parse().map_err(|_| {
        format!(
            "this program does not know the protocol {}",
            manifest.protocol
        )
    })?;
    let path = folder.targets();
    let (file, _) = files::open_regular(&path)
        .map_err(|error| format!("cannot open its targets {}: {error}", path.display()))?;
    let facts = (reader.0)(manifest, file)
        .map_err(|why| format!("cannot use its targets {}: {why}", path.display()))?;
    Ok((facts, meta(manifest, protocol)))
}

/// The facts that all traces of the run share. Ports and sizes are those of each trace.
fn meta(manifest: &Manifest, protocol: Protocol) -> RunMeta {
    RunMeta {
        run_id: manifest.run_id.clone(),
        survey_id: manifest.survey_id.clone(),
        shard: manifest.shard,
        cycle: manifest.cycle,
        vantage: manifest.vantage.clone(),
        seed: manifest.seed,
        started_at: manifest.started_at.unwrap_or_default(),
        date: manifest.date,
        method: manifest.method.clone(),
        protocol,
        base_src_port: None,
        vary: vary(manifest),
        dst_port: None,
        attempts: 1,
        gap_limit: None,
        probe_sizes: [None; 2],
        config: serde_json::Value::Null,
    }
}

/// The field in which the flows of a run differ. Older runs do not say it.
fn vary(manifest: &Manifest) -> Vary {
    let named = manifest.config.get("vary").and_then(|name| name.as_str());
    named.and_then(|name| name.parse().ok()).unwrap_or_default()
}

/// The new parts of `hops` and `traces`, and the counts of the traces.
pub(super) struct SweptTables {
    pub hops: NewTable,
    pub traces: NewTable,
    pub counted: Counted,
}

/// Merges the parts of `hops`, and writes the traces.
pub(super) fn merge(
    job: &Job<'_>,
    (facts, meta): &(SweepFacts, RunMeta),
    parts: &[Part],
    part_rows: u64,
) -> Result<SweptTables, CompactError> {
    let [hops, traces] = [tables::hops().schema(), trace_table().schema()];
    let mut swept = SweptRows {
        job,
        facts,
        started_at: meta.started_at,
        columns: columns(hops).map_err(|source| job.cannot_merge(hops, source))?,
        on_path: hops
            .arrow()
            .index_of("on_path")
            .map_err(|source| job.cannot_merge(hops, source))?,
        waiting: VecDeque::new(),
        decided: Vec::new(),
        open: Vec::new(),
        records: Records {
            run: table::Run {
                meta: meta.clone(),
                targets: Arc::clone(&facts.targets),
            },
            rows: trace_table().buffer(),
            ready: Vec::new(),
            counted: Counted::default(),
        },
        hops: PartWriter::new(
            job,
            hops,
            Cuts::Traces {
                rows: part_rows,
                starts: Vec::new(),
            },
        ),
        traces: PartWriter::new(job, traces, Cuts::Before(VecDeque::new())),
        cuts: 0,
    };
    let mut merge = Merge::open(job, hops, parts)?;
    while let Some(batch) = merge.next_batch()? {
        job.merged(batch.num_rows());
        swept.add(batch)?;
    }
    swept.end_trace()?;
    swept.pass_on(true)?;
    let (hop_parts, _) = swept.hops.finish()?;
    let (trace_parts, _) = swept.traces.finish()?;
    Ok(SweptTables {
        hops: NewTable {
            name: hops.name,
            parts: hop_parts,
        },
        traces: NewTable {
            name: traces.name,
            parts: trace_parts,
        },
        counted: swept.records.counted,
    })
}

fn trace_table() -> &'static table::AnyTable {
    tables::traces()
}

/// The places of the columns that are decoded.
fn columns(hops: &TableSchema) -> Result<Vec<usize>, ArrowError> {
    let names = decode::COLUMNS.iter().chain(&decode::FURTHER);
    names.map(|name| hops.arrow().index_of(name)).collect()
}

/// Rows of `hops` on their way from the merge to the new parts.
struct SweptRows<'j> {
    job: &'j Job<'j>,
    facts: &'j SweepFacts,
    started_at: Time,
    columns: Vec<usize>,
    /// The place of the column `on_path`.
    on_path: usize,
    /// Rows that are not written yet.
    waiting: VecDeque<RecordBatch>,
    /// `on_path` of the first rows that wait. Their traces have ended.
    decided: Vec<bool>,
    /// The rows of the trace that may go on.
    open: Vec<HopRecord>,
    records: Records,
    hops: PartWriter<'j>,
    traces: PartWriter<'j>,
    /// How many cuts of `hops` `traces` knows.
    cuts: usize,
}

impl SweptRows<'_> {
    /// Adds rows in the order of the table, and writes those whose traces have ended.
    fn add(&mut self, batch: RecordBatch) -> Result<(), CompactError> {
        let hops = tables::hops().schema();
        let read = batch.project(&self.columns);
        let read = read.map_err(|source| self.job.cannot_merge(hops, source))?;
        for row in read::Rows::new(read).iter() {
            let hop = decode::hop(&row).map_err(ReadError::from)?;
            if self
                .open
                .first()
                .is_some_and(|first| first.trace_id != hop.trace_id)
            {
                self.end_trace()?;
            }
            self.open.push(hop);
        }
        self.waiting.push_back(batch);
        self.pass_on(false)
    }

    fn end_trace(&mut self) -> Result<(), CompactError> {
        let rows = std::mem::take(&mut self.open);
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let target = first.trace_id.target(self.facts.flows);
        let targets = &self.facts.targets;
        if target.0 >= targets.len() || targets.address(target) != first.destination {
            return Err(CompactError::OtherTargets {
                run_id: self.job.run.id().to_owned(),
                trace_id: first.trace_id.0,
                destination: first.destination,
            });
        }
        let swept = Swept {
            trace_id: first.trace_id,
            target,
            flow: first.flow,
            destination: first.destination,
            first_ttl: self.facts.first_ttl,
            max_ttl: self.facts.max_ttl,
            run_started_at: self.started_at,
        };
        let settings = Settings::of(&rows, self.records.run.meta.vary);
        let trace = swept_trace(&swept, rows);
        self.decided.extend(trace.on_path);
        let pushed = self.records.push(trace.record, settings);
        pushed.map_err(|source| self.job.cannot_merge(trace_table().schema(), source))
    }

    /// Writes the rows whose traces have ended, then their traces.
    fn pass_on(&mut self, all: bool) -> Result<(), CompactError> {
        let mut decided = std::mem::take(&mut self.decided);
        let mut start = 0;
        while start < decided.len()
            && let Some(batch) = self.waiting.pop_front()
        {
            let rows = batch.num_rows().min(decided.len() - start);
            let flags = decided[start..start + rows].to_vec();
            self.write_hops(&batch.slice(0, rows), flags)?;
            if rows < batch.num_rows() {
                self.waiting
                    .push_front(batch.slice(rows, batch.num_rows() - rows));
            }
            start += rows;
        }
        decided.drain(..start);
        self.decided = decided;
        let starts = self.hops.starts();
        self.traces.cut_before(&starts[self.cuts..]);
        self.cuts = starts.len();
        let ready = self.records.ready(all);
        let ready =
            ready.map_err(|source| self.job.cannot_merge(trace_table().schema(), source))?;
        for batch in ready {
            self.traces.write(&batch)?;
        }
        Ok(())
    }

    fn write_hops(&mut self, rows: &RecordBatch, on_path: Vec<bool>) -> Result<(), CompactError> {
        let mut columns = rows.columns().to_vec();
        columns[self.on_path] = Arc::new(BooleanArray::from(on_path)) as ArrayRef;
        let rows = RecordBatch::try_new(rows.schema(), columns);
        let hops = tables::hops().schema();
        self.hops
            .write(&rows.map_err(|source| self.job.cannot_merge(hops, source))?)
    }
}

/// The columns of a trace that follow from the headers of its probes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Settings {
    ipv6: bool,
    base_src_port: Option<u16>,
    /// That of flow 0. `None` if it differs between the probes of a flow.
    dst_port: Option<u16>,
    /// `None` if it differs between probes.
    probe_size: Option<u16>,
}

impl Settings {
    fn of(rows: &[HopRecord], vary: Vary) -> Self {
        let own = || {
            let own = rows.iter().filter(|row| row.reply_index == 0);
            own.filter(|row| row.purpose != Purpose::SecondPass)
        };
        let before = |row: &HopRecord, port: u16, varied| match vary == varied {
            true => port.wrapping_sub(row.flow.0),
            false => port,
        };
        let base = own().find_map(|row| Some(before(row, row.src_port?, Vary::SourcePort)));
        let to = own().map(|row| Some(before(row, row.dst_port?, Vary::DestPort)));
        Settings {
            ipv6: rows.first().is_some_and(|row| row.destination.is_ipv6()),
            base_src_port: base,
            dst_port: same(to).flatten(),
            probe_size: same(own().map(|row| row.probe_size)),
        }
    }
}

/// The value that all have. `None` if they differ, or if there is no value.
fn same<V: PartialEq>(mut values: impl Iterator<Item = V>) -> Option<V> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Rows of `traces` until they are written.
struct Records {
    /// The facts of the traces in `rows`.
    run: table::Run,
    rows: Box<dyn table::Rows>,
    /// Encoded rows.
    ready: Vec<RecordBatch>,
    counted: Counted,
}

impl Records {
    fn push(&mut self, record: TraceRecord, settings: Settings) -> Result<(), ArrowError> {
        let family = usize::from(settings.ipv6);
        let meta = &self.run.meta;
        let known = (meta.base_src_port, meta.dst_port, meta.probe_sizes[family]);
        let here = (
            settings.base_src_port,
            settings.dst_port,
            settings.probe_size,
        );
        if known != here {
            self.encode()?;
            let meta = &mut self.run.meta;
            (meta.base_src_port, meta.dst_port, meta.probe_sizes[family]) = here;
        }
        self.rows
            .push_any(Box::new(record))
            .map_err(|_| ArrowError::SchemaError("another table".to_owned()))
    }

    /// The rows to write now: all, or those of full batches.
    fn ready(&mut self, all: bool) -> Result<Vec<RecordBatch>, ArrowError> {
        if all || self.rows.len() >= RECORDS {
            self.encode()?;
        }
        Ok(std::mem::take(&mut self.ready))
    }

    fn encode(&mut self) -> Result<(), ArrowError> {
        let rows = self.rows.take();
        self.counted.add(rows.counts());
        for batch in rows.batches(&self.run, Order::Arrival) {
            self.ready.push(batch?);
        }
        Ok(())
    }
}

//! Traces with their hops, one after the other.
//!
//! A part of `traces` is sealed together with a part of `hops` that holds the same traces, usually all of their rows. Both are sorted by
//! `trace_id`, so they are merged batch by batch. Hops in another part (late replies, traces cut by a sealing) are strays. A first pass
//! over the columns `trace_id` finds and loads them: see [`super::strays`].
//!
//! Held open at once: a part of `traces`, and its own parts of `hops`, with a stream for each of their row groups. The writer seals one part of
//! hops with each part of traces. If a dataset has many parts of hops for one part of traces, files and memory grow with that number.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::datatypes::Schema;

use super::group::{GroupRows, OpenPart};
use super::hops::{Joiner, ORDER, Slice, TRACE_ID, trace_ids, with_columns};
use super::row::{Row, RowError, Rows};
use super::scan::{Plan, Scan, rows_of, table_schema};
use super::strays::{Strays, find_strays};
use super::{Dataset, ReadError, Run};

/// The memory that rows of hops in other parts than their trace may take.
pub const STRAY_BUDGET: usize = 256 << 20;

/// A trace with its hops.
#[derive(Clone, Debug)]
pub struct Trace<'d> {
    run: &'d Run,
    row: Rows,
    hops: Rows,
}

impl<'d> Trace<'d> {
    pub(super) fn new(run: &'d Run, row: Rows, hops: Rows) -> Self {
        Trace { run, row, hops }
    }

    /// The run that wrote it.
    pub fn run(&self) -> &'d Run {
        self.run
    }

    /// The number of the trace within its run: `trace_id`.
    pub fn id(&self) -> i64 {
        let id = self.row().int(TRACE_ID).ok().flatten();
        id.expect("a trace is found by its id")
    }

    /// The destination.
    ///
    /// # Errors
    /// [`RowError::NoColumn`] if the column `destination` was not read, [`RowError::BadValue`] if it is not an address.
    pub fn destination(&self) -> Result<Option<IpAddr>, RowError> {
        self.row().address("destination")
    }

    /// The row of `traces`.
    pub fn row(&self) -> Row<'_> {
        self.row.get(0).expect("a trace is made of its row")
    }

    /// The rows of `hops` by (ttl, round, attempt, reply_index, probe_id), nulls last: rows without a TTL, and in an attempt the inferred row.
    pub fn hops(&self) -> &Rows {
        &self.hops
    }
}

/// What to read of traces and hops. All columns, unless some are chosen.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `iter`"]
pub struct TraceScan<'d> {
    dataset: &'d Dataset,
    trace_columns: Option<Vec<String>>,
    hop_columns: Option<Vec<String>>,
    stray_budget: usize,
}

impl<'d> TraceScan<'d> {
    pub(super) fn new(dataset: &'d Dataset) -> Self {
        TraceScan {
            dataset,
            trace_columns: None,
            hop_columns: None,
            stray_budget: STRAY_BUDGET,
        }
    }

    /// Reads these columns of `traces`, and `trace_id`.
    pub fn trace_columns(mut self, names: &[&str]) -> Self {
        self.trace_columns = Some(with_columns(names, &[TRACE_ID]));
        self
    }

    /// Reads these columns of `hops`, and those that join and order the rows: `trace_id`, `ttl`, `round`, `attempt`, `reply_index`,
    /// `probe_id`.
    pub fn hop_columns(mut self, names: &[&str]) -> Self {
        let mut needed = vec![TRACE_ID];
        needed.extend(ORDER);
        self.hop_columns = Some(with_columns(names, &needed));
        self
    }

    /// The traces of the chosen runs, by their manifests.
    pub fn rows(&self) -> u64 {
        rows_of(self.dataset, "traces")
    }

    /// Limits the memory for hops in other parts than their trace, in bytes. The default is [`STRAY_BUDGET`].
    pub fn stray_budget(mut self, bytes: usize) -> Self {
        self.stray_budget = bytes;
        self
    }

    /// The traces by run, by part, and within a part by `trace_id`. Hops without a row in `traces` are left out, such as those of a sweep.
    ///
    /// Memory: a batch and its pages for each row group of the parts that were sealed together, and the strays of one run.
    ///
    /// # Errors
    /// [`ReadError::NoColumn`], [`ReadError::TypesDisagree`], and errors of the files. Further errors come from the iterator, which ends with
    /// the first one; among them [`ReadError::StrayHops`] and [`ReadError::NotSorted`].
    pub fn iter(&self) -> Result<Traces<'d>, ReadError> {
        let runs: Vec<&Run> = self.dataset.runs().iter().collect();
        Ok(Traces {
            schemas: Schemas {
                traces: table_schema(self.dataset, &runs, "traces")?,
                hops: table_schema(self.dataset, &runs, "hops")?,
            },
            scan: self.clone(),
            runs: runs.into_iter(),
            run: None,
        })
    }

    pub(super) fn scan(&self, table: &str) -> Scan<'d> {
        let columns = match table {
            "hops" => &self.hop_columns,
            _ => &self.trace_columns,
        };
        let scan = self.dataset.scan(table);
        match columns {
            Some(names) => scan.columns(&names.iter().map(String::as_str).collect::<Vec<_>>()),
            None => scan,
        }
    }

    pub(super) fn budget(&self) -> usize {
        self.stray_budget
    }
}

/// The columns of both tables.
pub(super) struct Schemas {
    pub traces: Schema,
    pub hops: Schema,
}

/// Iterator over traces: see [`TraceScan::iter`].
pub struct Traces<'d> {
    schemas: Schemas,
    scan: TraceScan<'d>,
    runs: std::vec::IntoIter<&'d Run>,
    run: Option<RunTraces<'d>>,
}

impl<'d> Traces<'d> {
    fn advance(&mut self) -> Result<Option<Trace<'d>>, ReadError> {
        loop {
            if let Some(run) = &mut self.run {
                if let Some(trace) = run.advance()? {
                    return Ok(Some(trace));
                }
                self.run = None;
            }
            let Some(run) = self.runs.next() else {
                return Ok(None);
            };
            // A sweep has an empty part of traces. Its hops need not be looked at.
            if run
                .parts("traces")
                .iter()
                .any(|part| part.listed().rows > 0)
            {
                self.run = Some(RunTraces::new(&self.scan, &self.schemas, run)?);
            }
        }
    }
}

impl<'d> Iterator for Traces<'d> {
    type Item = Result<Trace<'d>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.runs = Vec::new().into_iter();
            self.run = None;
        }
        next.transpose()
    }
}

/// The traces of one run.
struct RunTraces<'d> {
    run: &'d Run,
    traces: Plan<'d>,
    hops: Plan<'d>,
    joiner: Joiner,
    strays: Strays,
    next_part: usize,
    part: Option<SealedTogether>,
}

/// Sorted streams of rows of a part of traces, and of the parts of hops with the same traces.
struct SealedTogether {
    traces: Vec<Sorted>,
    hops: Vec<Sorted>,
}

impl<'d> RunTraces<'d> {
    fn new(scan: &TraceScan<'d>, schemas: &Schemas, run: &'d Run) -> Result<Self, ReadError> {
        let plan = |table: &str, schema: &Schema| {
            let parts = run.parts(table).iter().map(|part| (run, part));
            scan.scan(table).plan_over(schema, parts.collect())
        };
        let hops = plan("hops", &schemas.hops)?;
        Ok(RunTraces {
            run,
            joiner: Joiner::new(&hops.schema)?,
            strays: find_strays(scan, schemas, run)?,
            traces: plan("traces", &schemas.traces)?,
            hops,
            next_part: 0,
            part: None,
        })
    }

    fn advance(&mut self) -> Result<Option<Trace<'d>>, ReadError> {
        loop {
            if self.part.is_none() {
                if self.next_part == self.traces.parts.len() {
                    return Ok(None);
                }
                self.part = Some(self.open(self.next_part)?);
                self.next_part += 1;
            }
            let Some(part) = &mut self.part else {
                continue;
            };
            let Some((row, id)) = part.next_trace()? else {
                self.part = None;
                continue;
            };
            let mut slices = Vec::new();
            for stream in &mut part.hops {
                stream.take(id, &mut slices)?;
            }
            slices.extend(self.strays.take(id));
            let hops = self.joiner.join(slices)?;
            return Ok(Some(Trace::new(self.run, row, hops)));
        }
    }

    /// Opens the parts sealed together with the part of traces `at`.
    fn open(&self, at: usize) -> Result<SealedTogether, ReadError> {
        let mut hops = Vec::new();
        for own in self.strays.own_hops(at) {
            hops.extend(Sorted::all(&self.hops, own)?);
        }
        Ok(SealedTogether {
            traces: Sorted::all(&self.traces, at)?,
            hops,
        })
    }
}

impl SealedTogether {
    /// The next row of traces, with its id.
    fn next_trace(&mut self) -> Result<Option<(Rows, i64)>, ReadError> {
        let mut least: Option<(i64, usize)> = None;
        for (at, stream) in self.traces.iter_mut().enumerate() {
            if let Some(id) = stream.peek()?
                && least.is_none_or(|(known, _)| id < known)
            {
                least = Some((id, at));
            }
        }
        let Some((id, at)) = least else {
            return Ok(None);
        };
        let row = self.traces[at].pop();
        Ok(row.map(|(batch, range)| (Rows::within(&batch, range), id)))
    }
}

/// The rows of a row group, in the order of `trace_id`.
struct Sorted {
    part: Arc<OpenPart>,
    rows: GroupRows,
    batch: Option<(Arc<RecordBatch>, Int64Array)>,
    at: usize,
    last: i64,
}

impl Sorted {
    /// A stream for every row group of a part.
    fn all(plan: &Plan, part: usize) -> Result<Vec<Sorted>, ReadError> {
        let part = Arc::new(plan.open(plan.parts[part].1)?);
        let groups = 0..part.groups();
        let streams = groups.filter_map(|group| {
            let rows = part.group(group, None).transpose()?;
            Some(rows.map(|rows| Sorted {
                part: Arc::clone(&part),
                rows,
                batch: None,
                at: 0,
                last: i64::MIN,
            }))
        });
        streams.collect()
    }

    /// The id of the next row.
    fn peek(&mut self) -> Result<Option<i64>, ReadError> {
        loop {
            if let Some((_, ids)) = &self.batch
                && self.at < ids.len()
            {
                return Ok(Some(ids.value(self.at)));
            }
            self.at = 0;
            let Some(batch) = self.rows.next_batch(&self.part)? else {
                self.batch = None;
                return Ok(None);
            };
            let ids = trace_ids(&batch)?.clone();
            let values = ids.values();
            let (Some(first), Some(last)) = (values.first(), values.last()) else {
                continue;
            };
            if ids.null_count() > 0 || *first < self.last || !values.is_sorted() {
                return Err(ReadError::NotSorted(self.part.file().path().to_owned()));
            }
            self.last = *last;
            self.batch = Some((Arc::new(batch), ids));
        }
    }

    /// Takes the row that [`peek`](Sorted::peek) found.
    fn pop(&mut self) -> Option<Slice> {
        let (batch, _) = self.batch.as_ref()?;
        self.at += 1;
        Some((Arc::clone(batch), self.at - 1..self.at))
    }

    /// Takes the rows of a trace, and skips those of traces before it.
    fn take(&mut self, id: i64, into: &mut Vec<Slice>) -> Result<(), ReadError> {
        while let Some(next) = self.peek()?
            && next <= id
        {
            let Some((batch, ids)) = &self.batch else {
                return Ok(());
            };
            let rest = &ids.values()[self.at..];
            let start = self.at + rest.partition_point(|value| *value < id);
            let end = self.at + rest.partition_point(|value| *value <= id);
            if start < end {
                into.push((Arc::clone(batch), start..end));
            }
            self.at = end;
        }
        Ok(())
    }
}

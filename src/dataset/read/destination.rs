//! The traces of one destination.

use std::collections::HashMap;
use std::net::IpAddr;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use rayon::prelude::*;

use super::filter::Filter;
use super::hops::{Joiner, Slice, TRACE_ID, trace_ids};
use super::row::Rows;
use super::scan::{Plan, Scan, table_schema};
use super::strays::by_trace;
use super::traces::Trace;
use super::{Dataset, Part, ReadError, Run, lookup, prune};
use crate::dataset::table::push_address;

/// The column that is looked up.
const DESTINATION: &str = "destination";

/// Columns are decoded in this many shares, so that two to four cores have something to do when one part has the rows.
const SHARES: usize = 4;

/// The traces to `destination` in all runs, each with its hops from all parts of its run.
pub(super) fn traces_to(
    dataset: &Dataset,
    destination: IpAddr,
) -> Result<Vec<Trace<'_>>, ReadError> {
    let runs: Vec<&Run> = dataset.runs().iter().collect();
    let mut text = String::new();
    push_address(&mut text, destination);
    let found = rows_of_traces(dataset, &runs, &text)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut wanted: HashMap<&str, Vec<i64>> = HashMap::new();
    for (run, rows) in &found {
        let ids = trace_ids(rows)?.values();
        wanted.entry(run.id()).or_default().extend(ids);
    }
    let (joiner, mut hops) = rows_of_hops(dataset, &runs, &wanted)?;
    let mut traces = Vec::new();
    for (run, rows) in found {
        let of_run = hops.get_mut(run.id());
        let mut of_run = of_run.map(std::mem::take).unwrap_or_default();
        let ids = trace_ids(&rows)?.clone();
        for (row, id) in Rows::new(rows).split().zip(ids.values()) {
            let slices = of_run.remove(id).unwrap_or_default();
            traces.push(Trace::new(run, row, joiner.join(slices)?));
        }
        hops.insert(run.id(), of_run);
    }
    Ok(traces)
}

/// The rows of `traces` to a destination, with their run.
fn rows_of_traces<'d>(
    dataset: &'d Dataset,
    runs: &[&'d Run],
    destination: &str,
) -> Result<Vec<(&'d Run, RecordBatch)>, ReadError> {
    let schema = table_schema(dataset, runs, "traces")?;
    let scan = dataset.scan("traces");
    let to = scan
        .clone()
        .filter(Filter::equals(DESTINATION, destination));
    let to = to.columns(&[TRACE_ID]).plan_over(&schema, Vec::new())?;
    let parts = parts_of(runs, "traces");
    let found = parts.into_par_iter().map(|(run, part)| {
        let mut ids: Vec<i64> = Vec::new();
        if is_in_traces(&to, part, destination)? {
            for batch in read(&to, part)? {
                ids.extend(trace_ids(&batch)?.values());
            }
        }
        if ids.is_empty() {
            return Ok(None);
        }
        // The rows are sorted by this column, so few of its pages are decoded.
        let scan = scan.clone().filter(Filter::any_of(TRACE_ID, ids));
        let rows = Whole::new(scan, &schema)?.read(part)?;
        Ok(rows.map(|rows| (run, rows)))
    });
    let found = found.collect::<Result<Vec<_>, ReadError>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Whether a part of `traces` may have rows to a destination.
fn is_in_traces(plan: &Plan, part: &Part, destination: &str) -> Result<bool, ReadError> {
    let file = plan.open_footer(part)?;
    let Some(filter) = &plan.filter else {
        return Ok(true);
    };
    for group in 0..file.metadata().num_row_groups() {
        if prune::group_may_match(&file, group, filter)?
            && (prune::has_bloom(&file, group, DESTINATION)
                || lookup::may_hold(&file, group, DESTINATION, destination)?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

type HopsOfRuns<'d> = HashMap<&'d str, HashMap<i64, Vec<Slice>>>;

/// The rows of `hops` of the wanted traces of each run, from all parts: a late reply may be in any of them.
fn rows_of_hops<'d>(
    dataset: &'d Dataset,
    runs: &[&'d Run],
    wanted: &HashMap<&str, Vec<i64>>,
) -> Result<(Joiner, HopsOfRuns<'d>), ReadError> {
    let schema = table_schema(dataset, runs, "hops")?;
    let with_traces = runs.iter().copied();
    let with_traces: Vec<&Run> = with_traces
        .filter(|run| wanted.contains_key(run.id()))
        .collect();
    let mut scans: HashMap<&str, Whole> = HashMap::new();
    for (run, ids) in wanted {
        let filter = Filter::any_of(TRACE_ID, ids.iter().copied());
        let scan = dataset.scan("hops").filter(filter);
        scans.insert(run, Whole::new(scan, &schema)?);
    }
    let parts = parts_of(&with_traces, "hops");
    let found = parts.into_par_iter().map(|(run, part)| {
        let whole = &scans[run.id()];
        // Most parts have no row of the traces. One column shows that.
        let rows = match read(&whole.plan, part)?.is_empty() {
            true => None,
            false => whole.read(part)?,
        };
        Ok((run, rows))
    });
    let mut hops = HopsOfRuns::new();
    for (run, rows) in found.collect::<Result<Vec<_>, ReadError>>()? {
        let of_run = hops.entry(run.id()).or_default();
        rows.map_or(Ok(()), |rows| by_trace(rows, of_run))?;
    }
    let columns = dataset.scan("hops").plan_over(&schema, Vec::new())?.schema;
    Ok((Joiner::new(&columns)?, hops))
}

fn parts_of<'d>(runs: &[&'d Run], table: &str) -> Vec<(&'d Run, &'d Part)> {
    let parts = runs
        .iter()
        .flat_map(|run| run.parts(table).iter().map(|part| (*run, part)));
    parts.collect()
}

/// Reads all columns of a scan, in parallel.
struct Whole<'d> {
    /// Reads `trace_id` alone.
    plan: Plan<'d>,
    /// Each reads some of the columns.
    shares: Vec<Plan<'d>>,
    schema: SchemaRef,
}

impl<'d> Whole<'d> {
    fn new(scan: Scan<'d>, schema: &Schema) -> Result<Self, ReadError> {
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let share = names.len().div_ceil(SHARES).max(1);
        let plan_of = |names: &[&str]| scan.clone().columns(names).plan_over(schema, Vec::new());
        Ok(Whole {
            plan: plan_of(&[TRACE_ID])?,
            shares: names.chunks(share).map(plan_of).collect::<Result<_, _>>()?,
            schema: SchemaRef::new(schema.clone()),
        })
    }

    /// The rows of a part. `None` if there are none.
    fn read(&self, part: &Part) -> Result<Option<RecordBatch>, ReadError> {
        let shares = self.shares.par_iter().map(|plan| {
            let joined = concat_batches(&plan.schema, &read(plan, part)?);
            joined.map_err(|error| ReadError::damaged(part.path(), error))
        });
        let shares = shares.collect::<Result<Vec<RecordBatch>, _>>()?;
        let columns = shares.iter().flat_map(RecordBatch::columns).cloned();
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns.collect());
        let rows = rows.map_err(|error| ReadError::damaged(part.path(), error))?;
        Ok((rows.num_rows() > 0).then_some(rows))
    }
}

/// The rows of a part.
fn read(plan: &Plan, part: &Part) -> Result<Vec<RecordBatch>, ReadError> {
    let open = plan.open(part)?;
    let mut found = Vec::new();
    for group in 0..open.groups() {
        if let Some(mut rows) = open.group(group, plan.filter.as_ref())? {
            while let Some(batch) = rows.next_batch(&open)? {
                found.push(batch);
            }
        }
    }
    found.retain(|batch| batch.num_rows() > 0);
    Ok(found)
}

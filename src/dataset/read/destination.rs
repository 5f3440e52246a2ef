//! The traces of one destination.

use std::collections::HashMap;
use std::net::IpAddr;

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::file::{Pages, PartFile};
use super::filter::Filter;
use super::hops::{Joiner, Slice, TRACE_ID, trace_ids};
use super::row::Rows;
use super::scan::{Plan, table_schema};
use super::strays::by_trace;
use super::traces::Trace;
use super::{Dataset, Part, ReadError, Run, lookup};
use crate::dataset::table::push_address;

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
    let filtered = scan.filter(Filter::equals("destination", destination));
    let plan = filtered.plan_over(&schema, Vec::new())?;
    let parts = parts_of(runs, "traces");
    let found = parts.into_par_iter().map(|(run, part)| {
        let mut found = Vec::new();
        if in_a_dictionary(part, destination)? {
            found.extend(read(&plan, part)?.into_iter().map(|rows| (run, rows)));
        }
        Ok(found)
    });
    Ok(found.collect::<Result<Vec<_>, ReadError>>()?.concat())
}

/// Whether a part of `traces` may have rows to a destination.
fn in_a_dictionary(part: &Part, destination: &str) -> Result<bool, ReadError> {
    let file = PartFile::open(part, "traces", &Pages::default())?;
    for group in 0..file.metadata().num_row_groups() {
        if lookup::may_hold(&file, group, "destination", destination)? {
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
    let plans_of = |run: &Run| {
        let ids = wanted.get(run.id()).cloned().unwrap_or_default();
        let scan = dataset.scan("hops").filter(Filter::any_of(TRACE_ID, ids));
        let whole = scan.plan_over(&schema, Vec::new())?;
        let first = scan.columns(&[TRACE_ID]).plan_over(&schema, Vec::new())?;
        Ok::<_, ReadError>((first, whole))
    };
    let with_traces: Vec<&Run> = runs
        .iter()
        .copied()
        .filter(|run| wanted.contains_key(run.id()))
        .collect();
    let plans = with_traces.iter().map(|run| Ok((run.id(), plans_of(run)?)));
    let plans: HashMap<&str, (Plan, Plan)> = plans.collect::<Result<_, ReadError>>()?;
    let parts = parts_of(&with_traces, "hops");
    let found = parts.into_par_iter().map(|(run, part)| {
        let (first, whole) = &plans[run.id()];
        // Most parts have no row of the traces. One column shows that.
        let rows = match read(first, part)?.is_empty() {
            true => Vec::new(),
            false => read(whole, part)?,
        };
        Ok((run, rows))
    });
    let mut hops = HopsOfRuns::new();
    for (run, rows) in found.collect::<Result<Vec<_>, ReadError>>()? {
        let of_run = hops.entry(run.id()).or_default();
        rows.into_iter()
            .try_for_each(|rows| by_trace(rows, of_run))?;
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

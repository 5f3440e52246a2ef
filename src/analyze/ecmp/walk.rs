//! Goes through the graphs of all runs, one after the other.
//!
//! Memory: a batch of rows, the numbers of probes of one run's traces (16 bytes for each graph), and in runs of flows the paths to the targets
//! whose flows were not all read yet. The flows of a target are sealed together and stand side by side, so that is one target. In datasets that
//! earlier versions wrote, it is as many as were under way when a part was sealed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::flows::{self, FlowPath};
use super::runs::{Chosen, OneRun, Source};
use super::{EcmpError, rows};
use crate::dataset::read::{Row, Rows};
use crate::model::{DiamondRow, TraceId};

/// The graph of one target in one run, without its nodes and links.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphFacts {
    /// The run.
    pub run_id: String,
    /// The trace. In runs of flows, that of the first flow.
    pub trace_id: u64,
    /// The vantage point.
    pub vantage: String,
    /// The target as written in the list of targets.
    pub target_input: String,
    /// The address probed.
    pub destination: IpAddr,
    /// Why the search ended. In runs of flows, why the traces ended. `None` if they ended for several reasons.
    pub stop_reason: Option<String>,
    /// How it was searched in the end: `full` or `lite`. `None` in runs of flows, and if an earlier version wrote it.
    pub algorithm: Option<String>,
    /// The number of flows.
    pub flows: u64,
    /// The number of probes that the kernel accepted. `None` if the trace of the graph is missing.
    pub probes: Option<u64>,
    /// The number of nodes.
    pub nodes: u64,
    /// The number of links.
    pub links: u64,
    /// The number of diamonds.
    pub diamonds: u64,
    /// The largest number of nodes at one TTL.
    pub max_width: u64,
    /// The number of nodes with several next hops.
    pub branchings: u64,
    /// The probability that something is missing, at most. `None` in runs of flows, which claim nothing.
    pub failure_bound: Option<f64>,
}

/// A graph on its way to a summary.
pub(super) struct Seen<'a> {
    pub facts: &'a GraphFacts,
    /// Why its traces ended, with their numbers.
    pub stop_reasons: &'a [(String, u64)],
    /// The diamonds, in runs of flows. In runs of multipath tracing, they are in a table of their own.
    pub diamonds: &'a [DiamondRow],
}

/// How far an analysis has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The rows read.
    pub rows: u64,
    /// The rows to read.
    pub all_rows: u64,
}

/// Counts rows, and shows how many there are.
pub(super) struct Meter<'a> {
    done: AtomicU64,
    all_rows: u64,
    show: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Meter<'a> {
    /// For an analysis that reads these tables whole.
    pub(super) fn new(
        chosen: &Chosen,
        tables: &[&str],
        show: &'a (dyn Fn(Progress) + Sync),
    ) -> Self {
        let of_run = |run: &OneRun| -> u64 {
            let rows = tables.iter().map(|table| run.data.scan(table).rows());
            rows.fold(0, u64::saturating_add)
        };
        Meter {
            done: AtomicU64::new(0),
            all_rows: chosen.runs.iter().map(of_run).fold(0, u64::saturating_add),
            show,
        }
    }

    pub(super) fn add(&self, rows: usize) {
        let before = self.done.fetch_add(rows as u64, Ordering::Relaxed);
        (self.show)(Progress {
            rows: before.saturating_add(rows as u64),
            all_rows: self.all_rows,
        });
    }
}

/// Calls `each` with every graph of a run.
pub(super) fn graphs<E: From<EcmpError>>(
    run: &OneRun,
    source: Source,
    meter: &Meter,
    each: impl FnMut(Seen) -> Result<(), E>,
) -> Result<(), E> {
    match source {
        Source::Multipath => of_multipath(run, meter, each),
        Source::Flows => of_flows(run, meter, each),
    }
}

fn of_multipath<E: From<EcmpError>>(
    run: &OneRun,
    meter: &Meter,
    mut each: impl FnMut(Seen) -> Result<(), E>,
) -> Result<(), E> {
    let probes = Probes::read(run, meter)?;
    let scan = run.data.scan("graphs").columns(&[
        "trace_id",
        "target_input",
        "destination",
        "stop_reason",
        "algorithm",
        "flows",
        "nodes",
        "links",
        "diamonds",
        "max_width",
        "branchings",
        "failure_bound",
    ]);
    for batch in scan.batches().map_err(EcmpError::from)? {
        let batch = Rows::new(batch.map_err(EcmpError::from)?);
        for row in batch.iter() {
            let facts = graph(run, &row, &probes)?;
            let reasons = facts.stop_reason.iter().map(|reason| (reason.clone(), 1));
            let reasons: Vec<(String, u64)> = reasons.collect();
            each(Seen {
                facts: &facts,
                stop_reasons: &reasons,
                diamonds: &[],
            })?;
        }
        meter.add(batch.len());
    }
    Ok(())
}

fn graph(run: &OneRun, row: &Row, probes: &Probes) -> Result<GraphFacts, EcmpError> {
    let trace_id = rows::trace_id(row)?;
    let number = |column: &str| rows::needed(column, rows::number(row, column)?);
    Ok(GraphFacts {
        run_id: run.facts.run_id.clone(),
        trace_id: trace_id.0,
        vantage: run.facts.vantage.clone(),
        target_input: rows::text(row, "target_input")?,
        destination: rows::address(row, "destination")?,
        stop_reason: Some(rows::text(row, "stop_reason")?),
        algorithm: row.text("algorithm")?.map(str::to_owned),
        flows: number("flows")?,
        probes: probes.of(trace_id),
        nodes: number("nodes")?,
        links: number("links")?,
        diamonds: number("diamonds")?,
        max_width: number("max_width")?,
        branchings: number("branchings")?,
        failure_bound: row.float("failure_bound")?,
    })
}

/// The number of probes of each trace of a run, by trace.
struct Probes(Vec<(TraceId, u64)>);

impl Probes {
    fn read(run: &OneRun, meter: &Meter) -> Result<Self, EcmpError> {
        let mut probes = Vec::new();
        let scan = run.data.scan("traces");
        for batch in scan.columns(&["trace_id", "probes_sent"]).batches()? {
            let batch = Rows::new(batch?);
            for row in batch.iter() {
                if let Some(sent) = rows::number(&row, "probes_sent")? {
                    probes.push((rows::trace_id(&row)?, sent));
                }
            }
            meter.add(batch.len());
        }
        probes.sort_unstable();
        Ok(Probes(probes))
    }

    fn of(&self, trace: TraceId) -> Option<u64> {
        let at = self.0.binary_search_by_key(&trace, |(id, _)| *id).ok()?;
        Some(self.0[at].1)
    }
}

/// A target whose flows were not all read yet.
#[derive(Default)]
struct Pending {
    target_input: String,
    /// The flows read, also those that were cut.
    read: u64,
    paths: Vec<FlowPath>,
}

fn of_flows<E: From<EcmpError>>(
    run: &OneRun,
    meter: &Meter,
    mut each: impl FnMut(Seen) -> Result<(), E>,
) -> Result<(), E> {
    let mut pending: HashMap<IpAddr, Pending> = HashMap::new();
    let scan = run.data.scan("traces").columns(&flows::COLUMNS);
    for batch in scan.batches().map_err(EcmpError::from)? {
        let batch = Rows::new(batch.map_err(EcmpError::from)?);
        for row in batch.iter() {
            let (destination, target) = take_flow(&row, &mut pending)?;
            if target.read >= run.flows
                && let Some(target) = pending.remove(&destination)
            {
                finish(run, destination, target, &mut each)?;
            }
        }
        meter.add(batch.len());
    }
    // Targets with fewer flows than the others: their survey was interrupted.
    let mut rest: Vec<(IpAddr, Pending)> = pending.into_iter().collect();
    rest.sort_unstable_by_key(|(destination, _)| *destination);
    for (destination, target) in rest {
        finish(run, destination, target, &mut each)?;
    }
    Ok(())
}

/// Adds the flow of a row to its target.
fn take_flow<'p>(
    row: &Row,
    pending: &'p mut HashMap<IpAddr, Pending>,
) -> Result<(IpAddr, &'p Pending), EcmpError> {
    let destination = rows::address(row, "destination")?;
    let target = pending.entry(destination).or_default();
    target.read += 1;
    if target.target_input.is_empty() {
        target.target_input = rows::text(row, "target_input")?;
    }
    let flow = FlowPath::read(row)?;
    if !flow.is_cut() {
        target.paths.push(flow);
    }
    Ok((destination, target))
}

/// Joins the paths to a target.
fn finish<E>(
    run: &OneRun,
    destination: IpAddr,
    target: Pending,
    each: &mut impl FnMut(Seen) -> Result<(), E>,
) -> Result<(), E> {
    let Some(first) = target.paths.iter().map(|path| path.trace_id).min() else {
        return Ok(());
    };
    let drawn = flows::join(first, destination, &target.paths);
    let mut stop_reasons: Vec<(String, u64)> = Vec::new();
    for path in &target.paths {
        match stop_reasons
            .iter_mut()
            .find(|(known, _)| *known == path.stop_reason)
        {
            Some((_, count)) => *count += 1,
            None => stop_reasons.push((path.stop_reason.clone(), 1)),
        }
    }
    let widths = drawn.nodes.chunk_by(|a, b| a.ttl == b.ttl).map(<[_]>::len);
    let branchings = drawn.nodes.iter().filter(|node| node.next_hops > Some(1));
    let facts = GraphFacts {
        run_id: run.facts.run_id.clone(),
        trace_id: first.0,
        vantage: run.facts.vantage.clone(),
        target_input: target.target_input,
        destination,
        stop_reason: match &stop_reasons[..] {
            [(only, _)] => Some(only.clone()),
            _ => None,
        },
        algorithm: None,
        flows: target.paths.len() as u64,
        probes: Some(target.paths.iter().map(|path| path.probes).sum()),
        nodes: drawn.nodes.len() as u64,
        links: drawn.links.len() as u64,
        diamonds: drawn.diamonds.len() as u64,
        max_width: widths.max().unwrap_or(0) as u64,
        branchings: branchings.count() as u64,
        failure_bound: None,
    };
    each(Seen {
        facts: &facts,
        stop_reasons: &stop_reasons,
        diamonds: &drawn.diamonds,
    })
}

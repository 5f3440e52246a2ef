//! The graph of one target.
//!
//! | the target is given as | found if |
//! |---|---|
//! | an address, in any form | it is the address probed |
//! | another text | it is the target's text in the list of targets (`target_input`) |
//!
//! If several runs have a graph of the target, the newest one counts: that whose run started last. Memory: the rows of one target.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::EcmpError;
use super::flows::{self, FlowPath};
use super::rows;
use super::runs::{Chosen, OneRun, RunFacts, Source, table_of};
use crate::dataset::read::{Filter, Row, RowError, Rows};
use crate::model::{DiamondRow, LinkRow, NodeRow, TraceId};

/// The most addresses that an error names.
const NAMED: usize = 5;

/// The graph of one target in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGraph {
    /// Where it comes from.
    pub source: Source,
    /// The run.
    pub run: RunFacts,
    /// The trace. In runs of flows, that of the first flow.
    pub trace_id: TraceId,
    /// The target as written in the list of targets.
    pub target_input: String,
    /// The address probed.
    pub destination: IpAddr,
    /// Why the search ended. `None` if the traces of its flows ended for several reasons.
    pub stop_reason: Option<String>,
    /// How it was searched in the end: `full` or `lite`. `None` in runs of flows, and if an earlier version wrote it.
    pub algorithm: Option<String>,
    /// The number of flows.
    pub flows: u64,
    /// The number of probes. `None` if the trace of the graph is missing.
    pub probes: Option<u64>,
    /// The probability that something is missing, at most. `None` in runs of flows.
    pub failure_bound: Option<f64>,
    /// The lowest TTL that was probed.
    pub first_ttl: u8,
    /// The nodes by TTL and address.
    pub nodes: Vec<NodeRow>,
    /// The links by TTL and addresses.
    pub links: Vec<LinkRow>,
    /// The diamonds by TTL.
    pub diamonds: Vec<DiamondRow>,
}

/// A target that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its newest graph.
    pub graph: TargetGraph,
    /// The ids of other runs that have a graph of it, newest first.
    pub others: Vec<String>,
}

pub(super) fn find(chosen: &Chosen, target: &str) -> Result<Found, EcmpError> {
    let filter = match target.parse::<IpAddr>() {
        // No survey probes an IPv4-mapped address as such.
        Ok(address) => Filter::equals("destination", address.to_canonical()),
        Err(_) => Filter::equals("target_input", target),
    };
    let table = table_of(chosen.source);
    let mut newest: Option<(&OneRun, BTreeSet<IpAddr>)> = None;
    let mut others = Vec::new();
    for run in chosen.runs.iter().rev() {
        let scan = run
            .data
            .scan(table)
            .columns(&["destination", "stop_reason"]);
        let mut addresses = BTreeSet::new();
        for batch in scan.filter(filter.clone()).batches()? {
            for row in Rows::new(batch?).iter() {
                // A trace that was cut gives no graph.
                if !flows::is_cut(&rows::text(&row, "stop_reason")?) {
                    addresses.insert(rows::address(&row, "destination")?);
                }
            }
        }
        match (&newest, addresses.is_empty()) {
            (_, true) => {}
            (None, false) => newest = Some((run, addresses)),
            (Some(_), false) => others.push(run.facts.run_id.clone()),
        }
    }
    let no_target = || EcmpError::NoTarget {
        path: chosen.path.clone(),
        target: target.to_owned(),
    };
    let (run, addresses) = newest.ok_or_else(no_target)?;
    if addresses.len() > 1 {
        return Err(EcmpError::SeveralAddresses {
            target: target.to_owned(),
            count: addresses.len(),
            some: addresses.into_iter().take(NAMED).collect(),
        });
    }
    let destination = addresses.into_iter().next().ok_or_else(no_target)?;
    let graph = match chosen.source {
        Source::Multipath => of_multipath(run, destination)?,
        Source::Flows => of_flows(run, destination)?,
    };
    let graph = graph.ok_or_else(no_target)?;
    Ok(Found { graph, others })
}

fn of_multipath(run: &OneRun, destination: IpAddr) -> Result<Option<TargetGraph>, EcmpError> {
    let scan = run.data.scan("graphs").columns(&[
        "trace_id",
        "target_input",
        "stop_reason",
        "algorithm",
        "flows",
        "failure_bound",
    ]);
    let to = Filter::equals("destination", destination);
    let mut graph = None;
    for batch in scan.filter(to).batches()? {
        for row in Rows::new(batch?).iter() {
            graph = Some(TargetGraph {
                source: Source::Multipath,
                run: run.facts.clone(),
                trace_id: rows::trace_id(&row)?,
                target_input: rows::text(&row, "target_input")?,
                destination,
                stop_reason: Some(rows::text(&row, "stop_reason")?),
                algorithm: row.text("algorithm")?.map(str::to_owned),
                flows: rows::needed("flows", rows::number(&row, "flows")?)?,
                probes: None,
                failure_bound: row.float("failure_bound")?,
                first_ttl: 1,
                nodes: Vec::new(),
                links: Vec::new(),
                diamonds: Vec::new(),
            });
        }
    }
    let Some(mut graph) = graph else {
        return Ok(None);
    };
    let id = graph.trace_id;
    let trace = of_trace(run, "traces", &["first_ttl", "probes_sent"], id, |row| {
        Ok((
            rows::ttl(row, "first_ttl")?,
            rows::number(row, "probes_sent")?,
        ))
    })?;
    if let Some((first_ttl, probes)) = trace.first() {
        graph.first_ttl = first_ttl.map_or(1, |ttl| ttl.0);
        graph.probes = *probes;
    }
    graph.nodes = of_trace(run, "nodes", &rows::NODE, id, rows::node)?;
    graph.links = of_trace(run, "links", &rows::LINK, id, rows::link)?;
    graph.diamonds = of_trace(run, "diamonds", &rows::DIAMOND, id, rows::diamond)?;
    graph.nodes.sort_by_key(|node| (node.ttl, node.address));
    graph
        .links
        .sort_by_key(|link| (link.ttl, link.near, link.far));
    graph.diamonds.sort_by_key(|diamond| diamond.first_ttl);
    Ok(Some(graph))
}

/// The rows of a table with this trace.
fn of_trace<T>(
    run: &OneRun,
    table: &str,
    columns: &[&str],
    id: TraceId,
    read: impl Fn(&Row) -> Result<T, RowError>,
) -> Result<Vec<T>, EcmpError> {
    let id = i64::try_from(id.0).unwrap_or(i64::MAX);
    let scan = run.data.scan(table).columns(columns);
    let mut found = Vec::new();
    for batch in scan.filter(Filter::equals("trace_id", id)).batches()? {
        for row in Rows::new(batch?).iter() {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

fn of_flows(run: &OneRun, destination: IpAddr) -> Result<Option<TargetGraph>, EcmpError> {
    let mut paths = Vec::new();
    let mut input = String::new();
    let scan = run.data.scan("traces").columns(&flows::COLUMNS);
    let to = Filter::equals("destination", destination);
    for batch in scan.filter(to).batches()? {
        for row in Rows::new(batch?).iter() {
            input = rows::text(&row, "target_input")?;
            paths.push(FlowPath::read(&row)?);
        }
    }
    paths.retain(|path| !path.is_cut());
    let Some(trace_id) = paths.iter().map(|path| path.trace_id).min() else {
        return Ok(None);
    };
    let reasons: BTreeSet<&str> = paths.iter().map(|path| path.stop_reason.as_str()).collect();
    let only = reasons.first().filter(|_| reasons.len() == 1);
    let drawn = flows::join(trace_id, destination, &paths);
    Ok(Some(TargetGraph {
        source: Source::Flows,
        run: run.facts.clone(),
        trace_id,
        target_input: input,
        destination,
        stop_reason: only.map(|reason| (*reason).to_owned()),
        algorithm: None,
        flows: paths.len() as u64,
        probes: Some(paths.iter().map(|path| path.probes).sum()),
        failure_bound: None,
        first_ttl: paths.iter().map(FlowPath::first_ttl).min().unwrap_or(1),
        nodes: drawn.nodes,
        links: drawn.links,
        diamonds: drawn.diamonds,
    }))
}

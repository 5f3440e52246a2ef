//! Figures over all graphs.
//!
//! A *graph* is that of one target in one run. A *target* is an address: several nights of one target are several graphs and one target.
//!
//! Memory: about 50 bytes for each target, one number for each distinct value, what [`walk`](super::walk) and [`shared`](super::shared) say,
//! and for each thread a share of the diamonds of one run.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::Serialize;

use super::counts::{Bin, Histogram, Spread};
use super::runs::{Chosen, OneRun, RunFacts, Source};
use super::shared::{DiamondFigures, SharedDiamond, Tally};
use super::walk::{self, GraphFacts, Meter, Seen};
use super::{EcmpError, rows};
use crate::dataset::read::{ReadError, RowError, Rows};
use crate::model::StopReason;

/// A bound is larger than asked for if it exceeds it by more than the error of its sums.
const ROUNDING: f64 = 1e-9;

/// Figures over all graphs. docs/multipath.md describes the members, which are those of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Where the graphs come from.
    pub source: Source,
    /// The runs, oldest first.
    pub runs: Vec<RunFacts>,
    /// The ids of runs of flows that were left out.
    pub left_out: Vec<String>,
    /// The distinct target addresses.
    pub targets: u64,
    /// The targets behind at least one diamond.
    pub targets_behind_diamond: u64,
    /// Their share. `None` if there is no target.
    pub share_behind_diamond: Option<f64>,
    /// The number of graphs.
    pub graphs: u64,
    /// Graphs by stop reason; in runs of flows, traces by stop reason.
    pub stop_reasons: BTreeMap<String, u64>,
    /// Graphs by the algorithm that ended the search: `full` or `lite`. Graphs of earlier versions, and of flows, have none.
    pub algorithms: BTreeMap<String, u64>,
    /// The graphs that a limit ended: `max_flows` or `max_width`.
    pub guards_fired: u64,
    /// All nodes.
    pub nodes: u64,
    /// All links.
    pub links: u64,
    /// Graphs by their largest number of nodes at one TTL.
    pub max_width: Vec<Bin>,
    /// Flows of a graph.
    pub flows: Spread,
    /// Probes of a graph.
    pub probes: Spread,
    /// What may be missing. `None` in runs of flows, which claim nothing.
    pub failure_bound: Option<Bound>,
    /// The diamonds.
    pub diamonds: DiamondFigures,
    /// The diamonds with both ends, those with the most targets first.
    pub shared_diamonds: Vec<SharedDiamond>,
}

/// The probabilities that graphs miss something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// The bound of a whole graph that was asked for. `None` if runs asked for different ones, or for that of each node.
    pub asked: Option<f64>,
    /// The largest bound of a graph.
    pub worst: Option<f64>,
    /// The graphs with a larger bound than their run asked for. Graphs of runs that asked for that of each node do not count.
    pub larger_than_asked: u64,
}

#[derive(Default)]
struct Figures {
    targets: HashMap<IpAddr, u32>,
    graphs: u64,
    stop_reasons: BTreeMap<String, u64>,
    algorithms: BTreeMap<String, u64>,
    guards_fired: u64,
    nodes: u64,
    links: u64,
    widths: Histogram,
    flows: Histogram,
    probes: Histogram,
    worst: Option<f64>,
    larger_than_asked: u64,
}

/// The tables that a summary reads whole.
pub(super) fn tables(source: Source) -> &'static [&'static str] {
    match source {
        Source::Multipath => &["traces", "graphs", "diamonds"],
        Source::Flows => &["traces"],
    }
}

pub(super) fn summarise(chosen: &Chosen, meter: &Meter) -> Result<Summary, EcmpError> {
    let mut figures = Figures::default();
    let mut tally = Tally::default();
    let mut runs = Vec::with_capacity(chosen.runs.len());
    for run in &chosen.runs {
        let before = figures.graphs;
        let asked = run.facts.asked_of_graph;
        walk::graphs(run, chosen.source, meter, |seen| {
            let target = figures.add(&seen, asked);
            for diamond in seen.diamonds {
                tally.add(target, diamond);
            }
            Ok::<(), EcmpError>(())
        })?;
        if chosen.source == Source::Multipath {
            tally = tally.merge(diamonds(run, &figures.targets, meter)?);
        }
        runs.push(RunFacts {
            graphs: figures.graphs - before,
            ..run.facts.clone()
        });
    }
    let targets = figures.targets.len() as u64;
    let behind = tally.targets_behind();
    let bound = Bound {
        asked: asked_by_all(&runs),
        worst: figures.worst,
        larger_than_asked: figures.larger_than_asked,
    };
    let (diamonds, shared_diamonds) = tally.finish();
    Ok(Summary {
        source: chosen.source,
        left_out: chosen.left_out.clone(),
        targets,
        targets_behind_diamond: behind,
        share_behind_diamond: (targets > 0).then(|| behind as f64 / targets as f64),
        graphs: figures.graphs,
        stop_reasons: figures.stop_reasons,
        algorithms: figures.algorithms,
        guards_fired: figures.guards_fired,
        nodes: figures.nodes,
        links: figures.links,
        max_width: figures.widths.doubling(),
        flows: figures.flows.spread(),
        probes: figures.probes.spread(),
        failure_bound: (chosen.source == Source::Multipath).then_some(bound),
        diamonds,
        shared_diamonds,
        runs,
    })
}

/// The bound that all runs asked for.
fn asked_by_all(runs: &[RunFacts]) -> Option<f64> {
    let asked = runs.first()?.asked_of_graph;
    asked.filter(|_| runs.iter().all(|run| run.asked_of_graph == asked))
}

impl Figures {
    /// Counts a graph. Returns the number of its target.
    fn add(&mut self, seen: &Seen, asked: Option<f64>) -> u32 {
        let facts: &GraphFacts = seen.facts;
        self.graphs += 1;
        self.nodes += facts.nodes;
        self.links += facts.links;
        self.widths.add(facts.max_width);
        self.flows.add(facts.flows);
        if let Some(probes) = facts.probes {
            self.probes.add(probes);
        }
        for (reason, count) in seen.stop_reasons {
            count_name(&mut self.stop_reasons, reason, *count);
        }
        if let Some(algorithm) = &facts.algorithm {
            count_name(&mut self.algorithms, algorithm, 1);
        }
        let guards = [StopReason::MaxFlows, StopReason::MaxWidth];
        let reason = facts.stop_reason.as_deref();
        self.guards_fired += u64::from(guards.iter().any(|guard| Some(guard.as_str()) == reason));
        if let Some(bound) = facts.failure_bound {
            self.worst = Some(self.worst.map_or(bound, |worst| worst.max(bound)));
            let is_larger = asked.is_some_and(|asked| bound > asked + ROUNDING);
            self.larger_than_asked += u64::from(is_larger);
        }
        let next = self.targets.len() as u32;
        *self.targets.entry(facts.destination).or_insert(next)
    }
}

fn count_name(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    // Most names are known already.
    match counts.get_mut(name) {
        Some(known) => *known += count,
        None => {
            counts.insert(name.to_owned(), count);
        }
    }
}

/// Counts the diamonds of a run of multipath tracing.
fn diamonds(
    run: &OneRun,
    targets: &HashMap<IpAddr, u32>,
    meter: &Meter,
) -> Result<Tally, EcmpError> {
    let scan = run.data.scan("diamonds").columns(&rows::DIAMOND);
    let tally = scan.fold(
        Tally::default,
        |tally, _, batch| {
            let batch = Rows::new(batch.clone());
            for row in batch.iter() {
                let row = rows::diamond(&row)?;
                let target = targets.get(&row.destination);
                let target = target.ok_or_else(|| unknown_target(row.destination))?;
                tally.add(*target, &row);
            }
            meter.add(batch.len());
            Ok(())
        },
        Tally::merge,
    )?;
    Ok(tally)
}

fn unknown_target(destination: IpAddr) -> ReadError {
    ReadError::Row(RowError::BadValue {
        column: "destination".to_owned(),
        value: destination.to_string(),
        wanted: "the destination of a row of graphs",
    })
}

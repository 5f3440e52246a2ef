//! Multipath tracing against the true graphs of networks.
//!
//! Every run passes the strategy, the core, the encoder, the lab's hashes and the matcher. The statistics have a short form, and a full
//! one with `PATHSURVEY_STATISTICS=full`: docs/multipath.md has its figures.

mod graphs;
mod hard;
mod networks;
mod statistics;

use std::collections::BTreeMap;
use std::net::IpAddr;

use pathsurvey::config::{StrategyChoice, SurveyConfig};
use pathsurvey::engine::assembler::TargetRows;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{DiamondRow, GraphRow, LinkRow, NodeRow, TraceId, TraceRecord};

use self::networks::{Shape, TARGET};
use super::experiment::{Drive, InProcess, config, load, rate};

/// What multipath tracing found of one target.
#[derive(Clone, Debug)]
pub struct Found {
    pub graph: GraphRow,
    pub nodes: Vec<NodeRow>,
    pub links: Vec<LinkRow>,
    pub diamonds: Vec<DiamondRow>,
    pub trace: TraceRecord,
}

impl Found {
    pub fn shape(&self) -> Shape {
        let destination = self.graph.destination;
        let named = |address: IpAddr| {
            if address == destination {
                TARGET
            } else {
                address
            }
        };
        let nodes = self.nodes.iter();
        let links = self.links.iter();
        Shape {
            nodes: nodes
                .map(|node| (node.ttl.0, named(node.address)))
                .collect(),
            links: links
                .map(|link| (link.ttl.0, named(link.near), named(link.far)))
                .collect(),
        }
    }
}

/// The findings of a run, by target.
pub type AllFound = BTreeMap<IpAddr, Found>;

/// A survey of these targets.
pub fn multipath(targets: &[&str], seed: u64) -> SurveyConfig {
    SurveyConfig {
        strategy: StrategyChoice::Multipath,
        rate: rate(1e6),
        ..config(targets, seed)
    }
}

/// The rows of a survey over a network.
pub fn drive(config: &SurveyConfig, network: &mut InProcess) -> TargetRows {
    let config = config.clone().validate().expect("a sound configuration");
    let targets = load(&config);
    Drive::new(&config).over(network, targets).rows
}

/// Runs a survey over a network.
pub fn survey(config: &SurveyConfig, network: &LabNetwork) -> AllFound {
    let rows = drive(config, &mut InProcess::new(network.clone()));
    let mut found: BTreeMap<TraceId, Found> = BTreeMap::new();
    for trace in rows.traces {
        let row = rows.tables.iter().filter_map(|row| row.get::<GraphRow>());
        let graph = row.clone().find(|graph| graph.trace_id == trace.trace_id);
        let graph = graph.expect("a graph for every trace").clone();
        let new = Found {
            graph,
            nodes: Vec::new(),
            links: Vec::new(),
            diamonds: Vec::new(),
            trace,
        };
        found.insert(new.trace.trace_id, new);
    }
    for row in &rows.tables {
        if let Some(row) = row.get::<NodeRow>() {
            let of = found.get_mut(&row.trace_id).expect("a trace");
            of.nodes.push(row.clone());
        } else if let Some(row) = row.get::<LinkRow>() {
            let of = found.get_mut(&row.trace_id).expect("a trace");
            of.links.push(*row);
        } else if let Some(row) = row.get::<DiamondRow>() {
            let of = found.get_mut(&row.trace_id).expect("a trace");
            of.diamonds.push(*row);
        }
    }
    let found = found.into_values();
    found
        .map(|found| (found.trace.destination, found))
        .collect()
}

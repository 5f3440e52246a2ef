//! The values of a graph, its nodes and its links, for DOT and GraphML. Names and meanings are those of the tables' columns.

use crate::analyze::ecmp::{Source, TargetGraph};
use crate::model::{LinkRow, NodeRow};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attribute {
    Text(String),
    Whole(u64),
    Number(f64),
    Flag(bool),
}

/// Names with values. An absent value is left out of the text.
pub(super) type Attributes = Vec<(&'static str, Option<Attribute>)>;

fn text(text: impl ToString) -> Option<Attribute> {
    Some(Attribute::Text(text.to_string()))
}

fn whole(number: impl Into<u64>) -> Option<Attribute> {
    Some(Attribute::Whole(number.into()))
}

impl Attribute {
    /// The name of its type in GraphML.
    pub(super) fn graphml_type(&self) -> &'static str {
        match self {
            Attribute::Text(_) => "string",
            Attribute::Whole(_) => "long",
            Attribute::Number(_) => "double",
            Attribute::Flag(_) => "boolean",
        }
    }

    /// Its text. A number always has the same.
    pub(super) fn plain(&self) -> String {
        match self {
            Attribute::Text(text) => text.clone(),
            Attribute::Whole(number) => number.to_string(),
            Attribute::Number(number) => number.to_string(),
            Attribute::Flag(flag) => flag.to_string(),
        }
    }
}

pub(super) fn of_graph(graph: &TargetGraph) -> Attributes {
    let source = match graph.source {
        Source::Multipath => "multipath",
        Source::Flows => "flows",
    };
    vec![
        ("destination", text(graph.destination)),
        ("target_input", text(&graph.target_input)),
        ("run_id", text(&graph.run.run_id)),
        ("trace_id", whole(graph.trace_id.0)),
        ("vantage", text(&graph.run.vantage)),
        ("protocol", text(&graph.run.protocol)),
        ("source", text(source)),
        ("stop_reason", graph.stop_reason.as_ref().and_then(text)),
        ("algorithm", graph.algorithm.as_ref().and_then(text)),
        ("flows", whole(graph.flows)),
        ("probes", graph.probes.and_then(whole)),
        ("failure_bound", graph.failure_bound.map(Attribute::Number)),
    ]
}

/// `diamond` is the number of the diamond, from 1, whose TTLs the node is in.
pub(super) fn of_node(graph: &TargetGraph, node: &NodeRow) -> Attributes {
    let mut diamonds = (1u32..).zip(&graph.diamonds);
    let diamond = diamonds.find(|(_, row)| (row.first_ttl..=row.last_ttl).contains(&node.ttl));
    vec![
        ("ttl", whole(node.ttl.0)),
        ("address", text(node.address)),
        ("flows", whole(node.flows)),
        ("next_hops", node.next_hops.and_then(whole)),
        ("next_hop_flows", node.next_hop_flows.and_then(whole)),
        (
            "miss_probability",
            node.miss_probability.map(Attribute::Number),
        ),
        ("stopped_by", node.stopped_by.and_then(text)),
        ("varies", Some(Attribute::Flag(node.varies))),
        ("is_end", Some(Attribute::Flag(node.is_end))),
        ("diamond", diamond.and_then(|(number, _)| whole(number))),
    ]
}

pub(super) fn of_link(link: &LinkRow) -> Attributes {
    vec![("ttl", whole(link.ttl.0)), ("flows", whole(link.flows))]
}

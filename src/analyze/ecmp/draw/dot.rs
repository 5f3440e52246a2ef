//! The graph for Graphviz. Nodes are named by TTL and address, and nodes of one TTL stand in one column.

use std::fmt::Write;

use super::attributes::{Attribute, Attributes, of_graph, of_link, of_node};
use super::escape::dot as quoted;
use super::layers::Layers;
use crate::analyze::ecmp::TargetGraph;
use crate::model::NodeRow;

/// The graph in the language of Graphviz: try `dot -Tsvg`.
pub fn dot(graph: &TargetGraph) -> String {
    let layers = Layers::new(graph);
    let mut text = format!("digraph {} {{\n", quoted(&graph.destination.to_string()));
    let title = format!("Paths to {}", graph.destination);
    let _ = writeln!(
        text,
        "  graph [rankdir=LR, labelloc=t, fontname=monospace, label={}{}];",
        quoted(&title),
        list(&of_graph(graph), ", ")
    );
    text += "  node [shape=box, fontname=monospace];\n";
    for layer in &layers.layers {
        let nodes: Vec<&NodeRow> = layer.slots.iter().copied().flatten().collect();
        if nodes.is_empty() {
            continue;
        }
        text += "  {\n    rank=same;\n";
        for node in nodes {
            let label = quoted(&node.address.to_string());
            let values = list(&of_node(graph, node), ", ");
            let _ = writeln!(text, "    {} [label={label}{values}];", name(node));
        }
        text += "  }\n";
    }
    for (pair, edges) in layers.layers.windows(2).zip(&layers.edges) {
        for edge in edges {
            let ends = (pair[0].slots[edge.near], pair[1].slots[edge.far]);
            if let (Some(link), (Some(near), Some(far))) = (edge.link, ends) {
                let values = list(&of_link(link), "");
                let _ = writeln!(text, "  {} -> {} [{values}];", name(near), name(far));
            }
        }
    }
    text += "}\n";
    text
}

fn name(node: &NodeRow) -> String {
    quoted(&format!("{} {}", node.ttl.0, node.address))
}

/// The values that are present, as `name=value`. `first` stands before the first one.
fn list(values: &Attributes, first: &str) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let Some(value) = value else {
            continue;
        };
        text += if text.is_empty() { first } else { ", " };
        let plain = value.plain();
        let _ = match value {
            Attribute::Whole(_) => write!(text, "{name}={plain}"),
            _ => write!(text, "{name}={}", quoted(&plain)),
        };
    }
    text
}

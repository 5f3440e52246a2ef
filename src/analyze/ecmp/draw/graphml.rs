//! The graph as GraphML (<http://graphml.graphdrawing.org/specification.html>). The id of a node is its TTL and its address.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::attributes::{Attribute, Attributes, of_graph, of_link, of_node};
use super::escape::xml;
use super::layers::Layers;
use crate::analyze::ecmp::TargetGraph;
use crate::model::NodeRow;

/// The graph as GraphML, with the columns of the tables as values of nodes and links.
pub fn graphml(graph: &TargetGraph) -> String {
    let layers = Layers::new(graph);
    let mut keys: BTreeMap<(&str, &'static str), &'static str> = BTreeMap::new();
    let mut body = String::new();
    put(&mut body, "    ", &of_graph(graph), "graph", &mut keys);
    let nodes = layers.layers.iter().flat_map(|layer| &layer.slots);
    for node in nodes.copied().flatten() {
        let _ = writeln!(body, "    <node id=\"{}\">", id(node));
        let values = of_node(graph, node);
        put(&mut body, "      ", &values, "node", &mut keys);
        body += "    </node>\n";
    }
    for (pair, edges) in layers.layers.windows(2).zip(&layers.edges) {
        for edge in edges {
            let ends = (pair[0].slots[edge.near], pair[1].slots[edge.far]);
            if let (Some(link), (Some(near), Some(far))) = (edge.link, ends) {
                let (near, far) = (id(near), id(far));
                let _ = writeln!(body, "    <edge source=\"{near}\" target=\"{far}\">");
                put(&mut body, "      ", &of_link(link), "edge", &mut keys);
                body += "    </edge>\n";
            }
        }
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text += "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n";
    for ((of, name), kind) in keys {
        let _ = writeln!(
            text,
            "  <key id=\"{of}-{name}\" for=\"{of}\" attr.name=\"{name}\" attr.type=\"{kind}\"/>"
        );
    }
    let name = xml(&graph.destination.to_string());
    let _ = writeln!(text, "  <graph id=\"{name}\" edgedefault=\"directed\">");
    text + &body + "  </graph>\n</graphml>\n"
}

fn id(node: &NodeRow) -> String {
    xml(&format!("{}-{}", node.ttl.0, node.address))
}

/// Adds the values that are present, and their keys.
fn put(
    text: &mut String,
    indent: &str,
    values: &Attributes,
    of: &'static str,
    keys: &mut BTreeMap<(&str, &'static str), &'static str>,
) {
    for (name, value) in values {
        if let Some(value) = value {
            keys.insert((of, name), Attribute::graphml_type(value));
            let value = xml(&value.plain());
            let _ = writeln!(text, "{indent}<data key=\"{of}-{name}\">{value}</data>");
        }
    }
}

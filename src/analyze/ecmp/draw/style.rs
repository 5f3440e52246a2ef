//! The colours and fonts of the drawing. Viewers that prefer dark pages get dark ones.
//!
//! Colours stand in classes, without variables: not all programs that show SVG know them.

use super::layout::TextStyle;
use crate::model::{NodeRow, StoppedBy};

pub(super) const TITLE: TextStyle = TextStyle {
    class: "title",
    size: 16.0,
};
pub(super) const LABEL: TextStyle = TextStyle {
    class: "label",
    size: 10.5,
};
pub(super) const HEADER: TextStyle = TextStyle {
    class: "header",
    size: 10.5,
};
pub(super) const NODE: TextStyle = TextStyle {
    class: "address",
    size: 11.0,
};

/// The content of the element `style`.
pub(super) const CSS: &str = "
text { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace; }
.title { font-size: 16px; font-weight: bold; fill: #1f2328; }
.label, .header { font-size: 10.5px; fill: #57606a; }
.header { font-weight: bold; }
.address { font-size: 11px; fill: #1f2328; }
.page { fill: #ffffff; }
.diamond { fill: #e3f0fb; stroke: #a9cbea; }
.per-packet { fill: #f6eafc; stroke: #d3b3e6; stroke-dasharray: 4 3; }
.link { fill: none; stroke: #57606a; stroke-width: 1.1; }
.many .link { stroke-opacity: 0.5; stroke-width: 0.8; }
.guide, .stub { fill: none; stroke: #8c959f; stroke-width: 1; stroke-dasharray: 2 4; }
.silence { fill: #57606a; font-weight: bold; }
.node { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1; }
.branching { stroke: #0a5cc2; stroke-width: 2; }
.end { fill: #d9f2df; stroke: #1a7f37; }
.varies { stroke: #8250df; stroke-dasharray: 3 2; }
.cut { fill: #fff1e0; stroke: #bc4c00; stroke-dasharray: 5 2; }
@media (prefers-color-scheme: dark) {
.title, .address { fill: #e6edf3; }
.label, .header, .silence { fill: #9aa4ae; }
.page { fill: #0d1117; }
.diamond { fill: #12263c; stroke: #2c5a86; }
.per-packet { fill: #271a35; stroke: #6e4a91; }
.link { stroke: #9aa4ae; }
.guide, .stub { stroke: #6e7681; }
.node { fill: #161b22; stroke: #6e7681; }
.branching { stroke: #58a6ff; }
.end { fill: #12351d; stroke: #3fb950; }
.varies { stroke: #bc8cff; }
.cut { fill: #3a2410; stroke: #f0883e; }
}
";

/// The classes of a node's box.
pub(super) fn classes(node: &NodeRow) -> String {
    let mut classes = "node".to_owned();
    for (is, class) in [
        (branches(node), " branching"),
        (node.is_end, " end"),
        (node.varies, " varies"),
        (is_cut(node), " cut"),
    ] {
        if is {
            classes += class;
        }
    }
    classes
}

/// Whether a node has several next hops.
pub(super) fn branches(node: &NodeRow) -> bool {
    node.next_hops > Some(1)
}

/// Whether the search for its next hops ended before its stopping point.
pub(super) fn is_cut(node: &NodeRow) -> bool {
    node.stopped_by.is_some_and(|by| by != StoppedBy::Points)
}

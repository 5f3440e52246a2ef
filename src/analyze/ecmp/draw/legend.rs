//! What the signs of the drawing mean. Only signs that occur are explained.

use super::layout::{Label, Line, LineKind, MARGIN, Spot};
use super::style::{self, LABEL};
use crate::analyze::ecmp::TargetGraph;
use crate::model::{BalancerType, NodeRow};

/// The width and the height of a sign.
pub(super) const SIGN: (f64, f64) = (26.0, 14.0);
const BETWEEN: f64 = 20.0;

/// A sign with its meaning.
pub(super) struct Sample {
    pub sign: Sign,
    pub x: f64,
    pub y: f64,
    pub label: Label,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A box with these classes.
    Node(&'static str),
    /// The area of a diamond, with these classes.
    Region(&'static str),
    /// A line with this class.
    Line(&'static str),
    Silence,
}

/// The signs that occur, in lines between the left margin and `right`, below `top`.
pub(super) fn legend(
    graph: &TargetGraph,
    spots: &[Spot],
    lines: &[Line],
    right: f64,
    top: f64,
) -> Vec<Sample> {
    let (mut x, mut y) = (MARGIN, top);
    let mut samples = Vec::new();
    for (sign, text) in signs(graph, spots, lines) {
        let mut label = Label::new(text.to_owned(), LABEL, x + SIGN.0 + 6.0, y);
        if label.area.right() + MARGIN > right && x > MARGIN {
            x = MARGIN;
            y += label.area.height + 8.0;
            label = Label::new(text.to_owned(), LABEL, x + SIGN.0 + 6.0, y);
        }
        let next = label.area.right() + BETWEEN;
        samples.push(Sample { sign, x, y, label });
        x = next;
    }
    samples
}

fn signs(graph: &TargetGraph, spots: &[Spot], lines: &[Line]) -> Vec<(Sign, &'static str)> {
    let has = |is: fn(&NodeRow) -> bool| graph.nodes.iter().any(is);
    let line = |is: fn(&LineKind) -> bool| lines.iter().any(|line| is(&line.kind));
    let diamond = |per_packet: bool| {
        let is = Some(BalancerType::PerPacket);
        { graph.diamonds.iter() }.any(|row| (row.balancer == is) == per_packet)
    };
    let all = [
        (
            has(style::branches),
            Sign::Node("node branching"),
            "several next hops",
        ),
        (
            has(|node| node.is_end),
            Sign::Node("node end"),
            "end of paths",
        ),
        (
            has(style::is_cut),
            Sign::Node("node cut"),
            "a limit or silence ended the search for next hops",
        ),
        (
            has(|node| node.varies),
            Sign::Node("node varies"),
            "inside of a per-packet balancer: links are not known",
        ),
        (diamond(false), Sign::Region("diamond"), "diamond"),
        (
            diamond(true),
            Sign::Region("diamond per-packet"),
            "diamond of a per-packet balancer",
        ),
        (
            spots.iter().any(|spot| spot.node.is_none()),
            Sign::Silence,
            "no answer at this TTL",
        ),
        (
            line(|kind| matches!(kind, LineKind::Guide)),
            Sign::Line("guide"),
            "paths go on, links are not known",
        ),
        (
            line(|kind| matches!(kind, LineKind::Stub)),
            Sign::Line("stub"),
            "the next or the previous hop is silent",
        ),
    ];
    let shown = all.into_iter().filter(|(occurs, _, _)| *occurs);
    shown.map(|(_, sign, text)| (sign, text)).collect()
}

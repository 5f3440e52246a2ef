//! Graphs drawn by chance: what is in their texts, and that no label of the drawing covers another one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::layout::{Area, Label, LineKind, layout};
use super::*;
use crate::analyze::ecmp::{RunFacts, Source, TargetGraph};
use crate::model::{LinkRow, NodeRow, StoppedBy, TraceId, Ttl, diamonds};

fn address(is_v6: bool, ttl: u8, number: u8) -> IpAddr {
    match is_v6 {
        // As long as an address can be.
        true => Ipv6Addr::new(
            0x2001,
            0xdb8,
            0xffff,
            0xeeee,
            0xdddd,
            0xcccc,
            0xbb00 | u16::from(ttl),
            0xaa00 | u16::from(number),
        )
        .into(),
        false => Ipv4Addr::new(10, 0, ttl, number).into(),
    }
}

/// A graph with so many nodes at each TTL, from TTL 1 on, and links between nodes of these numbers.
fn graph(widths: &[u8], links: &[(u8, u8, u8)], is_v6: bool) -> TargetGraph {
    let (trace_id, destination) = (TraceId(3), address(is_v6, 200, 1));
    let mut nodes = Vec::new();
    for (ttl, width) in (1u8..).zip(widths) {
        nodes.extend((0..*width).map(|number| NodeRow {
            trace_id,
            destination,
            ttl: Ttl(ttl),
            address: address(is_v6, ttl, number),
            flows: 6,
            next_hops: Some(u32::from(number)),
            next_hop_flows: Some(6),
            miss_probability: Some(0.03),
            stopped_by: [None, Some(StoppedBy::Points), Some(StoppedBy::Silence)]
                [usize::from(number % 3)],
            varies: ttl == 3 && number % 2 == 1,
            is_end: number == 5,
        }));
    }
    let known: BTreeSet<(Ttl, IpAddr)> =
        nodes.iter().map(|node| (node.ttl, node.address)).collect();
    let row = |&(ttl, near, far): &(u8, u8, u8)| LinkRow {
        trace_id,
        destination,
        ttl: Ttl(ttl),
        near: address(is_v6, ttl, near),
        far: address(is_v6, ttl + 1, far),
        flows: 2,
    };
    let is_known = |link: &LinkRow| {
        known.contains(&(link.ttl, link.near)) && known.contains(&(Ttl(link.ttl.0 + 1), link.far))
    };
    let links: BTreeSet<(u8, u8, u8)> = links.iter().copied().collect();
    let links: Vec<LinkRow> = links.iter().map(row).filter(is_known).collect();
    TargetGraph {
        source: Source::Multipath,
        run: RunFacts {
            run_id: "20260301T000000Z-00000001".to_owned(),
            started_at_us: Some(1_772_323_200_000_000),
            vantage: "ams1".to_owned(),
            protocol: "udp".to_owned(),
            vary: "source_port".to_owned(),
            state: "complete".to_owned(),
            graphs: 0,
            asked_of_graph: Some(0.05),
            asked_of_node: None,
        },
        trace_id,
        target_input: destination.to_string(),
        destination,
        stop_reason: Some("completed".to_owned()),
        algorithm: Some("full".to_owned()),
        flows: 96,
        probes: Some(400),
        failure_bound: Some(0.05),
        first_ttl: 1,
        diamonds: diamonds::find(&nodes, &links),
        nodes,
        links,
    }
}

fn any_graph() -> impl Strategy<Value = TargetGraph> {
    let widths = prop::collection::vec(0u8..9, 1..8);
    let links = prop::collection::vec((1u8..8, 0u8..9, 0u8..9), 0..60);
    (widths, links, any::<bool>()).prop_map(|(widths, links, is_v6)| graph(&widths, &links, is_v6))
}

/// A layer of `width` nodes between two single ones.
fn wide(width: u8, is_v6: bool) -> TargetGraph {
    let out = (0..width).map(|number| (1, 0, number));
    let back = (0..width).map(|number| (2, number, 0));
    let links: Vec<(u8, u8, u8)> = out.chain(back).collect();
    graph(&[1, width, 1], &links, is_v6)
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
}

fn is_within(inner: &Area, outer: &Area) -> bool {
    // A tenth of a pixel is the precision of the text.
    let slack = 0.05;
    inner.x >= outer.x - slack
        && inner.y >= outer.y - slack
        && inner.right() <= outer.right() + slack
        && inner.bottom() <= outer.bottom() + slack
}

/// Nothing covers a label, every label is within its box, and everything is on the page.
fn check_places(graph: &TargetGraph) {
    let layout = layout(graph);
    let page = Area {
        x: 0.0,
        y: 0.0,
        width: layout.width,
        height: layout.height,
    };
    let mut labels: Vec<&Label> = layout.labels.iter().collect();
    for region in &layout.regions {
        for label in &region.labels {
            assert!(
                is_within(&label.area, &region.area),
                "{label:?} is not within its diamond"
            );
        }
        labels.extend(&region.labels);
        let ttls = region.diamond.first_ttl..=region.diamond.last_ttl;
        for spot in &layout.spots {
            match spot.node.is_some_and(|node| ttls.contains(&node.ttl)) {
                true => assert!(is_within(&spot.area, &region.area)),
                false => assert!(!overlap(&spot.area, &region.area)),
            }
        }
        for other in &layout.regions {
            let is_other = other.diamond.first_ttl != region.diamond.first_ttl;
            assert!(!is_other || !overlap(&region.area, &other.area));
        }
    }
    for spot in &layout.spots {
        assert!(is_within(&spot.label.area, &spot.area), "{:?}", spot.label);
    }
    for (at, spot) in layout.spots.iter().enumerate() {
        for other in &layout.spots[..at] {
            assert!(
                !overlap(&spot.area, &other.area),
                "{:?} {:?}",
                spot.label,
                other.label
            );
        }
        for label in &labels {
            assert!(
                !overlap(&spot.area, &label.area),
                "{:?} {label:?}",
                spot.label
            );
        }
    }
    labels.extend(layout.spots.iter().map(|spot| &spot.label));
    labels.extend(layout.legend.iter().map(|sample| &sample.label));
    for (at, label) in labels.iter().enumerate() {
        assert!(
            is_within(&label.area, &page),
            "{label:?} is not on the page"
        );
        for other in &labels[..at] {
            assert!(
                !overlap(&label.area, &other.area),
                "{label:?} covers {other:?}"
            );
        }
    }
}

/// The nodes and links of a graph, as their texts name them.
fn expected(
    graph: &TargetGraph,
    node: impl Fn(&NodeRow) -> String,
    link: impl Fn(&LinkRow) -> String,
) -> (Vec<String>, Vec<String>) {
    let mut nodes: Vec<String> = graph.nodes.iter().map(node).collect();
    let mut links: Vec<String> = graph.links.iter().map(link).collect();
    nodes.sort();
    links.sort();
    (nodes, links)
}

/// What stands between `start` and `end` in every line that has both.
fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    let found = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    });
    let mut found: Vec<String> = found.collect();
    found.sort();
    found
}

fn check_texts(graph: &TargetGraph) {
    let text = svg(graph);
    let (nodes, links) = expected(
        graph,
        |node| format!("{} at TTL {}", node.address, node.ttl.0),
        |link| {
            format!(
                "{} at TTL {} → {}, {} flows",
                link.near, link.ttl.0, link.far, link.flows
            )
        },
    );
    assert_eq!(between(&text, "<g><title>", ":").len(), nodes.len());
    let titles = between(&text, "<g><title>", " flows");
    let titles: Vec<&str> = titles
        .iter()
        .filter_map(|title| Some(title.rsplit_once(": ")?.0))
        .collect();
    assert_eq!(titles, nodes);
    let path = "<path class=\"link\"";
    assert_eq!(text.matches(path).count(), links.len());
    let drawn = text.lines().filter(|line| line.starts_with(path));
    let drawn: Vec<&str> = drawn.collect();
    assert_eq!(between(&drawn.join("\n"), "<title>", "</title>"), links);
    // Each address stands in its box.
    assert_eq!(text.matches("<text class=\"address\"").count(), nodes.len());

    let text = dot(graph);
    let name = |ttl: u8, address: IpAddr| format!("\"{ttl} {address}\"");
    let (nodes, links) = expected(
        graph,
        |node| name(node.ttl.0, node.address),
        |link| {
            let (near, far) = (name(link.ttl.0, link.near), name(link.ttl.0 + 1, link.far));
            format!("{near} -> {far}")
        },
    );
    assert_eq!(between(&text, "    ", " [label="), nodes);
    let arrows = text.lines().filter(|line| line.contains(" -> "));
    let arrows: Vec<&str> = arrows.collect();
    assert_eq!(between(&arrows.join("\n"), "  ", " ["), links);

    let text = graphml(graph);
    let id = |ttl: u8, address: IpAddr| format!("{ttl}-{address}");
    let (nodes, links) = expected(
        graph,
        |node| id(node.ttl.0, node.address),
        |link| {
            let (near, far) = (id(link.ttl.0, link.near), id(link.ttl.0 + 1, link.far));
            format!("source=\"{near}\" target=\"{far}\"")
        },
    );
    assert_eq!(between(&text, "<node id=\"", "\">"), nodes);
    assert_eq!(between(&text, "<edge ", ">"), links);
}

proptest! {
    #[test]
    fn no_label_covers_another_one(graph in any_graph()) {
        check_places(&graph);
    }

    #[test]
    fn every_text_has_the_nodes_and_links_of_the_graph(graph in any_graph()) {
        check_texts(&graph);
    }
}

#[test]
fn wide_graphs_are_legible() {
    for is_v6 in [false, true] {
        for width in [1, 2, 16, 96, 255] {
            let graph = wide(width, is_v6);
            check_places(&graph);
            check_texts(&graph);
        }
    }
}

#[test]
fn long_names_and_markup_stay_within_the_page() {
    let mut graph = wide(3, true);
    graph.target_input = "<script>&\"'\u{1b}[2J".repeat(20);
    graph.run.vantage = "東京".repeat(60);
    graph.run.run_id = "]]>\u{0}".repeat(60);
    check_places(&graph);
    for text in [svg(&graph), graphml(&graph)] {
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{0}']), "{text}");
        // Every `&` starts a reference.
        for rest in text.split('&').skip(1) {
            let name = rest.split_once(';').map(|(name, _)| name);
            let known = ["amp", "lt", "gt", "quot", "apos"];
            assert!(name.is_some_and(|name| known.contains(&name)), "{rest}");
        }
    }
    let text = dot(&graph);
    assert!(
        text.contains("target_input=\"<script>&amp;\\\"' [2J"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_graph_without_nodes_says_so() {
    let graph = graph(&[], &[], false);
    check_places(&graph);
    check_texts(&graph);
    assert!(svg(&graph).contains("no address answered"));
}

#[test]
fn silence_is_a_star_with_guides_and_no_links() {
    let graph = graph(&[1, 0, 2], &[], false);
    let layout = layout(&graph);
    let stars: Vec<&str> = { layout.spots.iter() }
        .filter(|spot| spot.node.is_none())
        .map(|spot| spot.label.text.as_str())
        .collect();
    assert_eq!(stars, ["*"]);
    let guides = layout
        .lines
        .iter()
        .filter(|line| matches!(line.kind, LineKind::Guide));
    assert_eq!(guides.count(), 3, "one to the star, two from it");
    assert!(!svg(&graph).contains("class=\"link\""));
}

#[test]
fn a_silent_hop_of_some_flows_leaves_open_ends() {
    // 1-0 leads to 2-0 only, and 2-1 is behind silence.
    let graph = graph(&[2, 2], &[(1, 0, 0)], false);
    let layout = layout(&graph);
    let stubs = layout
        .lines
        .iter()
        .filter(|line| matches!(line.kind, LineKind::Stub));
    // Behind 1-1, before 2-1, and behind both of the last TTL.
    assert_eq!(stubs.count(), 4);
    assert!(
        !layout
            .lines
            .iter()
            .any(|line| matches!(line.kind, LineKind::Guide))
    );
}

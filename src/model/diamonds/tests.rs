//! Graphs drawn by hand, and the rules on graphs drawn by chance.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::model::TraceId;

/// A node is a letter.
fn address(letter: char) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, letter as u8).into()
}

/// A graph. `hops` has the nodes from TTL 1 on: an empty text is a silent TTL, `~` after a node says that it varies, `!` that it is an end.
/// `links` has pairs of nodes, each linked wherever the nodes are at consecutive TTLs.
fn graph(hops: &[&str], links: &str) -> (Vec<NodeRow>, Vec<LinkRow>) {
    let (trace_id, destination) = (TraceId(7), address('T'));
    let mut nodes: Vec<NodeRow> = Vec::new();
    for (ttl, hop) in (1..).map(Ttl).zip(hops) {
        for name in hop.split_whitespace() {
            nodes.push(NodeRow {
                trace_id,
                destination,
                ttl,
                address: address(name.chars().next().unwrap()),
                flows: 1,
                next_hops: None,
                next_hop_flows: None,
                miss_probability: None,
                stopped_by: None,
                varies: name.ends_with('~'),
                is_end: name.ends_with('!'),
            });
        }
    }
    let mut rows = Vec::new();
    for pair in links.split_whitespace() {
        let letters: Vec<char> = pair.chars().collect();
        let (near, far) = (address(letters[0]), address(letters[1]));
        let before = rows.len();
        for node in nodes.iter().filter(|node| node.address == near) {
            let next = |other: &&NodeRow| other.address == far && other.ttl.0 == node.ttl.0 + 1;
            rows.extend(nodes.iter().find(next).map(|_| LinkRow {
                trace_id,
                destination,
                ttl: node.ttl,
                near,
                far,
                flows: 1,
            }));
        }
        assert!(rows.len() > before, "{pair} are not at consecutive TTLs");
    }
    (nodes, rows)
}

fn diamonds(hops: &[&str], links: &str) -> Vec<DiamondRow> {
    let (mut nodes, mut links) = graph(hops, links);
    let found = find(&nodes, &links);
    nodes.reverse();
    links.reverse();
    links.extend(links.clone());
    assert_eq!(find(&nodes, &links), found, "the order of rows counts");
    found
}

/// The only diamond.
fn diamond(hops: &[&str], links: &str) -> DiamondRow {
    let found = diamonds(hops, links);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// Where a diamond begins and ends: the TTL and the node of its divergence point, and of its convergence point.
fn ends(row: &DiamondRow) -> [(Option<u8>, Option<IpAddr>); 2] {
    [
        (row.divergence_ttl.map(|ttl| ttl.0), row.divergence),
        (row.convergence_ttl.map(|ttl| ttl.0), row.convergence),
    ]
}

/// A TTL and its node.
fn at(ttl: u8, letter: char) -> (Option<u8>, Option<IpAddr>) {
    (Some(ttl), Some(address(letter)))
}

/// Width asymmetry, and whether it is meshed.
fn shape(row: &DiamondRow) -> (Option<u32>, Option<bool>) {
    (row.width_asymmetry, row.meshed)
}

const PARALLEL: (Option<u32>, Option<bool>) = (Some(0), Some(false));

#[test]
fn the_simplest_diamond_has_two_next_hops() {
    assert_eq!(
        diamond(&["a", "b c", "T!"], "ab ac bT cT"),
        DiamondRow {
            trace_id: TraceId(7),
            destination: address('T'),
            first_ttl: Ttl(2),
            last_ttl: Ttl(2),
            divergence_ttl: Some(Ttl(1)),
            divergence: Some(address('a')),
            convergence_ttl: Some(Ttl(3)),
            convergence: Some(address('T')),
            max_width: 2,
            max_length: 2,
            width_asymmetry: Some(0),
            meshed: Some(false),
            balancer: Some(BalancerType::PerFlow),
        }
    );
}

#[test]
fn a_path_has_no_diamond() {
    assert!(diamonds(&["a", "b", "", "T!"], "ab").is_empty());
    assert!(diamonds(&[], "").is_empty());
}

#[test]
fn the_convergence_point_of_one_diamond_may_be_the_divergence_point_of_the_next() {
    let found = diamonds(
        &["a", "b c", "d", "e f g", "T!"],
        "ab ac bd cd de df dg eT fT gT",
    );
    let found_ends: Vec<_> = found.iter().map(ends).collect();
    assert_eq!(
        found_ends,
        [[at(1, 'a'), at(3, 'd')], [at(3, 'd'), at(5, 'T')]]
    );
    let widths: Vec<u32> = found.iter().map(|row| row.max_width).collect();
    assert_eq!(widths, [2, 3]);
}

#[test]
fn nested_diamonds_are_one() {
    // b parts again at d and e, which meet at g.
    let row = diamond(
        &["a", "b c", "d e f", "g h", "T!"],
        "ab ac bd be cf dg eg fh gT hT",
    );
    assert_eq!(ends(&row), [at(1, 'a'), at(5, 'T')]);
    assert_eq!((row.max_width, row.max_length), (3, 4));
    // b has two next hops and c one; g has two nodes before it and h one.
    assert_eq!(shape(&row), (Some(1), Some(false)));
}

#[test]
fn parallel_paths_are_neither_meshed_nor_asymmetric() {
    let row = diamond(
        &["a", "b c", "d e", "f g h i", "T!"],
        "ab ac bd ce df dg eh ei fT gT hT iT",
    );
    assert_eq!(shape(&row), PARALLEL);
    assert_eq!((row.max_width, row.max_length), (4, 4));
}

#[test]
fn more_links_than_parallel_paths_need_are_meshed() {
    // The drawing on the left is parallel, that on the right has one link more.
    for (hops, links, more) in [
        // As many nodes: a node with two links to farther ones, which is one with two links to nearer ones as well.
        (["a", "b c", "d e", "T!"], "bd ce", "be"),
        // More nodes at the farther TTL: two nearer nodes of one farther node.
        (["a", "b c", "d e f g", "T!"], "bd be cf cg", "ce"),
        // Fewer nodes at the farther TTL: two farther nodes of one nearer node.
        (["a", "b c d e", "f g", "T!"], "bf cf dg eg", "cg"),
    ] {
        assert_eq!(shape(&diamond(&hops, links)).1, Some(false), "{links}");
        let meshed = diamond(&hops, &format!("{links} {more}"));
        assert_eq!(shape(&meshed), (Some(1), Some(true)), "{more}");
    }
}

#[test]
fn one_meshed_pair_makes_a_meshed_diamond() {
    let row = diamond(
        &["a", "b c", "d e", "f g", "T!"],
        "ab ac bd ce df dg ef eg fT gT",
    );
    assert_eq!(shape(&row), (Some(0), Some(true)));
}

#[test]
fn the_width_asymmetry_is_that_of_the_side_that_parts() {
    let widens = diamond(&["a", "b c", "d e f g", "T!"], "ab ac bd ce cf cg");
    assert_eq!(shape(&widens), (Some(2), Some(false)));
    let narrows = diamond(&["a", "d e f g", "b c", "T!"], "ad ae af ag db ec fc gc");
    assert_eq!(shape(&narrows), (Some(2), Some(false)));
}

#[test]
fn the_largest_asymmetry_of_all_pairs_counts() {
    let row = diamond(
        &["a", "b c", "d e f g", "h i", "T!"],
        "ab ac bd ce cf cg dh eh fi gi",
    );
    assert_eq!(row.width_asymmetry, Some(2));
}

#[test]
fn branches_of_different_length_meet_where_one_node_is_left() {
    // The target is at TTL 4 of the short branch and at TTL 5 of the long one.
    let row = diamond(&["a", "b c", "d e", "T! f", "T!"], "ab ac bd ce dT ef fT");
    assert_eq!(ends(&row), [at(1, 'a'), at(5, 'T')]);
    assert_eq!((row.max_width, row.max_length), (2, 4));
    assert_eq!(shape(&row), PARALLEL);
}

#[test]
fn a_node_at_two_ttls_is_two_nodes() {
    // The short branch a-b-d meets the long one a-c-e-d one TTL earlier.
    let row = diamond(&["a", "b c", "d e", "T! d", "T!"], "ab ac bd ce dT ed");
    assert_eq!(ends(&row), [at(1, 'a'), at(5, 'T')]);
    assert_eq!((row.first_ttl, row.last_ttl), (Ttl(2), Ttl(4)));
    assert_eq!(row.max_width, 2);
}

#[test]
fn an_end_before_the_others_counts_for_the_width() {
    // b answers unreachable.
    let row = diamond(&["a", "b! c d", "e f", "T!"], "ab ac ad ce df eT fT");
    assert_eq!(row.max_width, 3);
    assert_eq!(shape(&row), PARALLEL);
    // That it has no next hop is no asymmetry.
    let row = diamond(&["a", "b! c", "d e f", "T!"], "ab ac cd ce cf");
    assert_eq!(shape(&row), PARALLEL);
}

#[test]
fn paths_that_do_not_meet_have_no_convergence_point() {
    let row = diamond(&["a", "b c", "d e"], "ab ac bd ce");
    assert_eq!(ends(&row), [at(1, 'a'), (None, None)]);
    assert_eq!((row.last_ttl, row.max_length), (Ttl(3), 2));
}

#[test]
fn paths_that_part_at_the_source_have_no_divergence_point() {
    let row = diamond(&["a b", "T!"], "aT bT");
    assert_eq!(ends(&row), [(None, None), at(2, 'T')]);
    assert_eq!(row.max_length, 2);
    assert_eq!(row.balancer, Some(BalancerType::PerFlow));
}

#[test]
fn a_silent_ttl_counts_as_one_unknown_node() {
    let row = diamond(&["a", "", "b c", "", "T!"], "");
    assert_eq!(ends(&row), [(Some(2), None), (Some(4), None)]);
    assert_eq!(row.max_length, 2);
    assert_eq!(row.balancer, None);

    let inside = diamonds(&["a", "b c", "", "d e", "T!"], "ab ac dT eT");
    let found: Vec<_> = inside.iter().map(ends).collect();
    let silent = (Some(3), None);
    assert_eq!(found, [[at(1, 'a'), silent], [silent, at(5, 'T')]]);
    let balancers: Vec<_> = inside.iter().map(|row| row.balancer).collect();
    assert_eq!(balancers, [Some(BalancerType::PerFlow), None]);
}

#[test]
fn silence_before_the_first_node_is_no_source() {
    let row = diamond(&["", "", "b c", "T!"], "bT cT");
    assert_eq!(ends(&row), [(Some(2), None), at(4, 'T')]);
    assert_eq!(row.balancer, None);
}

#[test]
fn a_per_packet_balancer_has_no_links_to_compare() {
    let row = diamond(&["a", "b~ c~", "d~ e~", "T!"], "");
    assert_eq!(ends(&row), [at(1, 'a'), at(4, 'T')]);
    assert_eq!((row.max_width, row.max_length), (2, 3));
    assert_eq!(shape(&row), (None, None));
    assert_eq!(row.balancer, Some(BalancerType::PerPacket));
}

#[test]
fn one_node_that_varies_makes_the_balancer_per_packet() {
    let row = diamond(&["a", "b c", "d e~", "T!"], "ab ac bd");
    assert_eq!(row.balancer, Some(BalancerType::PerPacket));
    // A convergence point that varies is not inside.
    let row = diamond(&["a", "b c", "T~"], "ab ac bT cT");
    assert_eq!(row.balancer, Some(BalancerType::PerFlow));
}

#[test]
fn a_balancer_that_showed_one_next_hop_is_not_known() {
    let row = diamond(&["a", "b c", "T!"], "ab bT");
    assert_eq!(row.balancer, None);
}

#[test]
fn links_without_their_nodes_do_not_count() {
    let (nodes, mut links) = graph(&["a", "b c", "T!"], "ab ac bT cT");
    let expected = find(&nodes, &links);
    for (ttl, near, far) in [(1, 'a', 'x'), (1, 'x', 'b'), (9, 'b', 'T'), (255, 'a', 'b')] {
        links.push(LinkRow {
            ttl: Ttl(ttl),
            near: address(near),
            far: address(far),
            ..links[0]
        });
    }
    assert_eq!(find(&nodes, &links), expected);
}

/// Any rows of one target, also such that no trace gives. TTLs are few, and at both ends of their range.
fn any_rows() -> impl Strategy<Value = (Vec<NodeRow>, Vec<LinkRow>)> {
    let ttl = || prop_oneof![0..8u8, 250..=255u8];
    let letter = || (0..5u8).prop_map(|at| char::from(b'a' + at));
    let node = (ttl(), letter(), any::<bool>(), any::<bool>());
    let nodes = node.prop_map(|(ttl, letter, varies, is_end)| NodeRow {
        ttl: Ttl(ttl),
        address: address(letter),
        varies,
        is_end,
        ..graph(&["a"], "").0.remove(0)
    });
    let link = (ttl(), letter(), letter());
    let links = link.prop_map(|(ttl, near, far)| LinkRow {
        trace_id: TraceId(7),
        destination: address('T'),
        ttl: Ttl(ttl),
        near: address(near),
        far: address(far),
        flows: 1,
    });
    let nodes = prop::collection::vec(nodes, 0..30);
    (nodes, prop::collection::vec(links, 0..60))
}

proptest! {
    #[test]
    fn every_ttl_with_several_nodes_is_in_one_diamond((nodes, links) in any_rows()) {
        let mut widths: BTreeMap<u8, BTreeSet<IpAddr>> = BTreeMap::new();
        for node in &nodes {
            widths.entry(node.ttl.0).or_default().insert(node.address);
        }
        let width = |ttl: u8| widths.get(&ttl).map_or(0, BTreeSet::len);
        let found = find(&nodes, &links);
        for ttl in 0..=255 {
            let around = found
                .iter()
                .filter(|row| (row.first_ttl.0..=row.last_ttl.0).contains(&ttl));
            prop_assert_eq!(around.count(), usize::from(width(ttl) > 1), "TTL {}", ttl);
        }
        for row in &found {
            let inner = row.first_ttl.0..=row.last_ttl.0;
            prop_assert_eq!(inner.clone().map(width).max(), Some(row.max_width as usize));
            for (ttl, single) in [
                (row.divergence_ttl, row.divergence),
                (row.convergence_ttl, row.convergence),
            ] {
                let nodes = ttl.and_then(|ttl| widths.get(&ttl.0));
                let only = nodes.and_then(|nodes| nodes.first().copied());
                prop_assert!(nodes.is_none_or(|nodes| nodes.len() == 1));
                prop_assert_eq!(single, only);
            }
            prop_assert_eq!(row.width_asymmetry.is_some(), row.meshed.is_some());
        }
    }
}

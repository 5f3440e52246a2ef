//! Single graphs: what is found of unusual networks.

use pathsurvey::model::{Anomaly, StopReason, StoppedBy, Ttl};

use super::networks::{layers, network, truth};
use super::{Found, multipath, survey};
use pathsurvey::lab::LabNetwork;

/// What is found of one target.
fn found(network: &LabNetwork, seed: u64) -> Found {
    let mut found = survey(&multipath(&["198.18.0.77"], seed), network);
    found.pop_first().expect("a target").1
}

#[test]
fn a_chain_is_a_graph_without_a_branching() {
    let network = layers(1, &[1, 1, 1, 1]);
    let found = found(&network, 1);
    assert_eq!(
        found.shape(),
        truth(&network, found.graph.destination, Ttl(32))
    );
    assert_eq!(found.trace.stop_reason, StopReason::Completed);
    assert_eq!((found.graph.branchings, found.graph.diamonds), (0, 0));
    assert_eq!(found.graph.flows, 8);
    assert!((found.graph.failure_bound - 0.05).abs() < 1e-9);
    assert!(found.trace.anomalies.is_empty());
    for node in &found.nodes {
        assert_eq!(node.is_end, node.next_hops.is_none(), "{node:?}");
        assert!(node.stopped_by.is_none_or(|by| by == StoppedBy::Points));
    }
}

#[test]
fn a_balancer_by_packets_is_not_width() {
    let network = network(
        3,
        "
        home > split
        split > a b | balance = \"per_packet\"
        a > join
        b > join
        join > c d
        c > last
        d > last
        last",
    );
    let found = found(&network, 3);
    let whole = truth(&network, found.graph.destination, Ttl(32));
    assert_eq!(found.shape().nodes, whole.nodes);
    assert!(found.shape().links.is_subset(&whole.links));
    assert!(found.trace.anomalies.contains(Anomaly::PerPacketBalancing));
    let varying: Vec<u8> = found
        .nodes
        .iter()
        .filter(|node| node.varies)
        .map(|node| node.ttl.0)
        .collect();
    assert_eq!(varying, [3, 3]);
}

#[test]
fn a_balancer_by_destinations_shows_one_way() {
    let network = network(
        3,
        "
        home > a b | balance = \"per_destination\"
        a > join
        b > join
        join > last
        last",
    );
    let found = found(&network, 3);
    assert_eq!(
        found.shape(),
        truth(&network, found.graph.destination, Ttl(32))
    );
    assert_eq!(found.graph.max_width, 1);
}

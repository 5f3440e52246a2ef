//! Single graphs: what is found of unusual networks.

use std::collections::BTreeSet;

use pathsurvey::config::SurveyConfig;
use pathsurvey::model::{Anomaly, Protocol, StopReason, StoppedBy, Ttl, Vary};
use pathsurvey::targets::Families;

use super::super::experiment::InProcess;
use super::networks::{layers, network, truth};
use super::{Found, drive, multipath, survey};
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

/// Every protocol and family with every field that may vary there.
const FIELDS: [(Protocol, &str, Vary); 11] = [
    (Protocol::Udp, "198.18.0.77", Vary::SourcePort),
    (Protocol::Udp, "198.18.0.77", Vary::DestPort),
    (Protocol::Tcp, "198.18.0.77", Vary::DestPort),
    (Protocol::Icmp, "198.18.0.77", Vary::SourcePort),
    (Protocol::Icmp, "198.18.0.77", Vary::IcmpChecksum),
    (Protocol::Udp, "2001:db8:1000::77", Vary::DestPort),
    (Protocol::Tcp, "2001:db8:1000::77", Vary::DestPort),
    (Protocol::Icmp, "2001:db8:1000::77", Vary::IcmpChecksum),
    (Protocol::Udp, "2001:db8:1000::77", Vary::FlowLabel),
    (Protocol::Tcp, "2001:db8:1000::77", Vary::FlowLabel),
    (Protocol::Icmp, "2001:db8:1000::77", Vary::FlowLabel),
];

#[test]
fn each_field_that_may_vary_shows_all_ways_and_nothing_else_varies() {
    let network = network(
        5,
        "
        home > a b
        a > c d
        b > join
        c > join
        d > join
        join > e f g
        e > last
        f > last
        g > last
        last",
    );
    for (protocol, target, vary) in FIELDS {
        let text = format!("{protocol} {target} {vary}");
        let config = SurveyConfig {
            protocol,
            vary,
            graph_confidence: 0.9999,
            ..multipath(&[target], 5)
        };
        let config = match target.contains(':') {
            true => of_ipv6(config),
            false => config,
        };
        let found = survey(&config, &network).pop_first().expect("a target").1;
        let whole = truth(&network, found.graph.destination, Ttl(32));
        assert_eq!(found.shape(), whole, "{text}");
        assert_eq!(found.trace.stop_reason, StopReason::Completed, "{text}");

        let hops = drive(&config, &mut InProcess::new(network.clone())).hops;
        let different = |of: fn(&pathsurvey::model::HopRecord) -> u32| {
            hops.iter().map(of).collect::<BTreeSet<u32>>().len()
        };
        let flows = different(|row| row.flow.0.into());
        assert!(flows > 10, "{text}");
        let varied = [
            different(|row| row.src_port.unwrap_or(0).into()),
            different(|row| row.dst_port.unwrap_or(0).into()),
            different(|row| row.icmp_id.unwrap_or(0).into()),
            different(|row| row.flow_label.unwrap_or(0)),
            // The checksum of UDP and TCP probes differs in every packet, and no balancer goes by it.
            match protocol {
                Protocol::Icmp => different(|row| row.probe_checksum.unwrap_or(0).into()),
                Protocol::Udp | Protocol::Tcp => 1,
            },
        ];
        let expected = match (protocol, vary) {
            // Drawn checksums may be equal.
            (Protocol::Icmp, Vary::SourcePort) => {
                assert!(varied[4] > flows * 9 / 10, "{text}");
                [1, 1, flows, 1, varied[4]]
            }
            (_, Vary::SourcePort) => [flows, 1, 1, 1, 1],
            (_, Vary::DestPort) => [1, flows, 1, 1, 1],
            (_, Vary::IcmpChecksum) => [1, 1, 1, 1, flows],
            (_, Vary::FlowLabel) => [1, 1, 1, flows, 1],
        };
        assert_eq!(varied, expected, "{text}");
    }
}

fn of_ipv6(mut config: SurveyConfig) -> SurveyConfig {
    config.targets.families = Families::Ipv6;
    config.targets.resolve_targets = Families::Ipv6;
    config
}

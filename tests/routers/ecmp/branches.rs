//! Which branches show to which probes. A Linux router chooses a next hop by a hash; its policy names the fields:
//!
//! | policy | fields |
//! |---|---|
//! | 0 | addresses; with IPv6 the flow label, too |
//! | 1 | addresses, protocol and ports; nothing of ICMP but addresses and protocol |
//! | 3 | those that `fib_multipath_hash_fields` names |
//!
//! Flows that differ in a field that is not hashed show one path.

use super::fabric::{Fabric, Shape};
use super::graphs::{
    Graphs, SURELY, SURELY_BOUND, check_all, check_nothing_is_false, survey, together,
};
use crate::routers::chain::Family;
use crate::support::Outcome;

const TARGETS: u32 = 64;
const FEW_TARGETS: u32 = 16;

/// The bound of a survey without options.
const USUAL_BOUND: f64 = 0.05;

/// The fields of policy 3.
const FLOW_LABEL: &str = "0x08";
const SOURCE_PORT: &str = "0x10";
const DESTINATION_PORT: &str = "0x20";

/// Flows that differ in their flow labels.
const FLOW_LABELS: [&str; 3] = ["--ipv6", "--vary", "flow-label"];

/// Every target shows all nodes and links of both tiers.
fn finds_all(fabric: &Fabric, family: Family, policy: &[&str], options: &[&str]) -> Outcome {
    fabric.change("policy", policy);
    let graphs = survey(fabric, family, &[&SURELY[..], options].concat());
    check_all(&graphs, SURELY_BOUND, |target| fabric.truth(family, target));
    Ok(())
}

pub fn udp_under_policy_1(shape: Shape, family: Family) -> Outcome {
    finds_all(&Fabric::up(shape, TARGETS)?, family, &["1"], &[])
}

/// The port is closed: targets answer with resets.
pub fn tcp_under_policy_1(shape: Shape, family: Family) -> Outcome {
    finds_all(
        &Fabric::up(shape, TARGETS)?,
        family,
        &["1"],
        &["--protocol", "tcp"],
    )
}

pub fn source_ports_under_policy_3(family: Family) -> Outcome {
    let tcp = ["--protocol", "tcp"];
    finds_all(
        &Fabric::up(Shape::Mesh, FEW_TARGETS)?,
        family,
        &["3", SOURCE_PORT],
        &tcp,
    )
}

/// Each target shows one path, and no node beside another. The targets together show all branches, because their addresses are hashed.
fn finds_one(family: Family, policy: &[&str], options: &[&str]) -> Outcome {
    let fabric = Fabric::up(Shape::Mesh, TARGETS)?;
    fabric.change("policy", policy);
    let graphs = survey(&fabric, family, options);
    one_path_each(&fabric, family, &graphs);
    Ok(())
}

fn one_path_each(fabric: &Fabric, family: Family, graphs: &Graphs) {
    check_nothing_is_false(graphs, |target| fabric.truth(family, target));
    for (target, graph) in graphs {
        let ttls: Vec<u8> = graph.found.nodes.iter().map(|(ttl, _)| *ttl).collect();
        assert_eq!(ttls, [1, 2, 3, 4, 5], "{target}: {graph:?}");
        assert_eq!(graph.found.links.len(), 4, "{target}: {graph:?}");
        assert_eq!(graph.stop_reason, "completed", "{target}");
    }
    // A given node of a tier of four is passed by no target with the probability 0.75^64. So one of the eight is missing with 8 in 10^8.
    let truth = fabric.truth(family, graphs.keys().copied().next().unwrap());
    let shown = together(graphs).nodes;
    let routers = truth.nodes.into_iter().filter(|(ttl, _)| *ttl < 5);
    let hidden: Vec<_> = routers.filter(|node| !shown.contains(node)).collect();
    assert!(hidden.is_empty(), "no target shows {hidden:?}");
}

pub fn icmp_under_policy_1(family: Family) -> Outcome {
    finds_one(family, &["1"], &["--protocol", "icmp"])
}

/// Only source ports differ between the flows of a target. The flow label does not.
pub fn udp_under_policy_0(family: Family) -> Outcome {
    finds_one(family, &["0"], &[])
}

pub fn flow_labels_under_policy_0(protocol: &str) -> Outcome {
    let options = [&FLOW_LABELS[..], &["--protocol", protocol]].concat();
    finds_all(
        &Fabric::up(Shape::Mesh, FEW_TARGETS)?,
        Family::V6,
        &["0"],
        &options,
    )
}

pub fn flow_labels_under_policy_3(protocol: &str) -> Outcome {
    let options = [&FLOW_LABELS[..], &["--protocol", protocol]].concat();
    finds_all(
        &Fabric::up(Shape::Mesh, FEW_TARGETS)?,
        Family::V6,
        &["3", FLOW_LABEL],
        &options,
    )
}

pub fn destination_ports_under_policy_3(family: Family) -> Outcome {
    let options = ["--protocol", "tcp", "--vary", "dest-port"];
    finds_all(
        &Fabric::up(Shape::Mesh, FEW_TARGETS)?,
        family,
        &["3", DESTINATION_PORT],
        &options,
    )
}

pub fn flow_labels_under_policy_1(protocol: &str) -> Outcome {
    let options = [&FLOW_LABELS[..], &["--protocol", protocol]].concat();
    finds_one(Family::V6, &["1"], &options)
}

pub fn icmp_checksums_under_policy_1(family: Family) -> Outcome {
    let options = ["--protocol", "icmp", "--vary", "icmp-checksum"];
    finds_one(family, &["1"], &options)
}

/// As many graphs are incomplete as the default confidence allows, and no more.
pub fn misses_keep_the_bound(family: Family) -> Outcome {
    let fabric = Fabric::up(Shape::Tree, 400)?;
    let graphs = survey(&fabric, family, &["--protocol", "tcp"]);
    check_all(&graphs, USUAL_BOUND, |target| fabric.truth(family, target));
    Ok(())
}

//! What else Linux routers do with next hops, and what multipath tracing shows of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::fabric::{Fabric, Shape};
use super::graphs::{
    Graph, SURELY, SURELY_BOUND, check_all, check_nothing_is_false, count_misses, survey,
    survey_that_tells,
};
use super::most_misses;
use crate::routers::chain::Family;
use crate::support::{Outcome, note};
use crate::tools::installed;

/// Targets answer these by resets, which no limit counts. So surveys take less time.
const TCP: [&str; 2] = ["--protocol", "tcp"];

/// Nine of ten flows take one of two next hops. The first stopping point is 8 flows. So the other next hop stays hidden with the
/// probability 0.9^8, and the graph looks whole. The bound of the survey does not hold: it takes even balancing for granted.
pub fn unequal_weights(family: Family) -> Outcome {
    let fabric = Fabric::up(Shape::Fan, 64)?;
    fabric.change("forth", &["r1", "plain", "a1:9", "a2:1"]);
    let graphs = survey(&fabric, family, &TCP);
    let [_, lighter, a3, a4] = ["a1", "a2", "a3", "a4"].map(|node| fabric.router(family, node));
    let misses = count_misses(&graphs, |target| {
        fabric.truth(family, target).without(a3).without(a4)
    });
    let hidden = { graphs.values() }.filter(|graph| !graph.found.nodes.contains(&(2, lighter)));
    assert_eq!(hidden.count(), misses as usize, "something else is missing");
    let targets = fabric.targets();
    let probability = 0.9_f64.powi(8);
    let most = most_misses(targets, probability);
    let least = targets - most_misses(targets, 1.0 - probability);
    assert!(
        (least..=most).contains(&misses),
        "{misses}: not in {least}..={most}"
    );
    note(&format!(
        "{misses} of {targets} graphs lack the next hop that one flow of ten takes"
    ));
    Ok(())
}

/// A resilient group keeps its buckets when a next hop is removed. The removed one is not found any more, and all others are.
pub fn resilient_groups(family: Family) -> Outcome {
    let fabric = Fabric::up(Shape::Fan, 32)?;
    let options = [&SURELY[..], &TCP].concat();
    let all = ["r1", "resilient", "a1:1", "a2:1", "a3:1", "a4:1"];
    fabric.change("forth", &all);
    let graphs = survey(&fabric, family, &options);
    check_all(&graphs, SURELY_BOUND, |target| fabric.truth(family, target));
    fabric.change("forth", &all[..5]);
    let graphs = survey(&fabric, family, &options);
    let removed = fabric.router(family, "a4");
    check_all(&graphs, SURELY_BOUND, |target| {
        fabric.truth(family, target).without(removed)
    });
    Ok(())
}

/// One of four next hops forwards and does not answer. It is no node, and no link leads over it.
pub fn a_silent_next_hop(family: Family) -> Outcome {
    installed("nft", "--version", "nftables")?;
    let fabric = Fabric::up(Shape::Fan, 16)?;
    fabric.change("silence", &["a3"]);
    let options = [&SURELY[..], &TCP, &["--timeout", "1"]].concat();
    let graphs = survey(&fabric, family, &options);
    let silent = fabric.router(family, "a3");
    check_all(&graphs, SURELY_BOUND, |target| {
        fabric.truth(family, target).without(silent)
    });
    Ok(())
}

/// A router that tracks connections, and drops what does not belong to one, forwards the probes of all flows and the answers to them.
pub fn a_stateful_router(family: Family) -> Outcome {
    installed("nft", "--version", "nftables")?;
    let fabric = Fabric::up(Shape::Fan, 32)?;
    fabric.change("track", &["r1"]);
    for protocol in [&TCP[..], &[]] {
        let graphs = survey(&fabric, family, &[&SURELY[..], protocol].concat());
        check_all(&graphs, SURELY_BOUND, |target| fabric.truth(family, target));
    }
    Ok(())
}

/// A rule draws a next hop for each packet. All of them are found and marked, and no link is drawn to or from them.
pub fn packets_balanced_one_by_one(family: Family) -> Outcome {
    installed("nft", "--version", "nftables")?;
    let fabric = Fabric::up(Shape::Fan, 32)?;
    fabric.change("per-packet", &["r1"]);
    let graphs = survey(&fabric, family, &[&SURELY[..], &TCP].concat());
    let inside = [1, 2, 3, 4].map(|at| (2, fabric.router(family, &format!("a{at}"))));
    let inside = BTreeSet::from(inside);
    check_all(&graphs, SURELY_BOUND, |target| {
        let mut truth = fabric.truth(family, target);
        truth.links.retain(|(ttl, _, _)| *ttl > 2);
        truth
    });
    for (target, graph) in &graphs {
        assert_eq!(graph.varying, inside, "{target}");
    }
    Ok(())
}

/// A rule draws one of two halves for each packet. In both halves, routers balance by flows. So the flows seem to pass one of sixteen nodes
/// each, but two packets of a flow pass the same node with the probability 1/2, not 1/16. No link leads from one half to the other.
pub fn halves_drawn_for_each_packet(family: Family) -> Outcome {
    installed("nft", "--version", "nftables")?;
    let fabric = Fabric::up(Shape::Halves, 16)?;
    fabric.change("per-packet", &["r1"]);
    let graphs = survey(&fabric, family, &[&SURELY[..], &TCP].concat());
    check_nothing_is_false(&graphs, |target| fabric.truth(family, target));
    for (target, graph) in &graphs {
        assert!(!graph.varying.is_empty(), "{target}: {graph:?}");
        check_ways_of_halves(target, graph);
    }
    Ok(())
}

/// Both halves show: the routers behind them, and the end.
fn check_ways_of_halves(target: &IpAddr, graph: &Graph) {
    let at = |wanted: u8| {
        let nodes = graph.found.nodes.iter();
        nodes.filter(|(ttl, _)| *ttl == wanted).count()
    };
    assert!(at(3) > 2, "{target}: {graph:?}");
    assert_eq!(graph.stop_reason, "completed", "{target}");
}

/// As before, and the first routers of both halves do not answer. So nothing shows that a balancer by packets is there, but its effect.
pub fn silent_halves_drawn_for_each_packet(family: Family) -> Outcome {
    installed("nft", "--version", "nftables")?;
    let fabric = Fabric::up(Shape::Halves, 16)?;
    fabric.change("per-packet", &["r1"]);
    for silent in ["a1", "a2"] {
        fabric.change("silence", &[silent]);
    }
    let options = [&SURELY[..], &TCP, &["--timeout", "1"]].concat();
    let graphs = survey(&fabric, family, &options);
    check_nothing_is_false(&graphs, |target| fabric.truth(family, target));
    for (target, graph) in &graphs {
        check_ways_of_halves(target, graph);
    }
    Ok(())
}

/// The vantage point itself balances over two uplinks. All flows of a target leave by one of them. A warning says so, and its remedy
/// shows each.
pub fn uplinks(family: Family) -> Outcome {
    let fabric = Fabric::up(Shape::Uplinks, 32)?;
    let options = [&SURELY[..], &TCP].concat();
    let (graphs, told) = survey_that_tells(&fabric, family, &options);
    assert!(told.contains("survey once with each --interface"), "{told}");
    check_nothing_is_false(&graphs, |target| fabric.truth(family, target));
    for (target, graph) in &graphs {
        assert_eq!(graph.found.nodes.len(), 3, "{target}: {graph:?}");
    }
    for (interface, other) in [("to-a1", "a2"), ("to-a2", "a1")] {
        let options = [&options[..], &["--interface", interface]].concat();
        let graphs = survey(&fabric, family, &options);
        let other = fabric.router(family, other);
        check_all(&graphs, SURELY_BOUND, |target| {
            fabric.truth(family, target).without(other)
        });
    }
    Ok(())
}

//! A survey's paths, and what the chain allows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::chain::Family;
use super::survey::Row;

/// Who answered from each TTL, from 1.
pub type Path = Vec<Option<IpAddr>>;

/// The paths of a survey, by the port (or identifier) of the flow, each up to the first answer from the target.
pub fn paths_of(rows: &[Row]) -> BTreeMap<u16, Path> {
    let mut flows: BTreeMap<u16, BTreeMap<u8, &Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.purpose != "distance") {
        let ttl = row.ttl.expect("a TTL");
        let earlier = flows.entry(row.port()).or_default().insert(ttl, row);
        if let Some(earlier) = earlier {
            panic!("more than one row of a flow and TTL: {earlier:?} and {row:?}");
        }
    }
    let path = |hops: BTreeMap<u8, &Row>| {
        let mut path = Path::new();
        for (at, (ttl, row)) in hops.into_iter().enumerate() {
            assert_eq!(usize::from(ttl), at + 1, "a TTL is missing before {row:?}");
            path.push(row.responder);
            if row.responder == Some(row.destination) {
                break;
            }
        }
        path
    };
    flows
        .into_iter()
        .map(|(port, hops)| (port, path(hops)))
        .collect()
}

/// Fails unless every path leads to the target from each router to one that it is linked with.
pub fn check_links(paths: &BTreeMap<u16, Path>, family: Family) {
    let tiers = family.tiers();
    for (port, path) in paths {
        assert_eq!(path.len(), tiers.len(), "port {port}: {path:?}");
        for (responder, tier) in path.iter().zip(&tiers) {
            // All of a tier are linked with all of the next.
            let known = responder.is_some_and(|address| tier.contains(&address));
            assert!(
                known,
                "{responder:?} is not of {tier:?}: port {port}, {path:?}"
            );
        }
    }
}

/// Who answered from each TTL, whatever the flow.
pub fn branches(paths: &BTreeMap<u16, Path>) -> Vec<BTreeSet<IpAddr>> {
    let longest = paths.values().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .map(|at| {
            let responders = paths.values().filter_map(|path| *path.get(at)?);
            responders.collect()
        })
        .collect()
}

//! Networks whose paths are out of the ordinary: each trace has the rows and the ending that follow from its path.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use pathsurvey::model::Ttl;

use super::lab::{Surveyed, config, network, survey};
use super::truth::{all_alike, by_trace, complete_and_exact, ending, rows_agree, truth_of};
use crate::support::{Ignored, Outcome};

/// Surveys a network in which nothing is left to chance: every reply is the truth, and none is missing.
fn certain(name: &str, targets: &[&str]) -> Result<Surveyed, Ignored> {
    let mut config = config(targets);
    config.timeout = Duration::from_secs(1);
    let surveyed = survey(network(name), config)?;
    surveyed.account();
    rows_agree(&surveyed.network, &surveyed.dataset, true);
    Ok(surveyed)
}

pub fn silence() -> Outcome {
    let blocks = ["198.18.0.0/26", "198.18.1.0/26", "198.18.2.0/26"];
    let surveyed = certain("silence.toml", &blocks)?;
    let dataset = &surveyed.dataset;
    let reached = ("completed", true, Some(4));
    let answering = all_alike(dataset, [198, 18, 0], "1:r 2:tt 3:r 4:r d:r", reached);
    // Five silent TTLs behind the last that answered, each tried twice.
    let lost = "1:r 2:tt 3:r 4:tt 5:tt 6:tt 7:tt 8:tt d:t";
    let gap = ("gap_limit", false, None);
    let silent = all_alike(dataset, [198, 18, 1], lost, gap);
    let discarded = all_alike(dataset, [198, 18, 2], lost, gap);
    assert_eq!((answering, silent, discarded), (64, 64, 64));
    Ok(())
}

pub fn looping() -> Outcome {
    let surveyed = certain("loop.toml", &["198.18.0.0/26", "198.18.1.0/26"])?;
    let dataset = &surveyed.dataset;
    let reached = ("completed", true, Some(4));
    let straight = all_alike(dataset, [198, 18, 0], "1:r 2:r 3:r 4:r d:r", reached);
    // The core comes back at TTL 4, and five further TTLs bring no new address.
    let round = "1:r 2:r 3:r 4:r 5:r 6:r 7:r 8:r 9:r d:r";
    let looping = all_alike(dataset, [198, 18, 1], round, ("loop", false, None));
    assert_eq!((straight, looping), (64, 64));
    Ok(())
}

pub fn unreachable() -> Outcome {
    let blocks: Vec<String> = (0..=5).map(|n| format!("198.18.{n}.0/27")).collect();
    let blocks: Vec<&str> = blocks.iter().map(String::as_str).collect();
    let surveyed = certain("unreachable.toml", &blocks)?;
    let dataset = &surveyed.dataset;
    let reached = ("completed", true, Some(4));
    assert_eq!(
        all_alike(dataset, [198, 18, 0], "1:r 2:r 3:r 4:r d:r", reached),
        32
    );
    let refused = ("unreachable", false, None);
    // The last router shows as a hop first (TTL 3) and refuses what it is to pass on, one TTL later than the distance says.
    let behind = "1:r 2:r 3:r 4:r d:r";
    for block in 1..=4 {
        assert_eq!(all_alike(dataset, [198, 18, block], behind, refused), 32);
    }
    assert_eq!(
        all_alike(dataset, [198, 18, 5], "1:r 2:r 3:r d:r", refused),
        32
    );
    let mut codes: HashMap<u8, BTreeSet<u8>> = HashMap::new();
    for row in &dataset.hops {
        let reply = row.reply.as_ref().unwrap();
        if reply.icmp_type == 3 {
            let block = row.destination.octets()[2];
            codes.entry(block).or_default().insert(reply.icmp_code);
        }
    }
    let expected = [(0, 3), (1, 0), (2, 1), (3, 13), (4, 9), (5, 1)];
    assert_eq!(
        codes,
        expected.map(|(block, code)| (block, [code].into())).into()
    );
    Ok(())
}

pub fn zero_ttl() -> Outcome {
    let surveyed = certain("zero-ttl.toml", &["198.18.0.0/26"])?;
    // The third router shows twice, which is no loop.
    complete_and_exact(&surveyed.network, &surveyed.dataset);
    let shown: HashSet<(u8, Ipv4Addr, u8)> = surveyed
        .dataset
        .hops
        .iter()
        .filter(|row| row.ttl == 2 || row.ttl == 3)
        .map(|row| {
            let reply = row.reply.as_ref().unwrap();
            (row.ttl, reply.responder, reply.quoted.ttl)
        })
        .collect();
    let core = [10, 0, 2, 1].into();
    assert_eq!(shown, [(2, core, 0), (3, core, 1)].into());
    Ok(())
}

pub fn mpls() -> Outcome {
    let surveyed = certain("mpls.toml", &["198.18.0.0/26"])?;
    complete_and_exact(&surveyed.network, &surveyed.dataset);
    let shown: HashSet<(u8, Vec<u32>)> = surveyed
        .dataset
        .hops
        .iter()
        .map(|row| {
            let stack = &row.reply.as_ref().unwrap().mpls;
            (row.ttl, stack.iter().map(|label| label.0).collect())
        })
        .filter(|(_, labels): &(u8, Vec<u32>)| !labels.is_empty())
        .collect();
    assert_eq!(shown, [(3, vec![24001]), (4, vec![24002, 300])].into());
    Ok(())
}

/// Flows over balancers: each has its own path, and each is complete.
pub fn diamond() -> Outcome {
    let mut config = config(&["198.18.0.0/27", "198.18.1.0/27"]);
    config.flows = 3;
    let surveyed = survey(network("diamond.toml"), config)?;
    surveyed.account();
    let (network, dataset) = (&surveyed.network, &surveyed.dataset);
    rows_agree(network, dataset, true);
    let rows = by_trace(dataset);
    assert_eq!(dataset.traces.len(), 64 * 3);
    let mut paths: HashMap<Ipv4Addr, BTreeSet<Vec<Ipv4Addr>>> = HashMap::new();
    for trace in &dataset.traces {
        assert_eq!(trace.src_port, 24_000 + trace.flow as u16);
        let truth = truth_of(network, trace.destination, trace.src_port, 33_434);
        let length = truth.path_length().unwrap();
        assert_eq!(ending(trace), ("completed", true, Some(length.0)));
        let mut path = Vec::new();
        for ttl in 1..=length.0 {
            let of_ttl: Vec<_> = rows[&trace.trace_id]
                .iter()
                .filter(|row| row.ttl == ttl)
                .collect();
            assert_eq!(of_ttl.len(), 1, "{} at {ttl}", trace.destination);
            let responder = of_ttl[0].reply.as_ref().unwrap().responder;
            let true_one = truth.hop(Ttl(ttl)).unwrap().responder();
            assert_eq!(Some(IpAddr::from(responder)), true_one);
            path.push(responder);
        }
        paths.entry(trace.destination).or_default().insert(path);
    }
    // Per flow where balancers share out flows; by destination alone at the first split where they share out destinations.
    assert!(paths.values().any(|paths| paths.len() == 3));
    let split = |path: &Vec<Ipv4Addr>| path[2];
    for (destination, paths) in &paths {
        if destination.octets()[2] == 1 {
            let ways: HashSet<_> = paths.iter().map(split).collect();
            assert_eq!(ways.len(), 1, "{destination}");
        }
    }
    let ways: HashSet<_> = paths.values().flatten().map(split).collect();
    assert_eq!(ways.len(), 2);
    Ok(())
}

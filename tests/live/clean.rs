//! Where the network is clean, the dataset is the truth, row for row.

use std::collections::HashSet;

use pathsurvey::config::StrategyChoice;
use pathsurvey::model::{Rate, Ttl};

use super::lab::{config, network, repository, survey};
use super::truth::{complete_and_exact, rows_agree, truth_of};
use crate::support::Outcome;

pub fn thousands_of_targets() -> Outcome {
    let mut config = config(&[]);
    config.targets.files = vec![repository().join("sample-targets/lab.csv")];
    config.rate = Rate::new(20_000.0).unwrap();
    // What is on its way at a time then fits into every queue and buffer, however long the machine holds up whoever empties
    // it: nothing may be lost.
    config.window = 1_000;
    let surveyed = survey(network("generated-clean.toml"), config)?;
    let dataset = &surveyed.dataset;
    assert!(dataset.traces.len() >= 5_000);
    let destinations: HashSet<_> = dataset.traces.iter().map(|t| t.destination).collect();
    assert_eq!(destinations.len(), dataset.traces.len());
    complete_and_exact(&surveyed.network, dataset);
    let accounted = surveyed.account();
    assert!(accounted.iter().all(|probe| probe.own.status == "replied"));
    assert_eq!(dataset.hops.len(), accounted.len());
    Ok(())
}

pub fn every_ttl_of_a_sweep() -> Outcome {
    let mut config = config(&["198.18.0.0/24", "198.18.77.0/24"]);
    config.strategy = StrategyChoice::Sweep;
    config.max_ttl = Ttl(16);
    let surveyed = survey(network("generated-clean.toml"), config)?;
    let dataset = &surveyed.dataset;
    rows_agree(&surveyed.network, dataset, true);
    // Every target and TTL once, and nothing else.
    let mut probed: Vec<_> = dataset
        .hops
        .iter()
        .map(|row| (row.destination, row.ttl))
        .collect();
    probed.sort_unstable();
    let expected: Vec<_> = [[198, 18, 0], [198, 18, 77]]
        .into_iter()
        .flat_map(|[a, b, c]| (0..=255).map(move |d| [a, b, c, d].into()))
        .flat_map(|target| (1..=16).map(move |ttl| (target, ttl)))
        .collect();
    assert_eq!(probed, expected);
    assert!(dataset.traces.is_empty());
    for probe in surveyed.account() {
        let row = probe.own;
        let truth = truth_of(
            &surveyed.network,
            row.destination,
            row.src_port,
            row.dst_port,
        );
        let silent = truth.hop(Ttl(row.ttl)).unwrap().is_silent();
        assert_eq!(row.status, if silent { "timeout" } else { "replied" });
        assert_eq!(row.purpose, "sweep");
    }
    Ok(())
}

//! A sweep: every (target, flow, TTL) exactly once, and each row what that TTL shows.

use std::collections::BTreeSet;

use pathsurvey::config::StrategyChoice;
use pathsurvey::lab::{GeneratedOptions, LabNetwork};
use pathsurvey::model::{Purpose, Status, Ttl};

use super::experiment::{Observed, config, lab, observe};
use super::truth::Truths;
use super::{oracle, truth};

fn sweep(targets: &[&str], flows: u16, ttls: (u8, u8), network: LabNetwork) -> Observed {
    let mut survey = config(targets, 7);
    survey.strategy = StrategyChoice::Sweep;
    survey.flows = flows;
    (survey.first_ttl, survey.max_ttl) = (Ttl(ttls.0), Ttl(ttls.1));
    let run = observe(survey, network);
    oracle::check(&run);
    truth::check(&run, &mut Truths::new(&run.network));
    assert!(run.traces.is_empty());
    let mut seen = BTreeSet::new();
    for row in run.hops.iter().filter(|row| row.reply_index == 0) {
        assert_eq!((row.purpose, row.attempt), (Purpose::Sweep, 1));
        assert!(
            seen.insert((row.destination, row.flow, row.ttl)),
            "twice: {row:?}"
        );
    }
    let wanted: BTreeSet<_> = run
        .targets
        .iter()
        .flat_map(|(_, target)| (0..flows).map(move |flow| (target, flow)))
        .flat_map(|(target, flow)| {
            (ttls.0..=ttls.1)
                .map(move |ttl| (target, pathsurvey::model::FlowId(flow), Some(Ttl(ttl))))
        })
        .collect();
    assert_eq!(seen, wanted);
    run
}

#[test]
fn a_clean_network_shows_every_ttl_of_every_flow_to_beyond_the_target() {
    for (targets, flows, ttls) in [("198.18.9.0/24", 1, (1, 32)), ("198.18.9.0/26", 5, (3, 17))] {
        let network = LabNetwork::generated_with(3, GeneratedOptions::clean());
        let run = sweep(&[targets], flows, ttls, network);
        let mut truths = Truths::new(&run.network);
        for row in &run.hops {
            let truth = truths.of_row(row).clone();
            let hop = row.ttl.and_then(|ttl| truth.hop(ttl)).expect("a hop");
            assert_eq!(row.responder(), hop.responder(), "{row:?}");
            let micros = hop.answer().map(|answer| answer.rtt.as_micros());
            assert_eq!(
                row.rtt_us.map(|micros| micros.unsigned_abs().into()),
                micros,
                "{row:?}"
            );
        }
    }
}

/// Rows of a sweep are final at once: what comes late is an extra row.
#[test]
fn faults_are_told_probe_by_probe() {
    for (name, least_silent) in [
        ("loss", 1_000),
        ("silence", 500),
        ("rate-limit", 200),
        ("loop", 0),
    ] {
        let run = sweep(
            &["198.18.0.0/24", "198.18.1.0/24"],
            1,
            (1, 12),
            lab(name, 2),
        );
        let silent = run
            .hops
            .iter()
            .filter(|row| row.status == Status::Timeout)
            .count();
        assert!(silent >= least_silent, "{name}: {silent}");
    }
}

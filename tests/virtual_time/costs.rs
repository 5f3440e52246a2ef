//! What a trace costs in probes.

use pathsurvey::lab::{GeneratedOptions, LabNetwork};
use pathsurvey::model::{Protocol, Purpose, StopReason, Ttl};

use super::experiment::{config, observe};
use super::lengths::{self, DISTANCE};
use super::truth::Truths;

const TARGETS: [&str; 2] = ["198.18.7.0/25", "198.19.200.0/25"];

/// With every flow's path length d, a target costs the sum of all d, and one probe a flow that asks for the distance.
#[test]
fn a_clean_path_costs_its_length_and_one_probe_more() {
    for (seed, flows) in [(1, 1), (2, 1), (3, 4)] {
        let network = LabNetwork::generated_with(seed, GeneratedOptions::clean());
        let mut survey = config(&TARGETS, seed);
        survey.flows = flows;
        let run = observe(survey, network);
        let mut truths = Truths::new(&run.network);
        let lengths: u64 = run
            .traces
            .iter()
            .map(|trace| {
                u64::from(
                    truths
                        .of_trace(&run, trace)
                        .path_length()
                        .expect("reached")
                        .0,
                )
            })
            .sum();
        let targets = run.traces.len() as u64 / u64::from(flows);
        assert_eq!(
            run.recorded.len() as u64,
            lengths + run.traces.len() as u64,
            "flows {flows}"
        );
        println!(
            "seed {seed}, {flows} flows: {:.2} probes a target, {:.2} a trace",
            run.recorded.len() as f64 / targets as f64,
            run.recorded.len() as f64 / run.traces.len() as f64
        );
    }
}

/// With silence, loss and limits about, what is spent beyond that is spent on silent TTLs alone.
#[test]
fn only_silence_costs_more() {
    let run = observe(config(&TARGETS, 5), LabNetwork::generated(5));
    for trace in &run.traces {
        let of_trace = run
            .hops
            .iter()
            .filter(|row| row.trace_id == trace.trace_id && row.reply_index == 0);
        let probes: Vec<_> = of_trace
            .filter(|row| row.purpose != Purpose::Distance)
            .collect();
        for row in &probes {
            let before = probes
                .iter()
                .filter(|other| other.ttl == row.ttl && other.attempt < row.attempt);
            assert!(
                before
                    .into_iter()
                    .all(|other| other.rtt_us.is_none_or(|rtt| rtt > 3_000_000)),
                "{row:?}"
            );
        }
    }
    let per_target = run.recorded.len() as f64 / run.traces.len() as f64;
    println!("{per_target:.2} probes a target in the default network");
    assert!(per_target < 20.0, "{per_target}");
}

/// Nothing but the target's own error tells that the silence before it is a router's.
#[test]
fn a_silent_last_router_costs_one_probe_more_where_nothing_told_the_distance() {
    for protocol in [Protocol::Udp, Protocol::Icmp, Protocol::Tcp] {
        let run = lengths::survey(protocol, 2, 1, lengths::network(1, 0.0, true));
        // Every TTL, the distance, and the silent one again; of UDP the target's own error tells how far it is.
        let told = protocol == Protocol::Udp;
        let wanted = usize::from(DISTANCE.0) + 1 + if told { 1 } else { 2 };
        for trace in &run.traces {
            assert_eq!(trace.stop_reason, StopReason::Completed);
            assert_eq!(trace.path_length, Some(DISTANCE));
            assert_eq!(trace.probes_sent as usize, wanted, "{protocol:?}");
        }
        let retries = run.hops.iter().filter(|row| row.purpose == Purpose::Retry);
        assert!(retries.clone().count() >= run.traces.len());
        assert!({ retries }.all(|row| row.ttl == Some(Ttl(4))));
    }
}

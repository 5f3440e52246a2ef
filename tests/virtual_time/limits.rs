//! Targets that answer as Linux does, 6 times and then once a second: never to be read as loss.

use pathsurvey::config::StrategyChoice;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{HopRecord, Status, StopReason, Ttl};

use super::experiment::{Drive, InProcess, config, inline, load, observe};
use super::truth::Truths;
use super::{oracle, traces, truth};

/// Four ways of different length to targets that limit their answers.
fn limited(seed: u64) -> LabNetwork {
    inline(&format!(
        r#"
        seed = {seed}
        [[router]]
        name = "home"
        address = "10.0.0.1"
        next = ["a", "b", "c", "d"]
        [[router]]
        name = "a"
        address = "10.0.1.1"
        next = ["last"]
        [[router]]
        name = "b"
        address = "10.0.1.2"
        next = ["b2"]
        [[router]]
        name = "b2"
        address = "10.0.1.3"
        next = ["last"]
        [[router]]
        name = "c"
        address = "10.0.1.4"
        next = ["last"]
        [[router]]
        name = "d"
        address = "10.0.1.5"
        next = ["last"]
        [[router]]
        name = "last"
        address = "10.0.2.1"
        [[target]]
        prefix = "198.18.0.0/24"
        at = "last"
        "#
    ))
}

#[test]
fn sixteen_flows_to_a_target_that_answers_six_times_at_once_are_all_answered() {
    for seed in [1, 2, 3] {
        let mut survey = config(&["198.18.0.0/26"], seed);
        survey.flows = 16;
        let run = observe(survey, limited(seed));
        oracle::check(&run);
        traces::check(&run);
        let mut truths = Truths::new(&run.network);
        truth::check(&run, &mut truths);
        assert_eq!(run.traces.len(), 64 * 16);
        for trace in &run.traces {
            let length = truths.of_trace(&run, trace).path_length();
            assert_eq!(trace.stop_reason, StopReason::Completed, "{trace:?}");
            assert_eq!(trace.path_length, length, "{trace:?}");
            assert!(matches!(length, Some(Ttl(4 | 5))));
        }
        let silent = run
            .hops
            .iter()
            .filter(|row| row.status != Status::Replied)
            .count();
        assert_eq!(silent, 0, "silence that the target's limit made");
    }
}

/// A sweep of the same targets, with or without spacing. Returns how many probes got no answer.
fn silent_of_a_sweep(spaced: bool) -> usize {
    let mut survey = config(&["198.18.0.0/28"], 1);
    survey.strategy = StrategyChoice::Sweep;
    survey.flows = 16;
    survey.max_ttl = Ttl(6);
    let survey = survey.validate().expect("sound");
    let mut drive = Drive::new(&survey);
    drive.limits.spaced = spaced;
    let driven = drive.over(&mut InProcess::new(limited(1)), load(&survey));
    assert_eq!(driven.rows.hops.len(), 16 * 16 * 6);
    let silent = |row: &&HopRecord| row.status == Status::Timeout;
    driven.rows.hops.iter().filter(silent).count()
}

#[test]
fn a_sweep_over_flows_of_unequal_length_is_answered_too() {
    assert_eq!(silent_of_a_sweep(true), 0);
}

#[test]
fn the_limit_is_there() {
    let silent = silent_of_a_sweep(false);
    assert!(silent > 100, "{silent}");
}

//! Targets that answer as Linux does, 6 times and then once a second: never to be read as loss.

use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{Status, StopReason, Ttl};

use super::experiment::{config, inline, observe};
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

/// The same targets under a strategy that takes no care: the network does limit.
#[test]
fn the_limit_is_there() {
    let mut survey = config(&["198.18.0.0/28"], 1);
    survey.strategy = pathsurvey::config::StrategyChoice::Sweep;
    survey.flows = 16;
    survey.max_ttl = Ttl(6);
    let run = observe(survey, limited(1));
    oracle::check(&run);
    let silent = run
        .hops
        .iter()
        .filter(|row| row.status == Status::Timeout)
        .count();
    assert!(silent > 100, "{silent}");
}

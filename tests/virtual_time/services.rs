//! Targets with a service that answers probes by UDP: which of several such an answer is to, nothing tells.

use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{HopRecord, Status, StopReason, Ttl};

use super::experiment::{Observed, chain, config, observe};
use super::traces;

const DISTANCE: Ttl = Ttl(4);

/// Hosts with a DNS service behind three routers; a share of what passes between the first two is lost, each way.
fn network(seed: u64, loss: f64, duplicate: f64) -> LabNetwork {
    chain(
        seed,
        &format!("{{ loss = {loss}, reply_loss = {loss}, duplicate = {duplicate} }}"),
        r#"
        [[target]]
        prefix = "198.18.0.0/22"
        at = "three"
        unlimited = true
        udp_services = [53]
        "#,
    )
}

fn survey(seed: u64, attempts: u8, network: LabNetwork) -> Observed {
    let mut survey = config(&["198.18.0.0/24", "198.18.1.0/24"], seed);
    survey.destination_port = 53;
    survey.attempts = attempts;
    let run = observe(survey, network);
    traces::check(&run);
    run
}

/// Whether the answer is credited to the trace and to no probe of it.
fn is_of_no_hop(row: &HopRecord) -> bool {
    row.ttl.is_none()
}

/// The traces that had answers of no hop, how many of them were completed, and how many at the right length.
fn settled(run: &Observed) -> (usize, usize, usize) {
    let mut traces: Vec<_> = run.traces.iter().collect();
    traces.retain(|trace| {
        let own = |row: &&HopRecord| row.trace_id == trace.trace_id;
        run.hops.iter().filter(own).any(is_of_no_hop)
    });
    assert!(traces.iter().all(|trace| trace.reached));
    let of = |length: Ttl| {
        let right = traces
            .iter()
            .filter(|trace| trace.path_length == Some(length));
        right.count()
    };
    let completed = traces
        .iter()
        .filter(|trace| trace.stop_reason == StopReason::Completed);
    (traces.len(), completed.count(), of(DISTANCE))
}

#[test]
fn a_target_that_answers_by_udp_is_found_where_its_distance_was_lost() {
    for (seed, attempts) in [(1, 2), (2, 2), (3, 1)] {
        // A fifth each way: 36% of the probes behind the line go without an answer.
        let run = survey(seed, attempts, network(seed, 0.2, 0.0));
        let (all, completed, right) = settled(&run);
        println!("{attempts} attempts: {all} traces, {completed} completed, {right} right");
        assert!(all > 150, "{all} whose distance was lost");
        assert!(
            completed * 100 >= all * 95,
            "{completed} of {all} completed"
        );
        // What is lost time and again is not there to be seen.
        let wanted = if attempts > 1 { 90 } else { 75 };
        assert!(right * 100 >= all * wanted, "{right} of {all} right");
        let short = |trace: &&pathsurvey::model::TraceRecord| {
            trace.path_length.is_some_and(|length| length < DISTANCE)
        };
        assert_eq!(run.traces.iter().filter(short).count(), 0);
    }
}

#[test]
fn datagrams_that_come_twice_change_nothing() {
    let once = survey(1, 2, network(1, 0.0, 0.0));
    let twice = survey(1, 2, network(1, 0.0, 1.0));
    for run in [&once, &twice] {
        assert_eq!(run.recorded.len(), run.traces.len() * 5);
        assert!(
            run.traces
                .iter()
                .all(|trace| trace.path_length == Some(DISTANCE))
        );
    }
    let further = |row: &&HopRecord| row.status == Status::Duplicate;
    assert!(twice.hops.iter().filter(further).count() > once.hops.len() / 2);
}

//! The order in which rows leave, before the dataset sorts them.

use std::collections::{HashMap, HashSet};

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{HopRecord, Status, Time, TraceId};

use super::experiment::{Observed, config, inline, observe};
use super::traces;

/// Checks that the rows of a trace leave together, in the order of their TTLs, but for what came after it was sealed; that every
/// further reply comes behind its probe's own row; and that no two rows have one number.
pub fn check(run: &Observed) {
    check_together(run);
    let mut seen = HashSet::new();
    for row in &run.hops {
        let is_new = seen.insert((row.probe_id, row.reply_index));
        assert!(is_new, "a second row of that number: {row:?}");
        assert!(seen.contains(&(row.probe_id, 0)), "before its own: {row:?}");
    }
}

fn check_together(run: &Observed) {
    let traces = run.traces.iter();
    let sealed: HashMap<TraceId, Time> = traces
        .map(|trace| (trace.trace_id, trace.finished_at))
        .collect();
    let came_later = |row: &&HopRecord| {
        let came = row.reply.as_ref().map(|reply| reply.received_at);
        row.reply_index > 0 && came >= sealed.get(&row.trace_id).copied()
    };
    let mut begun = HashSet::new();
    for rows in run.hops.chunk_by(|a, b| a.trace_id == b.trace_id) {
        let together: Vec<_> = rows.iter().filter(|row| !came_later(row)).collect();
        let is_first = begun.insert(rows[0].trace_id);
        assert!(
            is_first || together.is_empty(),
            "apart from its trace: {together:?}"
        );
        let ttls = || together.iter().filter_map(|row| row.ttl);
        assert!(ttls().is_sorted(), "{:?}", ttls().collect::<Vec<_>>());
    }
}

/// Hosts that answer DNS at distance 5, every answer of theirs twice.
fn answering_twice(seed: u64) -> LabNetwork {
    let routers: String = (1..=4)
        .map(|number| {
            let next = match number {
                4 => String::new(),
                _ => format!("next = [\"r{}\"]", number + 1),
            };
            format!(
                r#"
                [[router]]
                name = "r{number}"
                address = "10.0.0.{number}"
                {next}
                "#
            )
        })
        .collect();
    inline(&format!(
        r#"
        seed = {seed}
        {routers}
        [[target]]
        prefix = "198.18.0.0/24"
        at = "r4"
        udp_services = [53]
        line = {{ duplicate = 1.0 }}
        "#
    ))
}

/// A datagram that quotes nothing is held until the probe's timeout; the second one must not leave before it.
#[test]
fn a_service_that_answers_twice_leaves_its_rows_together() {
    for seed in 1..=3 {
        let run = observe(
            SurveyConfig {
                destination_port: 53,
                ..config(&["198.18.0.0/24"], seed)
            },
            answering_twice(seed),
        );
        traces::check(&run);
        let twice = |row: &&HopRecord| row.status == Status::Duplicate;
        let further = run.hops.iter().filter(twice).count();
        assert!(further >= 256, "{further} second datagrams");
    }
}

//! Networks in which things happen by chance: the record says what did, and the dataset must say the same, probe by probe.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use pathsurvey::model::Rate;

use super::account::Accounted;
use super::lab::{Surveyed, config, network, survey};
use super::truth::{all_alike, rows_agree};
use crate::support::{Ignored, Outcome};

fn count(surveyed: &Surveyed, status: &str) -> usize {
    let rows = surveyed.dataset.hops.iter();
    rows.filter(|row| row.status == status).count()
}

fn over_loss(timeout: Duration) -> Result<Surveyed, Ignored> {
    let mut config = config(&["198.18.0.0/24", "198.18.3.0/24"]);
    config.timeout = timeout;
    let surveyed = survey(network("loss.toml"), config)?;
    rows_agree(&surveyed.network, &surveyed.dataset, false);
    Ok(surveyed)
}

pub fn loss() -> Outcome {
    let surveyed = over_loss(Duration::from_secs(1))?;
    let accounted = surveyed.account();
    let unanswered = accounted
        .iter()
        .filter(|probe| probe.happened.deliveries.is_empty())
        .count();
    let twice = accounted
        .iter()
        .filter(|probe| probe.happened.deliveries.len() == 2)
        .count();
    assert!(unanswered > 0 && twice > 0);
    assert_eq!(count(&surveyed, "timeout"), unanswered);
    assert_eq!(count(&surveyed, "duplicate"), twice);
    assert!(
        surveyed
            .dataset
            .hops
            .iter()
            .all(|row| { row.evidence.as_deref() == row.reply.as_ref().map(|_| "full") })
    );
    // Every hop of a path was tried again where the first attempt was lost, and only there.
    let lengths: HashMap<i64, Option<u8>> = surveyed
        .dataset
        .traces
        .iter()
        .map(|trace| (trace.trace_id, trace.path_length))
        .collect();
    let within = |probe: &&Accounted| Some(probe.own.ttl) <= lengths[&probe.own.trace_id];
    for probe in accounted.iter().filter(within) {
        let (row, lost) = (probe.own, probe.happened.deliveries.is_empty());
        let again = accounted.iter().any(|other| {
            other.own.trace_id == row.trace_id
                && other.own.ttl == row.ttl
                && other.own.purpose == "retry"
        });
        match (row.purpose.as_str(), row.attempt) {
            ("trace", 1) => assert_eq!(again, lost, "{row:?}"),
            ("retry", 2) => {}
            // The TTL before a target that was not expected there is asked once more.
            ("retry", 3) => assert!(Some(row.ttl + 1) >= lengths[&row.trace_id], "{row:?}"),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

/// The replies that the network holds back come after the timeout: they are late, where their trace is still open and where
/// it has ended.
pub fn late() -> Outcome {
    let surveyed = over_loss(Duration::from_millis(25))?;
    surveyed.account();
    assert!(count(&surveyed, "late") > 0);
    assert!(count(&surveyed, "timeout") > 0 && count(&surveyed, "duplicate") > 0);
    Ok(())
}

pub fn per_packet() -> Outcome {
    let surveyed = survey(network("per-packet.toml"), config(&["198.18.0.0/24"]))?;
    surveyed.account();
    rows_agree(&surveyed.network, &surveyed.dataset, true);
    let completed = ("completed", true, Some(4));
    let alike = all_alike(
        &surveyed.dataset,
        [198, 18, 0],
        "1:r 2:r 3:r 4:r d:r",
        completed,
    );
    assert_eq!(alike, 256);
    let second: HashSet<_> = surveyed
        .dataset
        .hops
        .iter()
        .filter(|row| row.ttl == 2)
        .map(|row| row.reply.as_ref().unwrap().responder)
        .collect();
    assert_eq!(
        second,
        [[10, 0, 1, 1].into(), [10, 0, 1, 2].into()].into(),
        "both ways were taken"
    );
    Ok(())
}

/// The core's limit shows as timeouts; the targets' own, which is known, never does: probes that reach them are spaced.
pub fn rate_limits() -> Outcome {
    let mut config = config(&["198.18.0.0/28"]);
    config.flows = 6;
    config.timeout = Duration::from_secs(1);
    let surveyed = survey(network("rate-limit.toml"), config)?;
    let accounted = surveyed.account();
    rows_agree(&surveyed.network, &surveyed.dataset, false);
    let (limited, free): (Vec<_>, Vec<_>) = accounted.iter().partition(|probe| probe.own.ttl == 2);
    assert!(free.iter().all(|probe| probe.own.status == "replied"));
    let answered: Vec<_> = limited
        .iter()
        .filter(|probe| probe.own.status == "replied")
        .collect();
    let first = limited.iter().map(|probe| probe.happened.sent_at).min();
    let last = limited.iter().map(|probe| probe.happened.sent_at).max();
    let span = last.unwrap().since(first.unwrap()).as_secs_f64();
    assert!(answered.len() < limited.len());
    assert!(answered.len() >= 5 && answered.len() as f64 <= 5.0 + 10.0 * span + 1.0);
    for trace in &surveyed.dataset.traces {
        assert_eq!(
            (trace.stop_reason.as_str(), trace.path_length),
            ("completed", Some(4))
        );
    }
    Ok(())
}

/// All at once, as in the generated network: loss, jitter, silence, limits, short quotes.
pub fn everything() -> Outcome {
    let mut config = config(&["198.18.3.0/25", "198.18.64.0/25", "198.19.9.0/25"]);
    config.timeout = Duration::from_secs(1);
    config.rate = Rate::new(10_000.0).unwrap();
    let surveyed = survey(pathsurvey::lab::LabNetwork::generated(1), config)?;
    surveyed.account();
    rows_agree(&surveyed.network, &surveyed.dataset, false);
    let replies = || {
        surveyed
            .dataset
            .hops
            .iter()
            .filter_map(|row| row.reply.as_ref())
    };
    // Short quotes hold both secrets, and are as good.
    assert!(replies().any(|reply| reply.quoted.size == 28));
    assert!(replies().any(|reply| reply.quoted.size > 28));
    assert!(
        surveyed
            .dataset
            .hops
            .iter()
            .all(|row| { row.evidence.as_deref() == row.reply.as_ref().map(|_| "full") })
    );
    assert!(count(&surveyed, "timeout") > 0);
    Ok(())
}

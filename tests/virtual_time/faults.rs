//! Each example network, and faults that none of them has: the dataset says exactly what happened there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use pathsurvey::lab::{LabNetwork, TruthEnd};
use pathsurvey::model::{
    DiscardReason, HopRecord, Purpose, ReplyKind, Status, StopReason, TraceRecord, Ttl,
};

use super::experiment::{Observed, chain, config, lab, observe};
use super::truth::Truths;
use super::{oracle, traces, truth};

const SEEDS: [u64; 3] = [1, 2, 3];

/// Runs a survey and checks all that holds for any network.
fn checked(network: LabNetwork, targets: &[&str], seed: u64) -> Observed {
    let run = observe(config(targets, seed), network);
    check_all(&run);
    run
}

fn check_all(run: &Observed) {
    oracle::check(run);
    traces::check(run);
    truth::check(run, &mut Truths::new(&run.network));
}

fn rows(run: &Observed, which: impl Fn(&HopRecord) -> bool) -> usize {
    run.hops.iter().filter(|row| which(row)).count()
}

fn with_status(run: &Observed, status: Status) -> usize {
    rows(run, |row| row.status == status)
}

fn in_prefix(address: IpAddr, prefix: &str) -> bool {
    address.to_string().starts_with(prefix)
}

/// The traces into a /24, given by its first three numbers and a dot.
fn traces_to<'a>(run: &'a Observed, prefix: &'a str) -> impl Iterator<Item = &'a TraceRecord> {
    run.traces
        .iter()
        .filter(move |trace| in_prefix(trace.destination, prefix))
}

/// Where nothing varies, a trace is the truth: its length, its end, and every hop up to there.
fn check_certain(run: &Observed) {
    let mut truths = Truths::new(&run.network);
    assert_eq!(with_status(run, Status::Duplicate), 0);
    for trace in &run.traces {
        let truth = truths.of_trace(run, trace);
        let (stop, last) = match truth.end {
            TruthEnd::Reached(ttl) => (StopReason::Completed, ttl),
            TruthEnd::Unreachable(ttl) => (StopReason::Unreachable, ttl),
            TruthEnd::SilentTarget(_) | TruthEnd::Nowhere => continue,
        };
        assert_eq!(trace.stop_reason, stop, "{trace:?}");
        let length = (stop == StopReason::Completed).then_some(last);
        assert_eq!(trace.path_length, length, "{trace:?}");
        for ttl in 1..=last.0 {
            let hop = truth.hop(Ttl(ttl)).expect("a hop");
            let answers = run.hops.iter().filter(|row| {
                row.trace_id == trace.trace_id && row.ttl == Some(Ttl(ttl)) && row.reply.is_some()
            });
            assert_eq!(
                answers.count() > 0,
                !hop.is_silent(),
                "TTL {ttl} of {trace:?}"
            );
        }
    }
}

#[test]
fn networks_without_accidents_are_seen_as_they_are() {
    for name in ["clean", "diamond", "mpls", "zero-ttl", "nat", "rewriting"] {
        for seed in SEEDS {
            let run = checked(lab(name, seed), &["198.18.0.0/24", "198.18.1.0/24"], seed);
            check_certain(&run);
            assert_eq!(with_status(&run, Status::Timeout), 0, "{name}");
            assert!(run.traces.iter().all(|trace| trace.reached), "{name}");
        }
    }
}

#[test]
fn labels_of_a_tunnel_are_in_the_rows() {
    let run = checked(lab("mpls", 1), &["198.18.0.0/24"], 1);
    let at = |ttl: u8| {
        let of_ttl = run.hops.iter().filter(|row| row.ttl == Some(Ttl(ttl)));
        let labels = |row: &HopRecord| {
            let mpls = &row.reply.as_ref().expect("an answer").mpls;
            mpls.iter().map(|label| label.label).collect::<Vec<_>>()
        };
        of_ttl.map(labels).collect::<BTreeSet<_>>()
    };
    assert_eq!(at(3), BTreeSet::from([vec![24_001]]));
    assert_eq!(at(4), BTreeSet::from([vec![24_002, 300]]));
    assert_eq!(at(5), BTreeSet::from([vec![]]), "hidden labels");
}

#[test]
fn rewritten_quotes_are_told_apart_and_show_what_came_back() {
    let run = checked(lab("rewriting", 1), &["198.18.0.0/24", "198.18.1.0/24"], 1);
    let rewritten = rows(&run, |row| {
        let quoted = row.reply.as_ref().and_then(|reply| reply.quoted.as_ref());
        let changed = quoted.is_some_and(|quoted| quoted.destination != row.destination);
        let evidence = row.evidence.expect("an answer").as_str();
        assert_eq!(evidence, if changed { "rewritten" } else { "full" });
        changed
    });
    assert!(rewritten >= 2 * 256, "{rewritten}");
}

#[test]
fn loss_duplicates_and_reordering_are_told_probe_by_probe() {
    for seed in SEEDS {
        let run = checked(lab("loss", seed), &["198.18.0.0/24", "198.18.1.0/24"], seed);
        let sent = run.recorded.len();
        // A tenth is lost each way on three quarters of the probes or more.
        assert!(with_status(&run, Status::Timeout) > sent / 20);
        assert!(with_status(&run, Status::Duplicate) > sent / 100);
        check_lengths(&run);
    }
}

/// Loss can hide the target at its distance, and make a path look longer; never shorter, and never where it answered.
fn check_lengths(run: &Observed) {
    let mut truths = Truths::new(&run.network);
    for trace in &run.traces {
        let truth = truths.of_trace(run, trace).path_length();
        let Some(length) = trace.path_length else {
            continue;
        };
        let truth = truth.expect("only targets that probes reach can answer");
        let mut at_truth = run.hops.iter().filter(|row| {
            row.trace_id == trace.trace_id && row.ttl == Some(truth) && row.reply_index == 0
        });
        assert!(length >= truth, "{trace:?}");
        assert!(
            length == truth || at_truth.all(|row| row.reply.is_none()),
            "{trace:?}"
        );
    }
}

#[test]
fn per_packet_balancing_shows_both_ways_and_nothing_else() {
    for seed in SEEDS {
        let run = checked(lab("per-packet", seed), &["198.18.0.0/24"], seed);
        let seen: BTreeSet<String> = run
            .hops
            .iter()
            .filter(|row| row.ttl == Some(Ttl(2)))
            .filter_map(|row| Some(row.responder()?.to_string()))
            .collect();
        assert_eq!(
            seen,
            BTreeSet::from(["10.0.1.1".to_owned(), "10.0.1.2".to_owned()])
        );
        assert!(
            run.traces
                .iter()
                .all(|trace| trace.path_length == Some(Ttl(4)))
        );
    }
}

#[test]
fn a_router_that_limits_its_answers_is_a_silent_hop_and_not_the_end() {
    for seed in SEEDS {
        let run = checked(lab("rate-limit", seed), &["198.18.0.0/24"], seed);
        let silent = rows(&run, |row| row.status == Status::Timeout);
        assert!(silent > 200, "{silent}");
        for row in &run.hops {
            assert!(
                row.reply.is_some() || row.ttl == Some(Ttl(2)),
                "only the core is limited: {row:?}"
            );
        }
        // Targets answer six times and then once a second: never read as loss.
        assert!(
            run.traces
                .iter()
                .all(|trace| trace.path_length == Some(Ttl(4)))
        );
    }
}

#[test]
fn silence_is_written_as_silence() {
    for seed in SEEDS {
        let targets = ["198.18.0.0/24", "198.18.1.0/24", "198.18.2.0/24"];
        let run = checked(lab("silence", seed), &targets, seed);
        for trace in traces_to(&run, "198.18.0.") {
            assert_eq!(
                (trace.stop_reason, trace.path_length),
                (StopReason::Completed, Some(Ttl(4)))
            );
            assert_eq!(trace.hops_responding, 3);
        }
        for prefix in ["198.18.1.", "198.18.2."] {
            for trace in traces_to(&run, prefix) {
                assert_eq!(
                    (trace.stop_reason, trace.path_length),
                    (StopReason::GapLimit, None)
                );
                assert!(!trace.reached);
                // Routers 1 and 3 answer; then five TTLs of silence, tried twice.
                assert_eq!((trace.max_ttl, trace.hops_responding), (Some(Ttl(8)), 2));
            }
        }
        let quiet = rows(&run, |row| row.ttl == Some(Ttl(2)) && row.reply.is_some());
        assert_eq!(quiet, 0);
    }
}

#[test]
fn loops_end_traces_as_loops() {
    for seed in SEEDS {
        let run = checked(lab("loop", seed), &["198.18.0.0/24", "198.18.1.0/24"], seed);
        check_certain(&run);
        for trace in traces_to(&run, "198.18.1.") {
            assert_eq!(trace.stop_reason, StopReason::Loop);
            assert_eq!((trace.path_length, trace.reached), (None, false));
        }
        assert!(traces_to(&run, "198.18.0.").all(|trace| trace.path_length == Some(Ttl(4))));
    }
}

#[test]
fn unreachables_end_traces_with_their_code() {
    let kinds = [
        ("198.18.1.", "network_unreachable", 4),
        ("198.18.2.", "host_unreachable", 4),
        ("198.18.3.", "administratively_prohibited", 4),
        ("198.18.4.", "administratively_prohibited", 4),
        ("198.18.5.", "host_unreachable", 3),
    ];
    for seed in SEEDS {
        let targets: Vec<String> = (0..=5).map(|n| format!("198.18.{n}.0/24")).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let run = checked(lab("unreachable", seed), &targets, seed);
        check_certain(&run);
        for (prefix, kind, ttl) in kinds {
            for trace in traces_to(&run, prefix) {
                assert_eq!(trace.stop_reason, StopReason::Unreachable);
                assert!(!trace.reached);
                // Rows of a trace come in the order of their TTLs: this is the first that says so.
                let last = run.hops.iter().find(|row| {
                    let said = row.reply_kind();
                    row.trace_id == trace.trace_id
                        && row.purpose != Purpose::Distance
                        && said.is_some_and(ReplyKind::is_unreachable)
                });
                assert_eq!(last.and_then(|row| row.ttl), Some(Ttl(ttl)));
                let said = last
                    .and_then(HopRecord::reply_kind)
                    .map(|kind| kind.as_str());
                assert_eq!(said, Some(kind));
            }
        }
        assert_eq!(with_status(&run, Status::Timeout), 0);
    }
}

/// Hosts behind a chain of three.
const HOSTS: &str = r#"
[[target]]
prefix = "198.18.0.0/22"
at = "three"
unlimited = true
"#;

#[test]
fn reordering_alone_mixes_up_nothing() {
    for seed in SEEDS {
        let line = "{ delay_ms = 1, jitter_ms = 40, reorder = 0.5, reorder_ms = 400 }";
        let run = checked(
            chain(seed, line, HOSTS),
            &["198.18.0.0/24", "198.18.1.0/24"],
            seed,
        );
        let replied = with_status(&run, Status::Replied);
        assert_eq!(replied, run.recorded.len());
        let mut arrivals: Vec<_> = run
            .recorded
            .iter()
            .map(|recorded| recorded.deliveries[0].at)
            .collect();
        let overtaken = arrivals.windows(2).filter(|pair| pair[0] > pair[1]).count();
        arrivals.dedup();
        assert!(
            overtaken > arrivals.len() / 5,
            "only {overtaken} of {} overtaken",
            arrivals.len()
        );
    }
}

#[test]
fn every_reply_twice_makes_one_duplicate_each() {
    for seed in SEEDS {
        let run = checked(
            chain(seed, "{ duplicate = 1.0 }", HOSTS),
            &["198.18.0.0/24"],
            seed,
        );
        let beyond_the_line = rows(&run, |row| row.reply_index == 0 && row.ttl > Some(Ttl(1)));
        assert_eq!(with_status(&run, Status::Duplicate), beyond_the_line);
        assert_eq!(with_status(&run, Status::Replied), run.recorded.len());
    }
}

/// The timeout is 1 s and the late window 2 s: half of the replies come 1.5 s later, within it.
#[test]
fn late_replies_within_the_window_are_late_rows() {
    for seed in SEEDS {
        let run = hurried(
            chain(seed, "{ reorder = 0.5, reorder_ms = 1500 }", HOSTS),
            seed,
        );
        let late_own = rows(&run, |row| {
            row.status == Status::Late && row.reply_index == 0
        });
        let late_extra = rows(&run, |row| {
            row.status == Status::Late && row.reply_index > 0
        });
        assert!(late_own > 50, "{late_own} took the place of their timeout");
        assert!(
            late_extra > 50,
            "{late_extra} came after their trace was sealed"
        );
        assert_eq!(discarded(&run), 0);
        for row in run.hops.iter().filter(|row| row.status == Status::Late) {
            assert!(row.rtt_us > Some(1_500_000), "{row:?}");
        }
    }
}

/// Half of the replies come 4 s later, when their probes are forgotten: counted, and nobody's hop.
#[test]
fn replies_beyond_the_late_window_are_counted_and_matched_to_nobody() {
    for seed in SEEDS {
        let mut run = config(&["198.18.0.0/24"], seed);
        run.cooldown = Duration::from_secs(10);
        let run = checked_hurried(
            run,
            chain(seed, "{ reorder = 0.5, reorder_ms = 4000 }", HOSTS),
        );
        assert_eq!(with_status(&run, Status::Late), 0);
        let silent = with_status(&run, Status::Timeout);
        assert!(silent > 200, "{silent}");
        assert_eq!(
            discarded(&run),
            silent as u64,
            "each silence has its reply, too late"
        );
    }
}

fn hurried(network: LabNetwork, seed: u64) -> Observed {
    checked_hurried(config(&["198.18.0.0/24"], seed), network)
}

fn checked_hurried(mut config: pathsurvey::config::SurveyConfig, network: LabNetwork) -> Observed {
    config.timeout = Duration::from_secs(1);
    config.late_window = Duration::from_secs(2);
    let run = observe(config, network);
    check_all(&run);
    run
}

fn discarded(run: &Observed) -> u64 {
    let counts = &run.tally.statistics;
    DiscardReason::ALL
        .iter()
        .map(|reason| counts.discarded(*reason))
        .sum()
}

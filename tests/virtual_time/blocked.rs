//! Blocklists that come while a survey runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pathsurvey::config::{StrategyChoice, SurveyConfig};
use pathsurvey::lab::Recorded;
use pathsurvey::model::{
    Blocked, HopRecord, Protocol, Status, StopReason, Time, Ttl, UnsentReason,
};
use pathsurvey::survey::VIRTUAL_START;

use super::experiment::{Drive, Driven, InProcess, config, lab, load, rate};

/// Blocks the addresses with an odd last octet.
struct Odd;

impl Blocked for Odd {
    fn is_blocked(&self, address: IpAddr) -> bool {
        is_odd(address)
    }
}

/// Blocks nothing.
struct Nothing;

impl Blocked for Nothing {
    fn is_blocked(&self, _: IpAddr) -> bool {
        false
    }
}

fn is_odd(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[3] % 2 == 1,
        IpAddr::V6(_) => false,
    }
}

/// The first list comes with the first event from 500 ms on, but before this time, ms. A probe leaves every 5 ms.
const LATEST: u64 = 510;

fn at(ms: u64) -> Time {
    VIRTUAL_START + Duration::from_millis(ms)
}

type List = fn() -> Arc<dyn Blocked>;

const ODD: List = || Arc::new(Odd);
const NOTHING: List = || Arc::new(Nothing);

/// Runs with lists that come at the calls of the watcher with these numbers. The first call is half a second after the start.
fn blocked(
    config: &SurveyConfig,
    network: &str,
    lists: &[(usize, List)],
) -> (Driven, Vec<Recorded>) {
    let mut network = InProcess::new(lab(network, 17));
    let log = network.log.clone();
    let mut drive = Drive::new(config);
    let mut calls = 0;
    let lists = lists.to_vec();
    drive.watch = Box::new(move |_| {
        calls += 1;
        let list = lists.iter().find(|(call, _)| *call == calls);
        list.map(|(_, list)| list())
    });
    let driven = drive.over(&mut network, load(config));
    (driven, log.take())
}

/// When the last probe to an odd address left, and when the last probe to any address did.
fn last_sent(recorded: &[Recorded]) -> (Option<Time>, Option<Time>) {
    let to_odd = recorded.iter().filter(|sent| sent.packet[19] % 2 == 1);
    (
        to_odd.map(|sent| sent.sent_at).max(),
        recorded.iter().map(|sent| sent.sent_at).max(),
    )
}

/// Every probe has one row, and every packet is one of these probes.
fn check_account(driven: &Driven, recorded: &[Recorded]) {
    let own: Vec<&HopRecord> = { driven.rows.hops.iter() }
        .filter(|row| row.reply_index == 0)
        .collect();
    let numbers: BTreeSet<_> = own.iter().map(|row| row.probe_id).collect();
    assert_eq!(numbers.len(), own.len(), "a probe has two rows");
    let sent = own.iter().filter(|row| row.status.was_sent());
    assert_eq!(sent.count(), recorded.len());
}

fn survey(targets: &[&str]) -> SurveyConfig {
    let survey = SurveyConfig {
        window: 16,
        flows: 2,
        rate: rate(200.0),
        ..config(targets, 17)
    };
    survey.validate().expect("a sound configuration")
}

#[test]
fn no_probe_to_a_blocked_target_leaves_and_every_trace_ends_once() {
    for protocol in [Protocol::Udp, Protocol::Icmp] {
        let survey = SurveyConfig {
            protocol,
            ..survey(&["198.18.0.0/26"])
        };
        let (driven, recorded) = blocked(&survey, "loss", &[(1, ODD)]);
        check_account(&driven, &recorded);
        let (to_odd, any) = last_sent(&recorded);
        assert!(to_odd.is_some_and(|last| last < at(LATEST)), "{to_odd:?}");
        assert!(any > Some(at(1_500)), "the others go on");
        let traces: BTreeSet<_> = driven.rows.traces.iter().map(|t| t.trace_id).collect();
        assert_eq!((traces.len(), driven.rows.traces.len()), (128, 128));

        let mut of_trace: BTreeMap<_, Vec<&HopRecord>> = BTreeMap::new();
        for row in &driven.rows.hops {
            of_trace.entry(row.trace_id).or_default().push(row);
        }
        let (mut open, mut waiting) = (0, 0);
        for trace in &driven.rows.traces {
            let rows = of_trace.get(&trace.trace_id).map_or(&[][..], Vec::as_slice);
            let excluded = trace.stop_reason == StopReason::Excluded;
            assert!(!excluded || is_odd(trace.destination));
            // Those that were done before the list came are not excluded. All others are.
            assert!(!excluded || trace.finished_at >= at(500), "{trace:?}");
            let ended_after = is_odd(trace.destination) && trace.finished_at >= at(LATEST);
            assert!(excluded || !ended_after, "{trace:?}");
            match excluded {
                true if trace.probes_sent > 0 => open += 1,
                true => waiting += 1,
                false => {}
            }
            for row in rows.iter().filter(|row| row.status == Status::Skipped) {
                assert_eq!(row.reason, Some(UnsentReason::Blocklisted));
                assert!(excluded && row.sent_at.is_none() && row.source.is_none());
            }
        }
        assert!(open > 2 && waiting > 20, "{open}, {waiting}");
        // Replies to probes that were sent before are recorded.
        let replied = { driven.rows.hops.iter() }.filter(|row| {
            let received = row.reply.as_ref().map(|reply| reply.received_at);
            is_odd(row.destination) && received > Some(at(500))
        });
        assert!(replied.count() > 0);
    }
}

#[test]
fn in_a_sweep_each_remaining_probe_to_a_blocked_target_becomes_a_row() {
    let survey = SurveyConfig {
        strategy: StrategyChoice::Sweep,
        max_ttl: Ttl(8),
        ..survey(&["198.18.0.0/27"])
    };
    let (driven, recorded) = blocked(&survey, "clean", &[(2, ODD)]);
    check_account(&driven, &recorded);
    let (to_odd, any) = last_sent(&recorded);
    assert!(
        to_odd.is_some_and(|last| last < at(500 + LATEST)),
        "{to_odd:?}"
    );
    assert!(any > Some(at(1_500)));
    let own: BTreeSet<_> = { driven.rows.hops.iter() }
        .filter(|row| row.reply_index == 0)
        .map(|row| (row.destination, row.flow, row.ttl))
        .collect();
    assert_eq!(own.len(), 32 * 2 * 8, "every item once");
    let skipped: Vec<_> = { driven.rows.hops.iter() }
        .filter(|row| row.status == Status::Skipped)
        .collect();
    for row in &skipped {
        assert_eq!(row.reason, Some(UnsentReason::Blocklisted));
        assert!(is_odd(row.destination));
    }
    let sent_to_odd = recorded.iter().filter(|sent| sent.packet[19] % 2 == 1);
    assert_eq!(skipped.len() + sent_to_odd.count(), 16 * 2 * 8);
    assert!(skipped.len() > 64, "{}", skipped.len());
    // Skipped items count towards the rate: the ledger holds them as long as probes.
    let whole = 32 * 2 * 8 * 1_000 / 200;
    assert!(any > Some(at(whole - 200)), "{any:?}");
}

#[test]
fn a_shorter_list_lets_targets_through_that_have_not_ended() {
    let survey = survey(&["198.18.0.0/24"]);
    let (driven, recorded) = blocked(&survey, "clean", &[(1, ODD), (3, NOTHING)]);
    check_account(&driven, &recorded);
    assert_eq!(driven.rows.traces.len(), 512);
    let to_odd: Vec<Time> = { recorded.iter() }
        .filter(|sent| sent.packet[19] % 2 == 1)
        .map(|sent| sent.sent_at)
        .collect();
    let between = |time: &&Time| **time >= at(LATEST) && **time < at(1_500);
    assert_eq!(to_odd.iter().filter(between).count(), 0);
    assert!(to_odd.iter().any(|time| *time >= at(1_500)));
    let completed = { driven.rows.traces.iter() }.filter(|trace| {
        let completed = trace.stop_reason == StopReason::Completed;
        completed && is_odd(trace.destination) && trace.started_at >= at(1_500)
    });
    assert!(completed.count() > 10);
    let excluded = { driven.rows.traces.iter() }
        .filter(|trace| trace.stop_reason == StopReason::Excluded)
        .count();
    assert!(excluded > 0);
}

#[test]
fn a_list_that_blocks_nothing_changes_nothing() {
    let survey = survey(&["198.18.0.0/27"]);
    let (with, _) = blocked(&survey, "loss", &[(1, NOTHING), (2, NOTHING)]);
    let (without, _) = blocked(&survey, "loss", &[]);
    assert_eq!(with.rows.hops, without.rows.hops);
    assert_eq!(with.rows.traces, without.rows.traces);
}

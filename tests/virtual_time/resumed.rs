//! Runs that go on where an earlier session ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pathsurvey::config::{StrategyChoice, SurveyConfig};
use pathsurvey::engine::stop::{Asked, Stop};
use pathsurvey::model::{FlowId, HopRecord, ProbeId, Protocol, StopReason, TargetId, Ttl};
use pathsurvey::strategy::Finished;
use pathsurvey::survey::parts::{self, Earlier};

use super::experiment::{Drive, Driven, InProcess, config, lab, load, rate};

/// The first number of a third session.
const FIRST: ProbeId = ProbeId(3 << 40);

fn drive(config: &SurveyConfig, network: &str, change: impl FnOnce(&mut Drive<'_>)) -> Driven {
    let mut network = InProcess::new(lab(network, 17));
    let mut drive = Drive::new(config);
    change(&mut drive);
    drive.over(&mut network, load(config))
}

/// Every row, without what follows from the number of its probe.
fn facts(rows: &[HopRecord], first: ProbeId) -> Vec<HopRecord> {
    let unnumbered = |row: &HopRecord| {
        let mut row = row.clone();
        row.probe_id = row.probe_id.map(|id| ProbeId(id.0 - first.0));
        row.probe_checksum = None;
        if let Some(reply) = &mut row.reply {
            (reply.quoted, reply.echoed) = (None, None);
        }
        row
    };
    rows.iter().map(unnumbered).collect()
}

#[test]
fn a_run_whose_numbers_begin_high_gives_the_same_rows_but_for_the_numbers() {
    for (network, protocol, strategy) in [
        ("loss", Protocol::Udp, StrategyChoice::Trace),
        ("loss", Protocol::Icmp, StrategyChoice::Trace),
        ("loss", Protocol::Tcp, StrategyChoice::Trace),
        ("hosts", Protocol::Tcp, StrategyChoice::Trace),
        ("dual-stack", Protocol::Icmp, StrategyChoice::Sweep),
        ("quoting", Protocol::Udp, StrategyChoice::Sweep),
        ("quoting", Protocol::Tcp, StrategyChoice::Sweep),
    ] {
        let survey = SurveyConfig {
            protocol,
            strategy,
            flows: 2,
            ..config(&["198.18.0.0/29"], 17)
        };
        let survey = survey.validate().expect("a sound configuration");
        let low = drive(&survey, network, |_| {});
        let high = drive(&survey, network, |drive| drive.first = FIRST);
        assert!(low.rows.hops.iter().any(|row| row.reply.is_some()));
        assert_eq!(
            facts(&high.rows.hops, FIRST),
            facts(&low.rows.hops, ProbeId(0)),
            "{network}, {protocol:?}, {strategy:?}"
        );
        assert_eq!(high.rows.traces, low.rows.traces);
        assert_eq!(high.tally.statistics, low.tally.statistics);
    }
}

/// Ends the run at the call of the watcher with this number, at once or after the pending replies.
fn end_at(drive: &mut Drive<'_>, call: usize, at_once: bool) {
    let asked = Arc::new(Asked::default());
    drive.stop = Stop::new(asked.clone());
    let mut calls = 0;
    drive.watch = Box::new(move |_| {
        calls += 1;
        if calls == call {
            asked.stop(2);
            if at_once {
                asked.stop_at_once();
            }
        }
        None
    });
}

/// What the rows of a session say about its finished items. Rows of targets with an interrupted trace say nothing.
fn finished_traces(config: &SurveyConfig, driven: &Driven) -> Finished {
    let mut ended: BTreeMap<TargetId, u16> = BTreeMap::new();
    for trace in &driven.rows.traces {
        let by_itself = trace.stop_reason != StopReason::Interrupted;
        *ended.entry(trace.target).or_default() += u16::from(by_itself);
    }
    let mut finished = Finished::new(parts::items(config, 64));
    for (target, _) in ended.iter().filter(|(_, flows)| **flows == config.flows) {
        finished.insert(target.0.into());
    }
    finished
}

#[test]
fn a_survey_that_is_cut_and_resumed_has_every_trace_once() {
    let survey = SurveyConfig {
        flows: 3,
        window: 8,
        rate: rate(200.0),
        ..config(&["198.18.0.0/26"], 17)
    };
    let survey = survey.validate().expect("a sound configuration");
    for at_once in [false, true] {
        let mut traces: BTreeSet<(TargetId, Option<FlowId>)> = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        let mut finished = Finished::new(64);
        for session in 0..4 {
            let before = finished.clone();
            let driven = drive(&survey, "loss", |drive| {
                drive.first = ProbeId(session << 40);
                drive.earlier = Some(Earlier {
                    finished: before.clone(),
                    ..Earlier::default()
                });
                if session < 3 {
                    end_at(drive, 3, at_once);
                }
            });
            let now = finished_traces(&survey, &driven);
            assert!(!now.is_empty(), "session {session} finishes something");
            for trace in &driven.rows.traces {
                assert!(!before.contains(trace.target.0.into()), "probed again");
                if now.contains(trace.target.0.into()) {
                    let is_new = traces.insert((trace.target, trace.flow));
                    assert!(is_new, "{trace:?} twice");
                    finished.insert(trace.target.0.into());
                }
            }
            for row in driven.rows.hops.iter().filter(|row| row.reply_index == 0) {
                assert!(numbers.insert(row.probe_id), "{row:?}: the number was used");
            }
            assert!(session == 3 || finished.len() < 64, "session {session}");
        }
        assert_eq!(traces.len(), 64 * 3);
        assert_eq!(finished.len(), 64);
    }
}

#[test]
fn a_sweep_that_is_cut_and_resumed_has_every_probe_once() {
    let survey = SurveyConfig {
        strategy: StrategyChoice::Sweep,
        flows: 2,
        max_ttl: Ttl(6),
        rate: rate(200.0),
        ..config(&["198.18.0.0/26"], 17)
    };
    let survey = survey.validate().expect("a sound configuration");
    let items = parts::sweep_items(&survey, 64);
    let mut finished = Finished::new(parts::items(&survey, 64));
    for session in 0..3 {
        let before = finished.clone();
        let driven = drive(&survey, "loss", |drive| {
            drive.first = ProbeId(session << 40);
            drive.earlier = Some(Earlier {
                finished: before.clone(),
                ..Earlier::default()
            });
            if session < 2 {
                end_at(drive, 3, true);
            }
        });
        // Probes that were pending have no row. They are sent again.
        assert_eq!(driven.tally.pending > 0, session < 2);
        for row in driven.rows.hops.iter().filter(|row| row.reply_index == 0) {
            let target = row.trace_id.target(survey.flows);
            let ttl = row.ttl.expect("the TTL of a probe");
            let item = items.item(target, row.flow, ttl).expect("an item");
            assert!(finished.insert(item), "{row:?} twice");
        }
        assert!(session == 2 || finished.len() < items.len());
    }
    assert_eq!(finished.len(), items.len());
}

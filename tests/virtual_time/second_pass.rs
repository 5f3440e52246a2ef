//! The second pass: which holes are probed again, and what is found there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use pathsurvey::config::{StrategyChoice, SurveyConfig};
use pathsurvey::engine::stop::{Asked, Stop};
use pathsurvey::lab::LabNetwork;
use pathsurvey::model::{HopRecord, Protocol, Purpose, Status, TargetId, TraceRecord, Ttl};
use pathsurvey::strategy::{Finished, Hole};
use pathsurvey::survey::parts::Earlier;
use pathsurvey::targets::Families;

use super::experiment::{Drive, Driven, InProcess, chain, config, lab, load, rate};
use super::golden::NETWORKS;

fn drive(
    config: &SurveyConfig,
    network: LabNetwork,
    change: impl FnOnce(&mut Drive<'_>),
) -> Driven {
    let mut drive = Drive::new(config);
    drive.second_pass = true;
    change(&mut drive);
    drive.over(&mut InProcess::new(network), load(config))
}

fn is_second(row: &HopRecord) -> bool {
    row.purpose == Purpose::SecondPass
}

/// Target, flow and TTL of the own rows of the second pass.
fn probed_again(rows: &[HopRecord]) -> Vec<(IpAddr, u16, Option<Ttl>)> {
    let own = rows
        .iter()
        .filter(|row| is_second(row) && row.reply_index == 0);
    let mut probed: Vec<_> = own
        .map(|row| (row.destination, row.flow.0, row.ttl))
        .collect();
    probed.sort_unstable();
    probed
}

/// The silent TTLs in the paths of `traces`, as a reader of the dataset finds them.
fn holes(traces: &[TraceRecord]) -> Vec<(IpAddr, u16, Option<Ttl>)> {
    let mut holes = Vec::new();
    for trace in traces {
        let path = trace.path.iter().flatten();
        let first = trace.first_ttl.map_or(0, |ttl| ttl.0);
        for (ttl, _) in (first..).zip(path).filter(|(_, hop)| hop.is_none()) {
            let flow = trace.flow.map_or(0, |flow| flow.0);
            holes.push((trace.destination, flow, Some(Ttl(ttl))));
        }
    }
    holes.sort_unstable();
    holes
}

fn survey(targets: &[&str], flows: u16) -> SurveyConfig {
    let mut survey = config(targets, 17);
    survey.flows = flows;
    survey.targets.families = Families::Both;
    survey.validate().expect("a sound configuration")
}

#[test]
fn the_silent_ttls_of_every_path_are_probed_once_more_and_nothing_else() {
    let mut found = 0;
    for (name, targets) in NETWORKS {
        for protocol in [Protocol::Udp, Protocol::Icmp, Protocol::Tcp] {
            let survey = SurveyConfig {
                protocol,
                ..survey(targets, 2)
            };
            let with = drive(&survey, lab(name, 17), |_| {});
            let expected = holes(&with.rows.traces);
            assert_eq!(
                probed_again(&with.rows.hops),
                expected,
                "{name} {protocol:?}"
            );
            found += expected.len();
        }
    }
    assert!(found > 50, "{found} holes");
}

#[test]
fn the_rows_of_the_first_pass_are_those_of_a_run_without_a_second() {
    for name in ["loss", "silence", "rate-limit", "clean"] {
        let survey = survey(&["198.18.0.0/28"], 3);
        let with = drive(&survey, lab(name, 17), |_| {});
        let without = drive(&survey, lab(name, 17), |drive| drive.second_pass = false);
        assert_eq!(with.rows.traces, without.rows.traces, "{name}");
        let first: Vec<HopRecord> = { with.rows.hops.iter() }
            .filter(|row| !is_second(row))
            .cloned()
            .collect();
        assert_eq!(first, without.rows.hops, "{name}");
        let second = with.rows.hops.iter().filter(|row| is_second(row));
        for row in second {
            assert_eq!((row.round, row.attempt), (1, 1));
            assert_eq!(row.on_path, Some(false));
            let trace = { with.rows.traces.iter() }.find(|trace| trace.trace_id == row.trace_id);
            let trace = trace.expect("the trace of the row");
            assert_eq!(trace.destination, row.destination);
        }
    }
}

/// A line that loses half of the probes, and a router that answers nobody.
fn lossy_and_silent(seed: u64) -> LabNetwork {
    let rest = r#"
        next = ["mute"]
        [[router]]
        name = "mute"
        address = "10.0.3.1"
        silent = true
        next = ["last"]
        [[router]]
        name = "last"
        address = "10.0.4.1"
        [[target]]
        prefix = "198.18.0.0/22"
        at = "last"
        unlimited = true
        "#;
    chain(seed, "{ delay_ms = 5, loss = 0.5 }", rest)
}

#[test]
fn holes_by_loss_are_filled_and_holes_by_silent_routers_stay() {
    for strategy in [StrategyChoice::Trace, StrategyChoice::Sweep] {
        let survey = SurveyConfig {
            strategy,
            max_ttl: Ttl(8),
            rate: rate(500.0),
            ..survey(&["198.18.0.0/24"], 1)
        };
        let run = drive(&survey, lossy_and_silent(3), |_| {});
        let mut by_ttl: BTreeMap<Option<Ttl>, (u32, u32)> = BTreeMap::new();
        let own = { run.rows.hops.iter() }.filter(|row| is_second(row) && row.reply_index == 0);
        for row in own {
            let (answered, silent) = by_ttl.entry(row.ttl).or_default();
            match row.status {
                Status::Replied => *answered += 1,
                Status::Timeout => *silent += 1,
                _ => panic!("{row:?}"),
            }
        }
        let of = |ttl: u8| by_ttl.get(&Some(Ttl(ttl))).copied().unwrap_or_default();
        assert_eq!(of(4).0, 0, "the silent router");
        assert!(of(4).1 > 50, "{by_ttl:?}");
        for ttl in [2, 3] {
            let (answered, silent) = of(ttl);
            // Half of the probes pass. These bounds are more than four standard deviations away.
            let all = answered + silent;
            assert!(all > 15, "{by_ttl:?}");
            assert!(answered * 10 > all && answered * 10 < all * 9, "{by_ttl:?}");
        }
        assert_eq!(of(1), (0, 0), "the first router always answers");
    }
}

/// The holes of a sweep, from its rows alone.
fn holes_of_sweep(rows: &[HopRecord]) -> Vec<(IpAddr, u16, Option<Ttl>)> {
    let mut flows: BTreeMap<(IpAddr, u16), (BTreeSet<Ttl>, BTreeSet<Ttl>)> = BTreeMap::new();
    for row in rows.iter().filter(|row| !is_second(row)) {
        let flow = flows.entry((row.destination, row.flow.0)).or_default();
        if let (Some(ttl), Some(_)) = (row.ttl, &row.reply) {
            flow.0.insert(ttl);
            if row.is_arrival() {
                flow.1.insert(ttl);
            }
        }
    }
    let mut holes = Vec::new();
    for ((destination, flow), (answered, arrived)) in flows {
        let end = arrived.first().or(answered.last()).map_or(0, |ttl| ttl.0);
        let silent = (1..end).map(Ttl).filter(|ttl| !answered.contains(ttl));
        holes.extend(silent.map(|ttl| (destination, flow, Some(ttl))));
    }
    holes.sort_unstable();
    holes
}

#[test]
fn the_holes_of_a_sweep_are_below_its_target_or_else_below_its_last_answer() {
    let mut found = 0;
    for name in ["loss", "silence", "rate-limit", "unreachable"] {
        let survey = SurveyConfig {
            strategy: StrategyChoice::Sweep,
            max_ttl: Ttl(12),
            rate: rate(200.0),
            ..survey(&["198.18.0.0/29", "198.18.1.0/30"], 2)
        };
        let run = drive(&survey, lab(name, 17), |_| {});
        let expected = holes_of_sweep(&run.rows.hops);
        assert_eq!(probed_again(&run.rows.hops), expected, "{name}");
        found += expected.len();
        let again = { run.rows.hops.iter() }.filter(|row| is_second(row));
        assert!(again.into_iter().all(|row| row.round == 1));
    }
    assert!(found > 20, "{found} holes");
}

#[test]
fn a_resumed_run_probes_the_holes_of_earlier_sessions_as_well() {
    let survey = survey(&["198.18.0.0/29"], 1);
    let mut finished = Finished::new(8);
    for target in [0, 3] {
        finished.insert(target);
    }
    let earlier = Earlier {
        finished,
        holes: vec![Hole {
            target: TargetId(3),
            flow: pathsurvey::model::FlowId(0),
            ttl: Ttl(2),
        }],
        ..Earlier::default()
    };
    let run = drive(&survey, lab("clean", 17), |drive| {
        drive.earlier = Some(earlier)
    });
    let targets: BTreeSet<u32> = run.rows.traces.iter().map(|t| t.target.0).collect();
    assert_eq!(targets, [1, 2, 4, 5, 6, 7].into());
    let second: Vec<&HopRecord> = run.rows.hops.iter().filter(|row| is_second(row)).collect();
    let [row] = &second[..] else {
        panic!("{second:?}");
    };
    assert_eq!((row.trace_id.0, row.ttl), (3, Some(Ttl(2))));
    assert_eq!(row.status, Status::Replied);
}

#[test]
fn an_interrupt_during_the_second_pass_leaves_whole_traces() {
    let survey = SurveyConfig {
        rate: rate(20.0),
        ..survey(&["198.18.0.0/26"], 1)
    };
    let whole = drive(&survey, lossy_and_silent(3), |_| {});
    let cut = drive(&survey, lossy_and_silent(3), |drive| {
        let asked = Arc::new(Asked::default());
        drive.stop = Stop::new(asked.clone());
        drive.watch = Box::new(move |progress| {
            if progress.second_pass.is_some_and(|pass| pass.done > 0) {
                asked.stop(2);
            }
            None
        });
    });
    assert_eq!(cut.rows.traces, whole.rows.traces);
    let (some, all) = (
        probed_again(&cut.rows.hops).len(),
        probed_again(&whole.rows.hops).len(),
    );
    assert!(0 < some && some < all, "{some} of {all}");
}

//! Runs that go on where an earlier session ended.

use std::collections::BTreeSet;

use pathsurvey::config::{StrategyChoice, SurveyConfig};
use pathsurvey::model::{HopRecord, ProbeId, Protocol, Status, Ttl};
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

//! The paths of surveys over every example network against the lab's truth, for every protocol and both families.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::{GeneratedOptions, LabNetwork, Truth, TruthAnswer, TruthEnd, TruthFlow};
use pathsurvey::model::{HopRecord, Protocol, Purpose, ReplyKind, TraceId, TraceRecord, Ttl};
use pathsurvey::targets::Families;

use super::experiment::{Observed, config, inline, lab, lab_file, observe};
use super::golden::{GENERATED, NETWORKS};
use super::traces;

const SEED: u64 = 23;
const MAX_TTL: Ttl = Ttl(32);
const PROTOCOLS: [Protocol; 3] = [Protocol::Udp, Protocol::Icmp, Protocol::Tcp];

/// What the truth leaves open in a network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Open {
    /// Nothing: a path is the truth, and the RTT is exact.
    Nothing,
    /// Which of several ways a packet takes.
    Ways,
    /// Which probes are answered. An RTT takes longer by up to this share, and up to this many microseconds.
    Answers { longer: f64, and_us: f64 },
}

fn open_in(name: &str) -> Open {
    match name {
        "per-packet" => Open::Ways,
        // Jitter of 1 ms each way, and replies that are held back for 30 ms.
        "loss" => Open::Answers {
            longer: 0.0,
            and_us: 32_000.0,
        },
        "rate-limit" => Open::Answers {
            longer: 0.0,
            and_us: 0.0,
        },
        // A twentieth of each delay is jitter.
        "generated" => Open::Answers {
            longer: 0.05,
            and_us: 1.0,
        },
        _ => Open::Nothing,
    }
}

fn survey(targets: &[&str], protocol: Protocol) -> SurveyConfig {
    let mut survey = config(targets, SEED);
    survey.targets.families = Families::Both;
    (survey.protocol, survey.flows, survey.max_ttl) = (protocol, 2, MAX_TTL);
    if protocol == Protocol::Tcp {
        survey.destination_port = 443;
    }
    survey
}

/// Surveys a network and checks every path. Returns the run.
fn compare(name: &str, config: SurveyConfig, network: LabNetwork) -> Observed {
    let run = observe(config, network);
    // This compares the paths with the rows as well.
    traces::check(&run);
    let mut rows: BTreeMap<TraceId, Vec<&HopRecord>> = BTreeMap::new();
    for row in &run.hops {
        rows.entry(row.trace_id).or_default().push(row);
    }
    for trace in &run.traces {
        let rows = &rows[&trace.trace_id];
        let truth = run.network.truth_of_every_ttl(flow_of(rows[0]), MAX_TTL);
        let what = || format!("{name}, {:?}: {trace:#?}\n{truth}", run.config.protocol);
        let path = trace.path.as_deref().expect("hops were probed");
        assert_eq!(trace.first_ttl, Some(Ttl(1)), "{}", what());
        match open_in(name) {
            Open::Nothing => assert_eq!(path, expected(&truth), "{}", what()),
            _ => check_entries(path, &truth, what),
        }
        for (ttl, _) in (1..).zip(path).filter(|(_, entry)| entry.is_none()) {
            let unheard = || is_silent(&truth, ttl) || is_unheard(&run, trace, rows, ttl);
            assert!(unheard(), "TTL {ttl} answered: {}", what());
        }
        check_rtt(open_in(name), trace, &truth, what);
    }
    run
}

/// The fields of the probes that balancers look at.
fn flow_of(row: &HopRecord) -> TruthFlow {
    let to = row.destination;
    let flow = match (row.src_port, row.dst_port) {
        (Some(src), Some(dst)) if row.protocol == Protocol::Udp => TruthFlow::udp(to, src, dst),
        (Some(src), Some(dst)) => TruthFlow::tcp(to, src, dst),
        _ => {
            let checksum = row.probe_checksum.expect("a checksum");
            TruthFlow::echo(to, row.icmp_id.expect("an identifier"), checksum)
        }
    };
    match row.flow_label {
        Some(label) => flow.with_flow_label(label),
        None => flow,
    }
}

/// Whether the answer shows who stands at its TTL. A router that finds a packet too large looks at no TTL.
fn shows_hop(answer: &TruthAnswer) -> bool {
    answer.kind().is_some_and(|kind| !kind.is_too_large())
}

/// The path that the truth shows if it leaves nothing open.
fn expected(truth: &Truth) -> Vec<Option<IpAddr>> {
    let end = match truth.end {
        TruthEnd::Reached(ttl) | TruthEnd::Unreachable(ttl) => ttl,
        TruthEnd::SilentTarget(_) | TruthEnd::Nowhere => MAX_TTL,
    };
    let mut path: Vec<Option<IpAddr>> = Vec::new();
    for hop in &truth.hops[..usize::from(end.0)] {
        let answer = hop.answer().filter(|answer| shows_hop(answer));
        let responder = answer.map(|answer| answer.responder);
        let before = &path[..path.len().saturating_sub(1)];
        let is_back = responder.is_some() && before.contains(&responder);
        path.push(responder);
        // A packet that never arrives goes round from here.
        if is_back && truth.end == TruthEnd::Nowhere {
            break;
        }
    }
    while path.pop_if(|entry| entry.is_none()).is_some() {}
    path
}

/// Every responder in the path is one that the truth has at that TTL.
fn check_entries(path: &[Option<IpAddr>], truth: &Truth, what: impl Fn() -> String) {
    for (ttl, entry) in (1..).map(Ttl).zip(path) {
        let Some(responder) = *entry else {
            continue;
        };
        let hop = truth.hop(ttl).expect("a TTL within the truth");
        let mut shown = hop.candidates().filter(|answer| shows_hop(answer));
        let is_there = shown.any(|answer| answer.responder == responder);
        assert!(is_there, "{responder} at TTL {}: {}", ttl.0, what());
    }
}

/// Whether the truth has nobody who shows the hop at this TTL.
fn is_silent(truth: &Truth, ttl: u8) -> bool {
    let hop = truth.hop(Ttl(ttl)).expect("a TTL within the truth");
    !hop.candidates().any(shows_hop)
}

/// Whether no router's answer to a probe with this TTL came before the trace was written.
fn is_unheard(run: &Observed, trace: &TraceRecord, rows: &[&HopRecord], ttl: u8) -> bool {
    let here = |row: &&&HopRecord| {
        let is_hop = row.purpose != Purpose::Distance && row.reply_index == 0;
        is_hop && row.ttl == Some(Ttl(ttl))
    };
    let mut heard = rows.iter().filter(here).flat_map(|row| {
        let number = row.probe_id.expect("a probe").0 as usize;
        run.recorded[number].deliveries.iter()
    });
    // A target's answer by TCP may not identify its probe.
    !heard.any(|delivery| {
        let in_time = delivery.at <= trace.finished_at;
        in_time && sender(&delivery.packet) != trace.destination
    })
}

fn sender(packet: &[u8]) -> IpAddr {
    match packet[0] >> 4 {
        4 => Ipv4Addr::from(*packet[12..].first_chunk().expect("a header")).into(),
        _ => Ipv6Addr::from(*packet[8..].first_chunk().expect("a header")).into(),
    }
}

fn check_rtt(open: Open, trace: &TraceRecord, truth: &Truth, what: impl Fn() -> String) {
    assert!(
        trace.target_rtt_us.is_some() || trace.path_length.is_none(),
        "{}",
        what()
    );
    let Some(rtt) = trace.target_rtt_us else {
        return;
    };
    let (longer, and_us) = match open {
        Open::Nothing | Open::Ways => (0.0, 0.0),
        Open::Answers { longer, and_us } => (longer, and_us),
    };
    // If the length is not known, the answer can be to a probe with any TTL.
    let at_length = |ttl: Ttl| trace.path_length.is_none_or(|length| length == ttl);
    let mut answers = { truth.hops.iter() }
        .filter(|hop| at_length(hop.ttl))
        .flat_map(|hop| hop.candidates())
        .filter(|answer| answer.is_target);
    let fits = answers.any(|answer| {
        let least = answer.rtt.as_micros() as f64;
        (least..=least * (1.0 + longer) + and_us).contains(&f64::from(rtt))
    });
    assert!(fits, "RTT of {}", what());
}

#[test]
fn the_path_column_is_the_truth_in_every_example_network() {
    for (name, targets) in NETWORKS {
        for protocol in PROTOCOLS {
            compare(name, survey(targets, protocol), lab(name, SEED));
        }
    }
}

#[test]
fn the_path_column_is_the_truth_in_the_generated_networks() {
    let clean = fs::read_to_string(lab_file("generated-clean")).expect("an example network");
    for protocol in PROTOCOLS {
        let network = LabNetwork::generated_with(SEED, GeneratedOptions::default());
        let run = compare("generated", survey(&GENERATED, protocol), network);
        let silent = run.traces.iter().filter_map(|trace| trace.path.as_ref());
        assert!(silent.flatten().any(Option::is_none), "{protocol:?}");
        compare(
            "generated-clean",
            survey(&GENERATED, protocol),
            inline(&clean),
        );
    }
}

/// Routers answer large probes from before their TTL. The path shows what smaller probes found there.
#[test]
fn the_path_column_is_the_truth_while_sizes_are_searched() {
    let (name, targets) = *{ NETWORKS.iter() }
        .find(|(name, _)| *name == "narrow")
        .expect("a network with narrow lines");
    let config = SurveyConfig {
        mtu: true,
        ..survey(targets, Protocol::Udp)
    };
    let run = compare(name, config, lab(name, SEED));
    let of = |on_path: bool, too_large: bool| {
        let rows = run.hops.iter().filter(move |row| {
            let is_too_large = row.reply_kind().is_some_and(ReplyKind::is_too_large);
            row.on_path == Some(on_path) && is_too_large == too_large
        });
        rows.count()
    };
    assert!(of(false, true) > 0, "no probe was too large");
    assert!(of(true, false) > 0);
    assert_eq!(of(true, true), 0);
}

#[test]
fn every_example_network_is_among_the_compared_ones() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("labs");
    for entry in fs::read_dir(directory).expect("the example networks") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let known = |name| NETWORKS.iter().any(|(known, _)| *known == name);
        assert!(
            name.is_some_and(|name| known(name) || name == "generated-clean"),
            "{name:?}"
        );
    }
}

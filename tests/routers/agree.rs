//! To a target that answers: a survey finds every branch of the balancers and no link that is not there, and for each flow the
//! path that traceroute and scamper find with the same ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::chain::{Chain, Family};
use super::listener::Listener;
use super::others::{scamper, traceroute};
use super::paths::{Path, branches, check_links, paths_of};
use super::survey::{Row, clean_survey};
use crate::support::{Ignored, Outcome};
use crate::tools::{scamper_installed, traceroute_installed};

/// Flows of which so many leave out one of three branches once in 10^11 times, if it is left to chance (and it is not where the
/// kernel lets the routers' hashing be seeded).
const MANY: &str = "40";

/// Flows whose paths are compared with those that other programs find.
const COMPARED: usize = 8;

/// A port that the listener leaves closed.
const CLOSED: &str = "81";

/// How a protocol is asked for, and what comes of it.
struct Protocol {
    /// Of the survey.
    options: &'static [&'static str],
    /// Of traceroute.
    traceroute: &'static [&'static str],
    /// Scamper's method.
    scamper: &'static str,
    /// The destination port; none with ICMP.
    port: Option<&'static str>,
    /// The target's reply.
    answer: &'static str,
}

const UDP: Protocol = Protocol {
    options: &["--protocol", "udp"],
    traceroute: &["-U", "-p", "33434"],
    scamper: "udp-paris",
    port: Some("33434"),
    answer: "port_unreachable",
};

const TCP: Protocol = Protocol {
    options: &["--protocol", "tcp"],
    traceroute: &["-T", "-p", "80"],
    scamper: "tcp",
    port: Some("80"),
    answer: "syn_ack",
};

const TCP_ACK: Protocol = Protocol {
    options: &["--protocol", "tcp", "--tcp-flags", "ack"],
    traceroute: &["-T", "-O", "ack", "-p", "80"],
    scamper: "tcp-ack",
    port: Some("80"),
    answer: "rst",
};

const CLOSED_TCP: Protocol = Protocol {
    options: &["--protocol", "tcp", "--dest-port", CLOSED],
    traceroute: &["-T", "-p", CLOSED],
    scamper: "tcp",
    port: Some(CLOSED),
    answer: "rst",
};

const ICMP: Protocol = Protocol {
    options: &["--protocol", "icmp"],
    traceroute: &["-I"],
    scamper: "icmp-paris",
    port: None,
    answer: "echo_reply",
};

pub fn udp(family: Family) -> Outcome {
    let chain = start()?;
    // traceroute connects a socket for each probe, and these routers would go by its hash.
    chain.hash_packets_only();
    let rows = survey_all_branches(&chain, family, &UDP);
    compare(&rows, |flow| by_traceroute(&chain, family, &UDP, flow));
    compare(&rows, |flow| by_scamper(&chain, family, &UDP, flow));
    Ok(())
}

pub fn tcp(family: Family) -> Outcome {
    segments(family, &TCP)
}

pub fn tcp_ack(family: Family) -> Outcome {
    segments(family, &TCP_ACK)
}

pub fn closed_tcp(family: Family) -> Outcome {
    segments(family, &CLOSED_TCP)
}

fn segments(family: Family, protocol: &Protocol) -> Outcome {
    let chain = start()?;
    let _listener = Listener::start(&chain, 80);
    let rows = survey_all_branches(&chain, family, protocol);
    compare(&rows, |flow| by_traceroute(&chain, family, protocol, flow));
    compare(&rows, |flow| by_scamper(&chain, family, protocol, flow));
    Ok(())
}

/// Echo requests have no ports: Linux hashes their addresses alone, so that all flows go one way.
pub fn icmp(family: Family) -> Outcome {
    let chain = start()?;
    let rows = sweep(&chain, family, &ICMP);
    let found = branches(&paths_of(&rows));
    assert!(found.iter().all(|tier| tier.len() == 1), "{found:?}");
    traced_paths_are_the_same(&chain, family, &ICMP, &rows);
    compare(&rows, |flow| by_traceroute(&chain, family, &ICMP, flow));
    compare(&rows, |flow| by_scamper(&chain, family, &ICMP, flow));
    Ok(())
}

fn start() -> Result<Chain, Ignored> {
    traceroute_installed()?;
    scamper_installed()?;
    Chain::up()
}

/// Many flows show every branch, and a few traced one by one show them alike.
fn survey_all_branches(chain: &Chain, family: Family, protocol: &Protocol) -> Vec<Row> {
    let rows = sweep_all_branches(chain, family, protocol);
    traced_paths_are_the_same(chain, family, protocol, &rows);
    rows
}

fn sweep_all_branches(chain: &Chain, family: Family, protocol: &Protocol) -> Vec<Row> {
    let rows = sweep(chain, family, protocol);
    let all: Vec<BTreeSet<IpAddr>> = family
        .tiers()
        .into_iter()
        .map(|tier| tier.into_iter().collect())
        .collect();
    assert_eq!(branches(&paths_of(&rows)), all);
    rows
}

/// Every TTL of many flows, checked against the chain.
fn sweep(chain: &Chain, family: Family, protocol: &Protocol) -> Vec<Row> {
    let length = family.tiers().len();
    let last = length.to_string();
    let sweep = ["--strategy", "sweep", "--max-ttl", &last, "--flows", MANY];
    let options = [protocol.options, &sweep].concat();
    let rows = clean_survey(chain, family.target(), &options);
    check_answers(&rows, family, protocol);
    let paths = paths_of(&rows);
    assert_eq!(paths.len().to_string(), MANY);
    assert_eq!(rows.len(), paths.len() * length);
    check_links(&paths, family);
    rows
}

/// `trace` finds the paths that the sweep has found.
fn traced_paths_are_the_same(chain: &Chain, family: Family, protocol: &Protocol, swept: &[Row]) {
    let options = [protocol.options, &["--flows", "4"]].concat();
    let rows = clean_survey(chain, family.target(), &options);
    check_answers(&rows, family, protocol);
    let traced = paths_of(&rows);
    assert_eq!(traced.len(), 4);
    let swept = paths_of(swept);
    for (port, path) in &traced {
        assert_eq!(Some(path), swept.get(port), "port {port}");
    }
}

/// The target answers as the protocol says, and all others that the time is exceeded.
fn check_answers(rows: &[Row], family: Family, protocol: &Protocol) {
    for row in rows {
        let from_target = row.responder == Some(family.target());
        let expected = if from_target {
            protocol.answer
        } else {
            "time_exceeded"
        };
        assert_eq!(row.reply_kind.as_deref(), Some(expected), "{row:#?}");
    }
}

/// Compares some of a survey's paths with what `find` finds for a flow, of which it is given a probe.
fn compare(rows: &[Row], find: impl Fn(&Row) -> Path) {
    let paths: BTreeMap<u16, Path> = paths_of(rows);
    for (port, path) in paths.iter().take(COMPARED) {
        let probe = rows.iter().find(|row| row.port() == *port).unwrap();
        assert_eq!(path, &find(probe), "port {port}");
    }
}

/// The path that traceroute finds for the flow of `probe`.
fn by_traceroute(chain: &Chain, family: Family, protocol: &Protocol, probe: &Row) -> Path {
    traceroute(chain, protocol.traceroute, probe.port(), family.target())
}

/// The path that scamper finds for the flow of `probe`.
fn by_scamper(chain: &Chain, family: Family, protocol: &Protocol, probe: &Row) -> Path {
    // It takes an echo request's checksum for the destination port.
    let port = match protocol.port {
        Some(port) => port.to_owned(),
        None => probe.probe_checksum.expect("a checksum").to_string(),
    };
    let method = format!("{} -d {port}", protocol.scamper);
    scamper(chain, &method, probe.port(), family.target())
}

//! Surveys through ordinary sockets: what they record is the truth, and what they cannot know is null.

pub mod ping;
pub mod udp;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use pathsurvey::lab::{LabNetwork, Recorded, Truth, TruthFlow};
use pathsurvey::model::{Protocol, Ttl};
use serde_json::Value;

use super::host::World;
use super::lab::repository;
use super::program::run;
use super::truth::MAX_TTL;
use crate::support::Ignored;

const V4: &str = "sample-targets/lab.csv";
const V6: &str = "sample-targets/lab6.csv";
/// Targets of each survey over a list.
const TARGETS: usize = 300;

/// A survey's rows, what it told, and the packets that reached the network.
struct Survey {
    protocol: Protocol,
    network: LabNetwork,
    rows: Vec<Value>,
    told: String,
    log: Vec<Recorded>,
}

/// Surveys `network` with `options` by the program, which has no capability at all and cannot get any.
fn survey(protocol: Protocol, network: LabNetwork, options: &[&str]) -> Result<Survey, Ignored> {
    let world = World::start(&network)?;
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hops.jsonl");
    let mut command = world.survey(&out, options);
    command.args(["--protocol", protocol.as_str()]);
    let (code, told) = run_without_capability(&command);
    assert_eq!(code, Some(0), "{told}");
    let (log, counts) = world.stop();
    assert_eq!(counts.device_dropped, Some(0));
    let rows = std::fs::read_to_string(&out).unwrap();
    Ok(Survey {
        protocol,
        network,
        rows: rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        told,
        log,
    })
}

/// Runs `command`, without any capability: its exit code and what it told.
fn run_without_capability(command: &Command) -> (Option<i32>, String) {
    let mut without = Command::new("setpriv");
    without
        .args(["--bounding-set", "-all", "--inh-caps", "-all"])
        .args(["--ambient-caps", "-all", "--no-new-privs"])
        .args([
            "sh",
            "-c",
            "grep Cap /proc/self/status >&2; exec \"$@\"",
            "sh",
        ])
        .arg(command.get_program())
        .args(command.get_args());
    let (code, _, told) = run(without);
    let sets: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("Cap"))
        .collect();
    assert_eq!(sets.len(), 5, "{told}");
    assert!(
        sets.iter().all(|set| set.ends_with("\t0000000000000000")),
        "{told}"
    );
    (code, told)
}

/// The first targets of a list, in a file in `directory`.
fn first_of(list: &str, directory: &Path) -> String {
    let text = std::fs::read_to_string(repository().join(list)).unwrap();
    let lines: Vec<&str> = text.lines().take(1 + TARGETS).collect();
    let path = directory.join("list.csv");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn text<'a>(row: &'a Value, column: &str) -> Option<&'a str> {
    row.get(column)?.as_str()
}

fn number(row: &Value, column: &str) -> Option<i64> {
    row.get(column)?.as_i64()
}

fn address(row: &Value, column: &str) -> Option<IpAddr> {
    Some(text(row, column)?.parse().unwrap())
}

/// A probe as it reached the network.
#[derive(Debug)]
struct Sent {
    ttl: u8,
    checksum: u16,
    size: usize,
    flow_label: u32,
    /// Type of service or traffic class.
    tos: u8,
}

/// The probes that reached the network, by destination and source port (identifier), in order.
fn sent(wanted: Protocol, log: &[Recorded]) -> HashMap<(IpAddr, u16), Vec<Sent>> {
    let mut sent: HashMap<(IpAddr, u16), Vec<Sent>> = HashMap::new();
    for Recorded { packet, .. } in log {
        let (destination, ttl, protocol, header, first) = match packet[0] >> 4 {
            4 => {
                assert_eq!(packet[6] & 0x40, 0, "DF is clear");
                let destination: [u8; 4] = packet[16..20].try_into().unwrap();
                let word = u32::from(packet[1]) << 20;
                (IpAddr::from(destination), packet[8], packet[9], 20, word)
            }
            _ => {
                let destination: [u8; 16] = packet[24..40].try_into().unwrap();
                let word = u32::from_be_bytes(packet[..4].try_into().unwrap());
                (IpAddr::from(destination), packet[7], packet[6], 40, word)
            }
        };
        let word = |at: usize| u16::from_be_bytes([packet[header + at], packet[header + at + 1]]);
        let (number, checksum) = match (wanted, protocol) {
            (Protocol::Udp, 17) => (word(0), word(6)),
            (Protocol::Icmp, 1 | 58) => (word(4), word(2)),
            other => panic!("{other:?}"),
        };
        sent.entry((destination, number)).or_default().push(Sent {
            ttl,
            checksum,
            size: packet.len(),
            flow_label: first & 0xf_ffff,
            tos: (first >> 20) as u8,
        });
    }
    sent
}

/// The columns that nothing but whole packets could fill.
const UNKNOWN: [&str; 9] = [
    "probe_ip_id",
    "flow_label",
    "reply_size",
    "reply_ip_id",
    "quoted_ttl",
    "quoted_tos",
    "quoted_ip_id",
    "quoted_length",
    "quoted_source",
];

/// What the rows show, by destination and source port (identifier) where that matters.
#[derive(Default)]
struct Shown {
    /// How many replies had which evidence.
    evidence: BTreeMap<String, usize>,
    /// The TTLs that were answered.
    heard: BTreeMap<(IpAddr, u16), BTreeSet<u8>>,
    truths: HashMap<(IpAddr, u16), Truth>,
    /// Replies whose probes the machine was busy elsewhere over: their send stamp is a guess, and no RTT is stated.
    without_rtt: usize,
}

/// Every row is what the network did.
fn true_rows(survey: &Survey, tos: u8) -> Shown {
    let icmp = survey.protocol == Protocol::Icmp;
    let (source_number, quoted_number) = match icmp {
        false => ("src_port", "quoted_src_port"),
        true => ("icmp_id", "quoted_icmp_id"),
    };
    let sent = sent(survey.protocol, &survey.log);
    let mut shown = Shown::default();
    for row in &survey.rows {
        for column in UNKNOWN {
            assert!(
                row.get(column).is_none_or(Value::is_null),
                "{column}: {row}"
            );
        }
        let key = (
            address(row, "destination").unwrap(),
            number(row, source_number).unwrap() as u16,
        );
        let packets = &sent[&key];
        // Paris: nothing that a balancer hashes differs within a flow.
        assert!(
            packets
                .iter()
                .all(|one| (one.flow_label, one.tos) == (packets[0].flow_label, tos))
        );
        let truth = shown.truths.entry(key).or_insert_with(|| {
            let flow = match number(row, "dst_port") {
                Some(port) => TruthFlow::udp(key.0, key.1, port as u16),
                None => TruthFlow::echo(key.0, key.1, packets[0].checksum),
            };
            let flow = flow.with_flow_label(packets[0].flow_label);
            survey.network.truth_of_every_ttl(flow, Ttl(MAX_TTL))
        });
        let ttl = number(row, "ttl").unwrap() as u8;
        // The kernel's checksum is the one recorded.
        let checksum = number(row, "probe_checksum").unwrap() as u16;
        let size = number(row, "probe_size").unwrap() as usize;
        assert!(
            packets
                .iter()
                .any(|one| (one.ttl, one.checksum, one.size) == (ttl, checksum, size)),
            "{row} is none of {packets:?}"
        );
        let hop = truth.hop(Ttl(ttl)).unwrap();
        let Some(responder) = address(row, "responder") else {
            assert_eq!(text(row, "status"), Some("timeout"), "{row}");
            assert!(hop.is_silent(), "{row}\nmisses {hop:?}");
            continue;
        };
        let answer = hop.answer().unwrap();
        assert_eq!(text(row, "status"), Some("replied"), "{row}");
        assert_eq!(responder, answer.responder, "{row}");
        assert_eq!(
            number(row, "icmp_type"),
            answer.icmp_type().map(i64::from),
            "{row}"
        );
        assert_eq!(
            number(row, "icmp_code"),
            answer.icmp_code().map(i64::from),
            "{row}"
        );
        assert_eq!(
            number(row, "reply_ttl"),
            Some(answer.reply_ttl.into()),
            "{row}"
        );
        assert_eq!(
            address(row, "quoted_destination"),
            answer.quoted_destination,
            "{row}"
        );
        let quotes = answer.quoted_destination.is_some();
        assert_eq!(
            number(row, quoted_number),
            quotes.then_some(key.1.into()),
            "{row}"
        );
        // Of a datagram the kernel takes the checksum off.
        assert_eq!(
            number(row, "quoted_checksum"),
            (icmp && quotes).then_some(checksum.into()),
            "{row}"
        );
        shown.without_rtt += usize::from(number(row, "rtt_us").is_none());
        *shown
            .evidence
            .entry(text(row, "evidence").unwrap().to_owned())
            .or_default() += 1;
        shown.heard.entry(key).or_default().insert(ttl);
    }
    assert_eq!(shown.truths.len(), sent.len());
    assert!(
        shown.without_rtt * 100 <= survey.rows.len(),
        "{} of {} without RTT",
        shown.without_rtt,
        survey.rows.len()
    );
    shown
}

/// Two flows to each target of a list over a clean network: the sockets were chosen by themselves and `named` in one line, every
/// TTL that answers is there, and every answer is sure.
fn chosen_by_itself(survey: &Survey, named: &str) {
    let told = survey.told.lines().filter(|line| line.contains(named));
    assert_eq!(told.count(), 1, "{}", survey.told);
    let evidence = complete_and_true(survey, TARGETS, 2, 184);
    let replies = survey.rows.len();
    assert_eq!(evidence, BTreeMap::from([("full".to_owned(), replies)]));
    assert!(replies > 10 * 2 * TARGETS, "{replies}");
}

/// Every row is what the network did, and of every path every TTL that answers is there. Gives how many replies had which evidence.
fn complete_and_true(
    survey: &Survey,
    targets: usize,
    flows: usize,
    tos: u8,
) -> BTreeMap<String, usize> {
    let Shown {
        evidence,
        heard,
        truths,
        ..
    } = true_rows(survey, tos);
    assert_eq!(truths.len(), targets * flows);
    for (key, truth) in &truths {
        // Up to where it ends, or to the maximum: the distance probe.
        let end = truth.path_length().map_or(0, |length| length.0);
        let answering: BTreeSet<u8> = (1..=end.max(1))
            .chain([MAX_TTL])
            .filter(|ttl| truth.hop(Ttl(*ttl)).unwrap().answer().is_some())
            .collect();
        let missing: Vec<&u8> = answering.difference(&heard[key]).collect();
        assert!(missing.is_empty(), "{key:?}: {missing:?} of {truth:#?}");
        let beyond = heard[key].iter().find(|ttl| **ttl > end && **ttl < MAX_TTL);
        assert!(
            beyond.is_none() || truth.path_length().is_none(),
            "{key:?}: {beyond:?}"
        );
    }
    evidence
}

fn survey_targets(survey: &Survey) -> usize {
    let targets: BTreeSet<Option<&str>> = survey
        .rows
        .iter()
        .map(|row| text(row, "destination"))
        .collect();
    targets.len()
}

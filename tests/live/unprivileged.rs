//! Surveys through ordinary UDP sockets: what they record is the truth, and what they cannot know is null.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use pathsurvey::lab::{LabNetwork, Recorded, Truth, TruthFlow};
use pathsurvey::model::Ttl;
use serde_json::Value;

use super::host::World;
use super::lab::{changed, network, repository};
use super::program::run;
use super::truth::MAX_TTL;
use crate::support::Outcome;

const V4: &str = "sample-targets/lab.csv";
const V6: &str = "sample-targets/lab6.csv";
/// Targets of each survey over a list.
const TARGETS: usize = 300;

/// A survey's rows, what it told, and the packets that reached the network.
struct Survey {
    network: LabNetwork,
    rows: Vec<Value>,
    told: String,
    log: Vec<Recorded>,
}

/// Surveys `network` with `options` by the program, which has no capability at all and cannot get any.
fn survey(network: LabNetwork, options: &[&str]) -> Result<Survey, crate::support::Ignored> {
    let world = World::start(&network)?;
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hops.jsonl");
    let survey = world.survey(&out, options);
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set", "-all", "--inh-caps", "-all"])
        .args(["--ambient-caps", "-all", "--no-new-privs"])
        .args([
            "sh",
            "-c",
            "grep Cap /proc/self/status >&2; exec \"$@\"",
            "sh",
        ])
        .arg(survey.get_program())
        .args(survey.get_args());
    let (code, _, told) = run(command);
    assert_eq!(code, Some(0), "{told}");
    let sets: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("Cap"))
        .collect();
    assert_eq!(sets.len(), 5, "{told}");
    assert!(
        sets.iter().all(|set| set.ends_with("\t0000000000000000")),
        "{told}"
    );
    let (log, counts) = world.stop();
    assert_eq!(counts.device_dropped, Some(0));
    let rows = std::fs::read_to_string(&out).unwrap();
    Ok(Survey {
        network,
        rows: rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        told,
        log,
    })
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

/// The probes that reached the network, by destination and source port, in order.
fn sent(log: &[Recorded]) -> HashMap<(IpAddr, u16), Vec<Sent>> {
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
        assert_eq!(protocol, 17);
        let port = u16::from_be_bytes([packet[header], packet[header + 1]]);
        let checksum = u16::from_be_bytes([packet[header + 6], packet[header + 7]]);
        sent.entry((destination, port)).or_default().push(Sent {
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
const UNKNOWN: [&str; 10] = [
    "probe_ip_id",
    "flow_label",
    "reply_size",
    "reply_ip_id",
    "quoted_ttl",
    "quoted_tos",
    "quoted_ip_id",
    "quoted_length",
    "quoted_checksum",
    "quoted_source",
];

/// Every row is what the network did, and of every path every TTL that answers is there. Gives how many replies had which evidence.
fn complete_and_true(
    survey: &Survey,
    targets: usize,
    flows: usize,
    tos: u8,
) -> BTreeMap<String, usize> {
    let sent = sent(&survey.log);
    assert_eq!(sent.len(), targets * flows);
    let mut evidence = BTreeMap::new();
    let mut heard: BTreeMap<(IpAddr, u16), BTreeSet<u8>> = BTreeMap::new();
    let mut truths: HashMap<(IpAddr, u16), Truth> = HashMap::new();
    for row in &survey.rows {
        for column in UNKNOWN {
            assert!(
                row.get(column).is_none_or(Value::is_null),
                "{column}: {row}"
            );
        }
        let key = (
            address(row, "destination").unwrap(),
            number(row, "src_port").unwrap() as u16,
        );
        let packets = &sent[&key];
        // Paris: nothing that a balancer hashes differs within a flow.
        assert!(
            packets
                .iter()
                .all(|one| (one.flow_label, one.tos) == (packets[0].flow_label, tos))
        );
        let truth = truths.entry(key).or_insert_with(|| {
            let port = number(row, "dst_port").unwrap() as u16;
            let flow = TruthFlow::udp(key.0, key.1, port).with_flow_label(packets[0].flow_label);
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
        assert_eq!(number(row, "quoted_src_port"), Some(key.1.into()), "{row}");
        assert!(number(row, "rtt_us").is_some(), "{row}");
        *evidence
            .entry(text(row, "evidence").unwrap().to_owned())
            .or_default() += 1;
        heard.entry(key).or_default().insert(ttl);
    }
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

/// Chosen by itself, because raw sockets are refused, and said in one line.
fn by_itself(list: &str) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let list = first_of(list, directory.path());
    let options = [
        "-i",
        &list,
        "--flows",
        "2",
        "--tos",
        "184",
        "--rate",
        "2000",
        "-w",
        "20",
        "--cooldown",
        "1",
    ];
    let survey = survey(network("generated-clean.toml"), &options)?;
    let told = survey
        .told
        .lines()
        .filter(|line| line.contains("--transport dgram"));
    assert_eq!(told.count(), 1, "{}", survey.told);
    let evidence = complete_and_true(&survey, TARGETS, 2, 184);
    let replies = survey.rows.len();
    assert_eq!(evidence, BTreeMap::from([("full".to_owned(), replies)]));
    assert!(replies > 10 * 2 * TARGETS, "{replies}");
    Ok(())
}

pub fn ipv4() -> Outcome {
    by_itself(V4)
}

pub fn ipv6() -> Outcome {
    by_itself(V6)
}

/// A third of the routers quote 8 bytes, which name no probe: one at a time is under way, and it is that one.
pub fn short_quotes() -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let list = first_of(V4, directory.path());
    let network = changed(
        "generated-clean.toml",
        &[("short_quotes = 0.0", "short_quotes = 0.3")],
    );
    let options = [
        "-i",
        &list,
        "--transport",
        "dgram",
        "--rate",
        "2000",
        "-w",
        "20",
        "--cooldown",
        "1",
    ];
    let survey = survey(network, &options)?;
    let evidence = complete_and_true(&survey, TARGETS, 1, 0);
    let (full, weak) = (evidence["full"], evidence["weak"]);
    assert!(full > weak && weak > TARGETS, "{evidence:?}");
    assert_eq!(full + weak, survey.rows.len());
    Ok(())
}

/// Silent routers and silent targets end as they do with raw sockets.
pub fn silence() -> Outcome {
    let options = [
        "198.18.0.0/26",
        "198.18.1.0/26",
        "--transport",
        "dgram",
        "--per-prefix",
        "64",
        "-w",
        "1",
        "--cooldown",
        "1",
    ];
    let survey = survey(network("silence.toml"), &options)?;
    let evidence = complete_and_true(&survey, survey_targets(&survey), 1, 0);
    assert_eq!(evidence.len(), 1, "{evidence:?}");
    let timeouts = survey
        .rows
        .iter()
        .filter(|row| text(row, "status") == Some("timeout"));
    assert!(timeouts.count() > 64);
    Ok(())
}

fn survey_targets(survey: &Survey) -> usize {
    let targets: BTreeSet<Option<&str>> = survey
        .rows
        .iter()
        .map(|row| text(row, "destination"))
        .collect();
    targets.len()
}

/// What the network loses is missing, what it doubles is told, and nothing else.
pub fn loss() -> Outcome {
    let options = [
        "198.18.0.0/24",
        "198.18.3.0/24",
        "--transport",
        "dgram",
        "--rate",
        "2000",
        "-w",
        "1",
    ];
    let survey = survey(network("loss.toml"), &options)?;
    let delivered: usize = survey.log.iter().map(|one| one.deliveries.len()).sum();
    let replies = survey
        .rows
        .iter()
        .filter(|row| text(row, "responder").is_some());
    assert_eq!(replies.count(), delivered);
    let own = survey
        .rows
        .iter()
        .filter(|row| number(row, "reply_index") == Some(0));
    assert_eq!(own.count(), survey.log.len());
    let of = |status: &str| {
        survey
            .rows
            .iter()
            .filter(|row| text(row, "status") == Some(status))
            .count()
    };
    assert!(of("timeout") > 0 && of("duplicate") > 0 && of("replied") > of("timeout"));
    Ok(())
}

/// Label stacks come through the error queue.
pub fn mpls() -> Outcome {
    let options = [
        "198.18.0.0/26",
        "--transport",
        "dgram",
        "-w",
        "5",
        "--cooldown",
        "1",
    ];
    let survey = survey(network("mpls.toml"), &options)?;
    let stack = |labels: &[u32]| labels.to_vec();
    let expected = BTreeMap::from([(3, stack(&[24_001])), (4, stack(&[24_002, 300]))]);
    let mut shown: BTreeMap<i64, BTreeSet<Vec<u32>>> = BTreeMap::new();
    for row in &survey.rows {
        let labels: Vec<u32> = row["mpls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["label"].as_u64().unwrap() as u32)
            .collect();
        let extensions = row
            .get("icmp_extensions")
            .is_some_and(|bytes| !bytes.is_null());
        assert_eq!(extensions, !labels.is_empty(), "{row}");
        if !labels.is_empty() {
            shown
                .entry(number(row, "ttl").unwrap())
                .or_default()
                .insert(labels);
        }
    }
    let shown: BTreeMap<i64, Vec<u32>> = shown
        .into_iter()
        .map(|(ttl, stacks)| (ttl, Vec::from_iter(stacks).concat()))
        .collect();
    assert_eq!(shown, expected);
    complete_and_true(&survey, survey_targets(&survey), 1, 0);
    Ok(())
}

//! Every protocol over both families, in a clean network and over real sockets: the dataset is the truth, row for row.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use pathsurvey::dataset::Output;
use pathsurvey::engine::stop::Stop;
use pathsurvey::lab::{LabNetwork, Truth, TruthAnswer, TruthEnd, TruthFlow, TruthKind};
use pathsurvey::model::{Protocol, Rate, Ttl};
use pathsurvey::survey::{Observer, Simulation, SurveyError, run_over};
use pathsurvey::targets::{NoNames, Unresolved};
use serde_json::Value;

use super::lab::{config, network, repository};
use super::program::{pathsurvey, run};
use crate::support::{Ignored, Outcome};

/// The highest TTL of a survey.
const MAX_TTL: u8 = 32;

/// A survey with some options, over a list of targets and a few more.
struct Survey {
    list: &'static str,
    /// How many of the list's targets.
    targets: usize,
    options: &'static [&'static str],
    /// Seconds that an answer is waited for, and that what is weak waits for something stronger.
    timeout: &'static str,
}

const V4: &str = "sample-targets/lab.csv";
const V6: &str = "sample-targets/lab6.csv";

pub fn udp_ipv4() -> Outcome {
    equals_truth(&of(V4, &["--protocol", "udp", "--flows", "2"]))
}

pub fn udp_ipv6() -> Outcome {
    equals_truth(&of(V6, &["--protocol", "udp", "--flows", "2"]))
}

pub fn icmp_ipv4() -> Outcome {
    equals_truth(&of(V4, &["--protocol", "icmp", "--flows", "2"]))
}

pub fn icmp_ipv6() -> Outcome {
    equals_truth(&of(V6, &["--protocol", "icmp", "--flows", "2"]))
}

pub fn tcp_ipv4() -> Outcome {
    equals_truth(&of(V4, &["--protocol", "tcp", "--flows", "2"]))
}

pub fn tcp_ipv6() -> Outcome {
    equals_truth(&of(V6, &["--protocol", "tcp", "--flows", "2"]))
}

pub fn tcp_ack() -> Outcome {
    equals_truth(&of(V4, &["--protocol", "tcp", "--tcp-flags", "ack"]))?;
    equals_truth(&of(V6, &["--protocol", "tcp", "--tcp-flags", "ack"]))
}

pub fn tcp_psh() -> Outcome {
    equals_truth(&of(V4, &["--protocol", "tcp", "--tcp-flags", "psh"]))?;
    equals_truth(&of(V6, &["--protocol", "tcp", "--tcp-flags", "psh"]))
}

/// A tenth of the hosts have a service there that answers by UDP, the others have none.
pub fn udp_service() -> Outcome {
    for list in [V4, V6] {
        equals_truth(&Survey {
            timeout: "4",
            ..of(list, &["--dest-port", "53"])
        })?;
    }
    Ok(())
}

/// Of probes that are all of one size nothing shows the TTL but their secrets.
pub fn one_size() -> Outcome {
    equals_truth(&of(V4, &["--packet-size", "200", "--tos", "184"]))?;
    equals_truth(&of(V6, &["--packet-size", "200", "--tos", "184"]))
}

const fn of(list: &'static str, options: &'static [&'static str]) -> Survey {
    Survey {
        list,
        targets: 300,
        options,
        timeout: "20",
    }
}

fn equals_truth(survey: &Survey) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(repository().join(survey.list)).unwrap();
    let lines: Vec<&str> = text.lines().take(1 + survey.targets).collect();
    std::fs::write(path("list.csv"), lines.join("\n")).unwrap();
    let network_file = repository().join("labs/generated-clean.toml");
    let (list, out) = (path("list.csv"), path("hops.jsonl"));
    let mut arguments = vec!["survey", "--lab", network_file.to_str().unwrap()];
    arguments.extend([
        "-i",
        &list,
        "-o",
        &out,
        "--rate",
        "4000",
        "--timeout",
        survey.timeout,
    ]);
    // Nothing more can come in a network where nothing is late.
    arguments.extend(["--cooldown", "1", "--window", "300"]);
    arguments.extend(survey.options);
    let (code, _, errors) = run(pathsurvey(&arguments));
    if code == Some(1) && errors.contains("namespace") {
        return Err(Ignored(errors));
    }
    assert_eq!(code, Some(0), "{errors}");
    let rows: Vec<Value> = std::fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lab = LabNetwork::from_file(&network_file).unwrap();
    compare(&lab, &rows, survey.targets);
    Ok(())
}

/// Holds every row against the truth of its flow, and every flow's truth against its rows.
fn compare(lab: &LabNetwork, rows: &[Value], targets: usize) {
    let mut truths: HashMap<TruthFlow, Truth> = HashMap::new();
    let mut heard: BTreeMap<(String, i64), BTreeMap<u8, usize>> = BTreeMap::new();
    let mut flows: BTreeMap<(String, i64), TruthFlow> = BTreeMap::new();
    for row in rows {
        let flow = flow_of(row);
        let truth = truths
            .entry(flow)
            .or_insert_with(|| lab.truth_of_every_ttl(flow, Ttl(MAX_TTL)));
        let trace = (
            text(row, "destination").unwrap().to_owned(),
            number(row, "flow").unwrap(),
        );
        flows.entry(trace.clone()).or_insert(flow);
        let Some(ttl) = number(row, "ttl") else {
            // A datagram that may answer several probes of a flow: only a target sends such.
            assert_eq!(text(row, "reply_kind"), Some("udp"), "{row}");
            assert_eq!(text(row, "responder"), text(row, "destination"), "{row}");
            continue;
        };
        let hop = truth.hop(Ttl(ttl as u8)).unwrap();
        let status = text(row, "status").unwrap();
        if text(row, "responder").is_none() {
            let ambiguous = hop
                .answer()
                .is_some_and(|answer| answer.answer == TruthKind::Udp);
            assert!(hop.is_silent() || ambiguous, "{row}\nmisses {hop:#?}");
            continue;
        }
        assert!(matches!(status, "replied" | "duplicate"), "{row}");
        let fits = hop.candidates().any(|answer| is_answer(row, answer));
        assert!(fits, "{row}\nis none of {hop:#?}");
        *heard
            .entry(trace)
            .or_default()
            .entry(ttl as u8)
            .or_default() += 1;
    }
    assert_eq!(
        flows
            .keys()
            .map(|(target, _)| target)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        targets
    );
    for (trace, flow) in &flows {
        let truth = &truths[flow];
        let TruthEnd::Reached(end) = truth.end else {
            panic!("{trace:?}: nothing hides a target of a clean network: {truth:#?}");
        };
        for ttl in 1..=end.0 {
            let answered = heard[trace].contains_key(&ttl);
            assert!(answered, "{trace:?} has nobody at TTL {ttl} of {}", end.0);
        }
    }
}

fn is_answer(row: &Value, answer: &TruthAnswer) -> bool {
    let wanted = match (answer.kind().unwrap().as_str(), text(row, "reply_kind")) {
        // A segment with ACK, unlike a SYN, is reset by open ports, too.
        ("syn_ack", Some("rst")) => "rst",
        (wanted, _) => wanted,
    };
    text(row, "responder") == Some(&answer.responder.to_string())
        && text(row, "reply_kind") == Some(wanted)
        && number(row, "icmp_type") == answer.icmp_type().map(i64::from)
        && number(row, "icmp_code") == answer.icmp_code().map(i64::from)
        && number(row, "reply_ttl") == Some(answer.reply_ttl.into())
        && number(row, "quoted_ttl") == answer.quoted_ttl.map(i64::from)
        && text(row, "quoted_destination").map(str::to_owned)
            == answer.quoted_destination.map(|address| address.to_string())
        && text(row, "evidence") == Some(evidence(wanted))
}

/// Nothing rewrites anything here; a datagram of a target proves nothing.
fn evidence(kind: &str) -> &'static str {
    match kind {
        "udp" => "weak",
        _ => "full",
    }
}

fn flow_of(row: &Value) -> TruthFlow {
    let destination: IpAddr = text(row, "destination").unwrap().parse().unwrap();
    let port = |column| number(row, column).unwrap() as u16;
    let flow = match text(row, "protocol").unwrap() {
        "udp" => TruthFlow::udp(destination, port("src_port"), port("dst_port")),
        "tcp" => TruthFlow::tcp(destination, port("src_port"), port("dst_port")),
        _ => TruthFlow::echo(destination, port("icmp_id"), port("probe_checksum")),
    };
    match number(row, "flow_label") {
        Some(label) => flow.with_flow_label(label as u32),
        None => flow,
    }
}

fn text<'a>(row: &'a Value, column: &str) -> Option<&'a str> {
    row[column].as_str()
}

fn number(row: &Value, column: &str) -> Option<i64> {
    row[column].as_i64()
}

struct Unwatched;

impl Observer for Unwatched {}

/// Our kernel resets what the targets open, before and after the survey ends.
pub fn no_half_open() -> Outcome {
    let mut config = config(&["198.18.0.0/26", "2001:db8:1000::/42"]);
    config.protocol = Protocol::Tcp;
    config.destination_port = 80;
    config.rate = Rate::new(1_000.0).unwrap();
    let lab = Arc::new(Mutex::new(network("generated-clean.toml")));
    let vantage = lab.lock().unwrap().vantage();
    let simulation = Simulation {
        name: "tcp".to_owned(),
        vantage,
        network: Box::new(lab.clone()),
    };
    let directory = tempfile::tempdir().unwrap();
    let end = run_over(
        simulation,
        &config.validate().unwrap(),
        &Output::Directory(directory.path().join("night")),
        &NoNames(Unresolved::Lab),
        &Stop::default(),
        &mut Unwatched,
    );
    match end {
        Err(SurveyError::Namespace(error)) if error.is_refusal() => {
            return Err(Ignored(error.to_string()));
        }
        end => drop(end.unwrap()),
    }
    let statistics = lab.lock().unwrap().statistics();
    // The resets are all that the lab takes in without an answer.
    assert!(statistics.absorbed > 20, "{statistics:?}");
    assert_eq!(statistics.half_open, 0, "{statistics:?}");
    Ok(())
}

/// Each line's limit is found where it lies, and what came through is the path's MTU.
pub fn path_mtu() -> Outcome {
    for protocol in ["udp", "icmp"] {
        let rows = of_two_hosts("narrow.toml", &["--mtu", "--protocol", protocol])?;
        for row in &rows {
            assert_eq!(text(row, "status"), Some("replied"), "{row}");
            assert_eq!(text(row, "evidence"), Some("full"), "{row}");
            if let "fragmentation_needed" | "packet_too_big" = text(row, "reply_kind").unwrap() {
                let limit = number(row, "next_hop_mtu").unwrap();
                assert!(number(row, "probe_size").unwrap() > limit, "{row}");
                assert!([1_400, 1_280].contains(&limit), "{row}");
            }
        }
        for destination in ["198.18.0.9", "2001:db8:1000::9"] {
            let largest = |ttl: i64| {
                rows.iter()
                    .filter(|row| text(row, "destination") == Some(destination))
                    .filter(|row| number(row, "ttl") == Some(ttl))
                    .filter(|row| number(row, "next_hop_mtu").is_none())
                    .map(|row| number(row, "probe_size").unwrap())
                    .max()
            };
            assert_eq!(largest(5), Some(1_280), "{destination}");
        }
        let narrow = |limit| {
            let told = rows
                .iter()
                .filter(|row| number(row, "next_hop_mtu") == Some(limit));
            told.map(|row| text(row, "responder").unwrap().to_owned())
                .collect::<std::collections::BTreeSet<_>>()
        };
        let set = |a: &str, b: &str| [a.to_owned(), b.to_owned()].into_iter().collect();
        assert_eq!(narrow(1_400), set("10.0.1.1", "2001:db8:f001::1"));
        assert_eq!(narrow(1_280), set("10.0.2.1", "2001:db8:f002::1"));
    }
    Ok(())
}

/// What a router has said of one probe's size keeps no later probe from leaving: our kernel knows the path's MTU by then.
pub fn larger_than_the_path() -> Outcome {
    for protocol in ["udp", "icmp"] {
        let size = ["--packet-size", "1450", "--flows", "3"];
        let rows = of_two_hosts(
            "narrow.toml",
            &[&size[..], &["--protocol", protocol]].concat(),
        )?;
        assert!(
            rows.iter().all(|row| row["status"] == "replied"),
            "{rows:#?}"
        );
        for flow in 0..3 {
            let responders: Vec<(i64, &str)> = rows
                .iter()
                .filter(|row| row["ip_version"] == 6 && number(row, "flow") == Some(flow))
                .map(|row| (number(row, "ttl").unwrap(), text(row, "responder").unwrap()))
                .collect();
            let first = (1, "2001:db8:f000::1");
            let second = "2001:db8:f001::1";
            // The second router lets nothing through that the line behind it does not take.
            assert!(responders.contains(&first) && responders.contains(&(2, second)));
            assert!(
                responders
                    .iter()
                    .all(|(ttl, from)| *ttl == 1 || *from == second),
                "{responders:?}"
            );
        }
    }
    Ok(())
}

/// Every hop is asked until it has answered three times.
pub fn probes_per_hop() -> Outcome {
    let rows = of_two_hosts("dual-stack.toml", &["--probes-per-hop", "3"])?;
    let mut answers: BTreeMap<(String, i64), u32> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| text(row, "status") == Some("replied"))
    {
        let hop = (
            text(row, "destination").unwrap().to_owned(),
            number(row, "ttl").unwrap(),
        );
        *answers.entry(hop).or_default() += 1;
    }
    for (destination, silent) in [("198.18.0.9", 5), ("2001:db8:1000::9", 4)] {
        for ttl in (1..=7).filter(|ttl| *ttl != silent) {
            let key = (destination.to_owned(), ttl);
            assert_eq!(answers.get(&key), Some(&3), "{key:?}");
        }
        assert_eq!(answers.get(&(destination.to_owned(), silent)), None);
    }
    Ok(())
}

/// The rows of a survey of one host of each family.
fn of_two_hosts(file: &str, options: &[&str]) -> Result<Vec<Value>, Ignored> {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hops.jsonl");
    let network_file = repository().join("labs").join(file);
    let mut arguments = vec!["survey", "--lab", network_file.to_str().unwrap()];
    arguments.extend([
        "198.18.0.9",
        "2001:db8:1000::9",
        "-o",
        out.to_str().unwrap(),
    ]);
    arguments.extend(["--rate", "500", "--timeout", "3", "--cooldown", "1"]);
    arguments.extend(options);
    let (code, _, errors) = run(pathsurvey(&arguments));
    if code == Some(1) && errors.contains("namespace") {
        return Err(Ignored(errors));
    }
    assert_eq!(code, Some(0), "{errors}");
    let text = std::fs::read_to_string(&out).unwrap();
    Ok(text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect())
}

//! The golden set: what surveys over every example network find, row by row.
//!
//! One file a network in `golden/`. It holds every combination of strategy and protocol, for targets of both families if the
//! network has them. A change of the engine must not change these rows. If a change is right, its commit changes the
//! files and names the cause of every row that differs.
//!
//! To write the files anew, set `PATHSURVEY_WRITE_GOLDEN=1`. The test then fails, so that this never passes unseen.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pathsurvey::config::StrategyChoice;
use pathsurvey::lab::{GeneratedOptions, LabNetwork};
use pathsurvey::model::{HopRecord, Protocol, TraceRecord, Ttl};
use pathsurvey::targets::Families;

use super::experiment::{Observed, config, lab, observe, rate};

/// The seed of every run and network.
const SEED: u64 = 17;

/// The example networks and the targets probed there.
pub const NETWORKS: [(&str, &[&str]); 21] = [
    ("clean", &["198.18.0.0/29"]),
    ("complaints", &["198.18.0.0/28"]),
    ("cycle", &["198.18.0.0/29"]),
    ("diamond", &["198.18.0.0/29", "198.18.1.0/29"]),
    ("dual-stack", &["198.18.0.0/29", "2001:db8:1000::/125"]),
    (
        "hosts",
        &[
            "198.18.0.0/30",
            "198.18.1.0/30",
            "198.18.2.0/30",
            "2001:db8:1001::/126",
        ],
    ),
    ("loop", &["198.18.0.0/30", "198.18.1.0/30"]),
    ("loss", &["198.18.0.0/28"]),
    ("mpls", &["198.18.0.0/29"]),
    ("narrow", &["198.18.0.0/30", "2001:db8:1000::/126"]),
    ("nat", &["198.18.0.0/29"]),
    ("odd-packets", &["198.18.0.0/29", "2001:db8:1000::/125"]),
    ("other-address", &["198.18.0.0/30", "198.18.1.0/30"]),
    ("per-packet", &["198.18.0.0/28"]),
    ("quoting", &["198.18.0.0/30", "2001:db8:1000::/126"]),
    ("rate-limit", &["198.18.0.0/28"]),
    ("rewriting", &["198.18.0.0/30", "198.18.1.0/30"]),
    ("rewriting-all", &["198.18.0.0/30", "2001:db8:1000::/126"]),
    ("silence", &["198.18.0.0/30", "198.18.1.0/30"]),
    (
        "unreachable",
        &[
            "198.18.0.0/31",
            "198.18.1.0/31",
            "198.18.2.0/31",
            "198.18.3.0/31",
            "198.18.5.0/31",
        ],
    ),
    ("zero-ttl", &["198.18.0.0/29"]),
];

/// The targets in the generated network, whose every router has faults drawn by the seed.
pub const GENERATED: [&str; 4] = [
    "198.18.0.0/29",
    "198.18.7.0/30",
    "198.18.77.0/30",
    "2001:db8:1000::/126",
];

const PROTOCOLS: [Protocol; 3] = [Protocol::Udp, Protocol::Icmp, Protocol::Tcp];

const HEADER: &str = "\
# hop: target, flow, purpose, ttl, attempt, reply_index, status, reason, responder, reply_kind, evidence
# trace: target, flow, stop_reason, reached, path_length, max_ttl, hops_responding, path_mtu, path_hash
";

#[test]
fn every_example_network_gives_the_rows_it_always_gave() {
    let mut differing = Vec::new();
    for (name, targets) in NETWORKS {
        check(name, &dump_all(targets, || lab(name, SEED)), &mut differing);
    }
    let options = GeneratedOptions::default();
    let generated = || LabNetwork::generated_with(SEED, options);
    check(
        "generated",
        &dump_all(&GENERATED, generated),
        &mut differing,
    );
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}

/// Compares a dump with the file of the network.
fn check(name: &str, dump: &str, differing: &mut Vec<String>) {
    let path = file_of(name);
    if std::env::var_os("PATHSURVEY_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, dump).expect("a golden file that can be written");
        differing.push(format!("{name}: written, not compared"));
        return;
    }
    let wanted = std::fs::read_to_string(&path).expect("a golden file");
    let missing = lines_beyond(&wanted, dump);
    let new = lines_beyond(dump, &wanted);
    if wanted == dump {
        return;
    }
    let shown = |sign: &str, lines: &[String]| -> Vec<String> {
        let few = lines.iter().take(20);
        few.map(|line| format!("  {sign} {line}")).collect()
    };
    differing.push(format!(
        "{name}: {} rows missing, {} rows new\n{}\n{}",
        missing.len(),
        new.len(),
        shown("-", &missing).join("\n"),
        shown("+", &new).join("\n"),
    ));
}

/// The lines of `one` that `other` does not have, each behind the title of its run.
fn lines_beyond(one: &str, other: &str) -> Vec<String> {
    let titled = |text: &str| -> Vec<String> {
        let mut title = String::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            match line.strip_prefix("## ") {
                Some(run) => title = run.to_owned(),
                None => lines.push(format!("{title}: {line}")),
            }
        }
        lines
    };
    let known: std::collections::BTreeSet<String> = titled(other).into_iter().collect();
    { titled(one).into_iter() }
        .filter(|line| !known.contains(line))
        .collect()
}

fn file_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/virtual_time/golden")
        .join(name)
        .with_extension("txt")
}

/// Every combination over one network.
fn dump_all(targets: &[&str], network: impl Fn() -> LabNetwork) -> String {
    let mut dump = HEADER.to_owned();
    for method in [StrategyChoice::Trace, StrategyChoice::Sweep] {
        for protocol in PROTOCOLS {
            let mut survey = config(targets, SEED);
            survey.targets.families = Families::Both;
            survey.strategy = method;
            survey.protocol = protocol;
            survey.destination_port = match protocol {
                Protocol::Tcp => 443,
                _ => survey.destination_port,
            };
            match method {
                StrategyChoice::Trace => survey.flows = 2,
                // Slowly enough for targets that answer once a second.
                StrategyChoice::Sweep => (survey.max_ttl, survey.rate) = (Ttl(12), rate(20.0)),
                // Its graphs are compared with the truth.
                StrategyChoice::Multipath => {}
            }
            let run = observe(survey, network());
            let _ = writeln!(dump, "## {} {}", method.as_str(), protocol.as_str());
            dump_run(&run, &mut dump);
        }
    }
    let mut search = config(targets, SEED);
    search.targets.families = Families::Both;
    search.mtu = true;
    let _ = writeln!(dump, "## trace udp mtu");
    dump_run(&observe(search, network()), &mut dump);
    dump
}

fn dump_run(run: &Observed, dump: &mut String) {
    let mut lines: Vec<String> = run.traces.iter().map(trace_line).collect();
    lines.sort();
    let mut hops: Vec<&HopRecord> = run.hops.iter().collect();
    hops.sort_by_key(|row| {
        let probe = (row.purpose.as_str(), row.ttl, row.attempt);
        (
            row.destination,
            row.flow,
            probe,
            row.reply_index,
            row.responder(),
        )
    });
    lines.extend(hops.into_iter().map(hop_line));
    for line in lines {
        dump.push_str(&line);
        dump.push('\n');
    }
}

fn hop_line(row: &HopRecord) -> String {
    fields(&[
        "hop".to_owned(),
        row.destination.to_string(),
        row.flow.0.to_string(),
        row.purpose.as_str().to_owned(),
        shown(row.ttl.map(|ttl| ttl.0)),
        row.attempt.to_string(),
        row.reply_index.to_string(),
        row.status.as_str().to_owned(),
        shown(row.reason.map(|reason| reason.text())),
        shown(row.responder()),
        shown(row.reply_kind().map(|kind| kind.as_str())),
        shown(row.evidence.map(|evidence| evidence.as_str())),
    ])
}

fn trace_line(trace: &TraceRecord) -> String {
    fields(&[
        "trace".to_owned(),
        trace.destination.to_string(),
        shown(trace.flow.map(|flow| flow.0)),
        trace.stop_reason.as_str().to_owned(),
        trace.reached.to_string(),
        shown(trace.path_length.map(|ttl| ttl.0)),
        shown(trace.max_ttl.map(|ttl| ttl.0)),
        trace.hops_responding.to_string(),
        shown(trace.path_mtu),
        shown(trace.path_hash),
    ])
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn fields(fields: &[String]) -> String {
    fields.join(" ")
}

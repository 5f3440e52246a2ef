//! More than 5,000 targets in a network where nothing goes wrong: the dataset on disk is the truth, row for row.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use pathsurvey::dataset::Output;
use pathsurvey::lab::{LabNetwork, TruthAnswer, TruthHop};
use pathsurvey::model::{StopReason, Ttl};

use super::experiment::{config, lab_file, over_file, survey};
use super::parquet_rows::Table;
use super::truth::Truths;

const SOURCE_PORT: u16 = 24_000;
const DEST_PORT: u16 = 33_434;

/// The example of a clean generated network under another seed, as a file.
fn clean_network(seed: u64, directory: &Path) -> std::path::PathBuf {
    let text = fs::read_to_string(lab_file("generated-clean")).expect("the example");
    assert!(text.contains("seed = 1\n"));
    let path = directory.join(format!("clean-{seed}.toml"));
    fs::write(
        &path,
        text.replace("seed = 1\n", &format!("seed = {seed}\n")),
    )
    .expect("a file");
    path
}

/// Surveys the 6,144 sample targets and compares. Returns how many rows there were.
fn compare(seed: u64) -> usize {
    let directory = tempfile::tempdir().expect("a directory");
    let file = clean_network(seed, directory.path());
    let root = directory.path().join("out");
    let mut survey_config = over_file(config(&[], seed), file.clone());
    survey_config.targets.files = vec!["sample-targets/lab.csv".into()];
    let end = survey(survey_config, &Output::Directory(root.clone()));
    let network = LabNetwork::from_file(&file).expect("the same network");
    let mut truths = Truths::new(&network);
    let (hops, traces) = (Table::read(&root, "hops"), Table::read(&root, "traces"));
    assert_eq!(traces.rows(), 6_144);
    assert_eq!(end.dataset.hops, hops.rows() as u64);
    let mut wanted_rows = BTreeSet::new();
    for row in 0..traces.rows() {
        let (trace, length) = check_trace(&traces, row, &mut truths);
        wanted_rows.extend((1..=length.0).map(|ttl| (trace, ttl, "trace".to_owned())));
        // One probe at the highest TTL asked for the distance.
        wanted_rows.insert((trace, 32, "distance".to_owned()));
    }
    let mut seen_rows = BTreeSet::new();
    let mut before = None;
    for row in 0..hops.rows() {
        let key = check_hop(&hops, row, &mut truths);
        assert!(
            before < Some((key.0, key.1)),
            "rows of a part are in the order of traces and TTLs"
        );
        before = Some((key.0, key.1));
        seen_rows.insert(key);
    }
    assert_eq!(seen_rows.len(), hops.rows(), "no row twice");
    assert_eq!(seen_rows, wanted_rows, "path length + 1 probes a target");
    hops.rows()
}

fn address(table: &Table, column: &str, row: usize) -> IpAddr {
    let text = table.text(column, row).expect("an address");
    text.parse().expect("an address")
}

/// Returns the trace's number and its length.
fn check_trace(table: &Table, row: usize, truths: &mut Truths) -> (i64, Ttl) {
    let destination = address(table, "destination", row);
    let truth = truths.of(destination, SOURCE_PORT, DEST_PORT);
    let length = truth.path_length().expect("every target can be reached");
    let (ttl, number) = (i64::from(length.0), |column| table.number(column, row));
    assert_eq!(
        table.text("stop_reason", row),
        Some(StopReason::Completed.as_str())
    );
    assert!(table.flag("reached", row));
    assert_eq!(number("path_length"), Some(ttl), "{destination}");
    assert_eq!(
        (number("first_ttl"), number("max_ttl")),
        (Some(1), Some(ttl))
    );
    assert_eq!(number("hops_responding"), Some(ttl));
    assert_eq!(
        (number("probes_sent"), number("replies")),
        (Some(ttl + 1), Some(ttl + 1))
    );
    let text = destination.to_string();
    assert_eq!(table.text("target_input", row), Some(text.as_str()));
    // Some of the carriers run MPLS. Those that hide their labels show it where three routers or more are in the tunnel.
    let hops = &truth.hops[..usize::from(length.0) - 1];
    let answers = hops.iter().filter_map(TruthHop::answer);
    let quoted: Vec<u8> = answers.clone().filter_map(|a| a.quoted_ttl).collect();
    assert_eq!(quoted.len(), hops.len(), "every router answers");
    let rises = |pair: &[u8]| pair[0] > 1 && pair[1] == pair[0] + 1;
    let labelled = answers.clone().any(|answer| !answer.mpls.is_empty());
    let tunnel = labelled || quoted.windows(2).any(rises);
    let anomalies = tunnel.then(|| vec!["mpls_tunnel".to_owned()]);
    assert_eq!(table.texts("anomalies", row), anomalies, "{destination}");
    (number("trace_id").expect("a trace"), length)
}

/// Returns what names the row: trace, TTL, purpose.
fn check_hop(table: &Table, row: usize, truths: &mut Truths) -> (i64, u8, String) {
    let destination = address(table, "destination", row);
    let number = |column| table.number(column, row);
    let text = |column| table.text(column, row);
    let ttl = u8::try_from(number("ttl").expect("a TTL")).expect("a TTL");
    let truth = truths.of(destination, SOURCE_PORT, DEST_PORT);
    let answer = truth
        .hop(Ttl(ttl))
        .and_then(|hop| hop.answer())
        .expect("everyone answers");
    let what = format!("TTL {ttl} towards {destination}");
    assert_eq!(address(table, "responder", row), answer.responder, "{what}");
    assert_eq!(
        number("icmp_type"),
        answer.icmp_type().map(Into::into),
        "{what}"
    );
    assert_eq!(
        number("icmp_code"),
        answer.icmp_code().map(Into::into),
        "{what}"
    );
    assert_eq!(
        text("reply_kind"),
        answer.kind().map(|kind| kind.as_str()),
        "{what}"
    );
    assert_eq!(
        number("quoted_ttl"),
        answer.quoted_ttl.map(i64::from),
        "{what}"
    );
    assert_eq!(number("reply_ttl"), Some(answer.reply_ttl.into()), "{what}");
    assert_eq!(table.mpls(row), labels(answer), "{what}");
    // In virtual time exactly.
    let micros = i64::try_from(answer.rtt.as_micros()).expect("a short time");
    assert_eq!(number("rtt_us"), Some(micros), "{what}");
    let (sent, received) = (
        number("sent_at").expect("sent"),
        number("received_at").expect("received"),
    );
    // Both are cut to whole microseconds.
    assert!((received - sent - micros).abs() <= 1, "{what}");
    assert_eq!(text("status"), Some("replied"), "{what}");
    assert_eq!(text("evidence"), Some("full"), "{what}");
    assert_eq!(
        (number("src_port"), number("dst_port")),
        (Some(24_000), Some(33_434))
    );
    assert_eq!(
        (number("flow"), number("attempt"), number("reply_index")),
        (Some(0), Some(1), Some(0))
    );
    let purpose = text("purpose").expect("a purpose").to_owned();
    (number("trace_id").expect("a trace"), ttl, purpose)
}

fn labels(answer: &TruthAnswer) -> Option<Vec<(i32, i16)>> {
    let stack = answer.mpls.iter();
    let stack: Vec<_> = stack
        .map(|label| (label.label.cast_signed(), i16::from(label.ttl)))
        .collect();
    (!stack.is_empty()).then_some(stack)
}

#[test]
fn the_dataset_of_6144_targets_is_the_truth_in_the_network_of_seed_1() {
    assert!(compare(1) > 6 * 6_144);
}

#[test]
fn the_dataset_of_6144_targets_is_the_truth_in_the_network_of_seed_20260301() {
    assert!(compare(20_260_301) > 6 * 6_144);
}

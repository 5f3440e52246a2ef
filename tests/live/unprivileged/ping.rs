//! Ping sockets: echo probes of a user whose group the kernel allows them.

use std::collections::{BTreeMap, BTreeSet};

use pathsurvey::model::Protocol;
use serde_json::Value;

use super::{
    Survey, TARGETS, V4, V6, chosen_by_itself, complete_and_true, first_of, number,
    run_without_capability, survey, survey_targets, text, true_rows,
};
use crate::live::host::World;
use crate::live::lab::{changed, network};
use crate::support::{Ignored, Outcome};

/// Options of every survey here.
const COMMON: [&str; 6] = ["--rate", "2000", "-w", "20", "--cooldown", "1"];

/// Surveys the first targets of `list`, two flows each.
fn of_list(list: &str, file: &str, changes: &[(&str, &str)]) -> Result<Survey, Ignored> {
    let directory = tempfile::tempdir().unwrap();
    let list = first_of(list, directory.path());
    let mut options = vec!["-i", &list, "--flows", "2", "--tos", "184"];
    options.extend(COMMON);
    survey(Protocol::Icmp, changed(file, changes), &options)
}

/// Chosen by itself, because raw sockets are refused, and said in one line.
fn by_itself(list: &str) -> Outcome {
    let survey = of_list(list, "generated-clean.toml", &[])?;
    chosen_by_itself(&survey, "ping sockets (--transport dgram)");
    let kind = |kind: &str| {
        let of = |row: &&Value| text(row, "reply_kind") == Some(kind);
        survey.rows.iter().filter(of).count()
    };
    assert!(kind("echo_reply") >= 2 * TARGETS && kind("time_exceeded") > kind("echo_reply"));
    Ok(())
}

pub fn ipv4() -> Outcome {
    by_itself(V4)
}

pub fn ipv6() -> Outcome {
    by_itself(V6)
}

/// Eight quoted bytes are the echo header: they name the probe, so that many of a flow are under way all the same.
pub fn short_quotes() -> Outcome {
    let change = ("short_quotes = 0.0", "short_quotes = 0.3");
    let mut survey = of_list(V4, "generated-clean.toml", &[change])?;
    let evidence = complete_and_true(&survey, TARGETS, 2, 184);
    let (full, weak) = (evidence["full"], evidence["weak"]);
    assert!(full > weak && weak > TARGETS, "{evidence:?}");
    assert_eq!(full + weak, survey.rows.len());
    // Together: most flows have a probe that left before an earlier one was answered.
    survey
        .rows
        .sort_by(|one, other| sent_at(one).cmp(sent_at(other)));
    let mut answered_until: BTreeMap<(String, i64), String> = BTreeMap::new();
    let mut together = 0;
    for row in &survey.rows {
        let destination = text(row, "destination").unwrap().to_owned();
        let key = (destination, number(row, "flow").unwrap());
        let until = answered_until.entry(key).or_default();
        together += usize::from(until.as_str() > sent_at(row));
        let received = text(row, "received_at").unwrap();
        if received > until.as_str() {
            *until = received.to_owned();
        }
    }
    assert!(together > 4 * TARGETS, "{together}");
    Ok(())
}

fn sent_at(row: &Value) -> &str {
    text(row, "sent_at").unwrap()
}

/// Every TTL of every target at once: each answer shows which.
pub fn sweep() -> Outcome {
    let options = [
        "198.18.0.0/26",
        "198.18.1.0/26",
        "--strategy",
        "sweep",
        "-m",
        "8",
        "--transport",
        "dgram",
        "--per-prefix",
        "64",
        "-w",
        "1",
        "--cooldown",
        "1",
    ];
    let survey = survey(Protocol::Icmp, network("silence.toml"), &options)?;
    assert_eq!(survey.rows.len(), 8 * survey_targets(&survey));
    assert_eq!(survey.log.len(), survey.rows.len());
    let shown = true_rows(&survey, 0);
    let replies: usize = shown.heard.values().map(BTreeSet::len).sum();
    assert_eq!(
        shown.evidence,
        BTreeMap::from([("full".to_owned(), replies)])
    );
    assert!(replies > survey.rows.len() / 2, "{replies}");
    Ok(())
}

/// A group that the kernel allows none: one sentence with the ways out, and no dataset.
pub fn refused() -> Outcome {
    let world = World::start(&network("clean.toml"))?;
    let range = "/proc/sys/net/ipv4/ping_group_range";
    std::fs::write(range, "1 0").map_err(|error| Ignored(format!("{range}: {error}")))?;
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hops.jsonl");
    for transport in ["auto", "dgram"] {
        let options = ["198.18.0.9", "--protocol", "icmp", "--transport", transport];
        let (code, told) = run_without_capability(&world.survey(&out, &options));
        assert_eq!(code, Some(1), "{told}");
        for way_out in [
            "net.ipv4.ping_group_range=\"0 0\"",
            "the capability CAP_NET_RAW is withheld from all programs here",
            "--protocol udp",
        ] {
            assert!(told.contains(way_out), "{told}");
        }
        assert!(!out.exists());
    }
    let (log, _) = world.stop();
    assert!(log.is_empty());
    Ok(())
}

//! Ordinary UDP sockets: one probe of a flow at a time.

use std::collections::{BTreeMap, BTreeSet};

use pathsurvey::lab::LabNetwork;
use pathsurvey::model::Protocol;

use super::{
    TARGETS, V4, V6, chosen_by_itself, complete_and_true, first_of, number, survey, survey_targets,
    text,
};
use crate::live::lab::{changed, network};
use crate::support::Outcome;

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
    let survey = survey(Protocol::Udp, network("generated-clean.toml"), &options)?;
    chosen_by_itself(&survey, "ordinary UDP sockets (--transport dgram)");
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
    let survey = survey(Protocol::Udp, network, &options)?;
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
    let survey = survey(Protocol::Udp, network("silence.toml"), &options)?;
    let evidence = complete_and_true(&survey, survey_targets(&survey), 1, 0);
    assert_eq!(evidence.len(), 1, "{evidence:?}");
    let timeouts = survey
        .rows
        .iter()
        .filter(|row| text(row, "status") == Some("timeout"));
    assert!(timeouts.count() > 64);
    Ok(())
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
    let survey = survey(Protocol::Udp, network("loss.toml"), &options)?;
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
    let survey = survey(Protocol::Udp, network("mpls.toml"), &options)?;
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

/// Routers that quote 8 bytes, on lines that deliver every fifth packet twice.
const COPIES: &str = r#"
seed = 4
[[router]]
name = "r1"
address = "10.0.0.1"
next = ["r2"]
quote_bytes = 8
line = { duplicate = 0.2, delay_ms = 3, jitter_ms = 2 }
[[router]]
name = "r2"
address = "10.0.0.2"
next = ["r3"]
quote_bytes = 8
line = { duplicate = 0.2, delay_ms = 3, jitter_ms = 2 }
[[router]]
name = "r3"
address = "10.0.0.3"
quote_bytes = 8
line = { delay_ms = 3 }
[[target]]
prefix = "198.18.0.0/24"
at = "r3"
unlimited = true
quote_bytes = 8
line = { delay_ms = 3 }
"#;

/// The second copy of an answer that names no probe is nobody's but the first one's, and what follows is as it is.
pub fn copies() -> Outcome {
    let network = LabNetwork::from_toml(COPIES, "copies").unwrap();
    let options = [
        "198.18.0.0/26",
        "--transport",
        "dgram",
        "-w",
        "1",
        "-c",
        "1",
    ];
    let survey = survey(Protocol::Udp, network, &options)?;
    let delivered: usize = survey.log.iter().map(|one| one.deliveries.len()).sum();
    let mut answered: BTreeMap<(String, i64), usize> = BTreeMap::new();
    let mut copies = 0;
    for row in &survey.rows {
        let Some(responder) = text(row, "responder") else {
            continue;
        };
        let (destination, ttl) = (
            text(row, "destination").unwrap(),
            number(row, "ttl").unwrap(),
        );
        let router = format!("10.0.0.{ttl}");
        let expected = if ttl <= 3 { &router } else { destination };
        assert_eq!(responder, expected, "{row}");
        assert_eq!(text(row, "evidence"), Some("weak"), "{row}");
        copies += usize::from(text(row, "status") == Some("duplicate"));
        *answered.entry((destination.to_owned(), ttl)).or_default() += 1;
    }
    assert_eq!(answered.values().sum::<usize>(), delivered, "each a row");
    assert!(copies > 30, "{copies}");
    // Three routers, the target, and the distance.
    assert_eq!(answered.len(), 5 * survey_targets(&survey));
    Ok(())
}

//! `manifest.json`: the configuration of a run, its counts, and its files.

use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::cells::rfc3339;
use super::table::AnyTable;
use super::writer::Counted;
use super::{Ending, RunFigures, RunMeta, Vantage};
use crate::model::{Anomaly, DiscardReason, Evidence, KernelDrops, Rate, Statistics, Status, Time};

/// Version of the manifest's format. Within a version, members are only added.
pub(super) const MANIFEST_VERSION: u32 = 1;

/// The program's name, which identifies its manifests.
pub(super) const TOOL: &str = env!("CARGO_PKG_NAME");

/// A complete file of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    /// Relative to the manifest's directory.
    pub path: String,
    /// The number of the sealing. Parts of one sealing have the same number in all tables.
    pub sealing: usize,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// The parts of one table.
#[derive(Clone, Debug)]
pub(super) struct TableParts {
    pub name: &'static str,
    pub schema_version: u32,
    pub parts: Vec<Part>,
}

impl TableParts {
    pub(super) fn new(table: &AnyTable) -> Self {
        TableParts {
            name: table.schema().name,
            schema_version: table.schema().version,
            parts: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunState<'a> {
    /// `running`, `complete`, `interrupted` or `failed`.
    pub state: &'static str,
    pub exit_reason: Option<&'a str>,
    pub updated_at: Time,
    /// Set in every state but `running`.
    pub ended_at: Option<Time>,
}

impl RunState<'_> {
    pub(super) fn running(now: Time) -> Self {
        RunState {
            state: "running",
            exit_reason: None,
            updated_at: now,
            ended_at: None,
        }
    }
}

impl<'a> RunState<'a> {
    pub(super) fn ended(ending: &'a Ending, now: Time) -> Self {
        let (state, exit_reason) = match ending {
            Ending::Complete => ("complete", None),
            Ending::Interrupted(reason) => ("interrupted", Some(reason.as_str())),
            Ending::Failed(reason) => ("failed", Some(reason.as_str())),
        };
        RunState {
            state,
            exit_reason,
            updated_at: now,
            ended_at: Some(now),
        }
    }
}

/// The manifest's text, ending in a newline. Equal arguments give equal bytes.
pub(super) fn render(
    meta: &RunMeta,
    facts: &RunFigures,
    counted: &Counted,
    progress: RunState,
    tables: &[TableParts],
) -> Vec<u8> {
    let run = with_counted(&facts.run, counted);
    let manifest = Manifest {
        manifest_version: MANIFEST_VERSION,
        tool: Tool {
            name: TOOL,
            version: env!("CARGO_PKG_VERSION"),
        },
        run_id: &meta.run_id,
        survey_id: &meta.survey_id,
        shard: meta.shard,
        cycle: meta.cycle,
        state: progress.state,
        exit_reason: progress.exit_reason,
        started_at: rfc3339(meta.started_at.as_micros()),
        updated_at: rfc3339(progress.updated_at.as_micros()),
        ended_at: progress
            .ended_at
            .and_then(|ended| rfc3339(ended.as_micros())),
        seed: meta.seed,
        method: &meta.method,
        protocol: meta.protocol.as_str(),
        vantage: &meta.vantage,
        targets: &facts.targets,
        run: &run,
        probes: probes(&counted.statistics),
        extra_replies: by_status(|status| counted.statistics.extra_replies(status)),
        packets: packets(&facts.statistics),
        evidence: evidence(&counted.statistics),
        anomalies: anomalies(&counted.statistics),
        kernel_drops: facts.kernel_drops,
        rate: Rates {
            requested_per_second: facts.rate_requested,
            achieved_per_second: facts.rate_achieved,
        },
        rtt_error_us_p99: facts.rtt_error_us_p99,
        nat_checksum_delta: facts.nat_checksum_delta,
        warnings: &facts.warnings,
        tables: Named(
            tables
                .iter()
                .map(|table| (table.name, TableSection::of(table)))
                .collect(),
        ),
        config_sha256: &config_sha256(&meta.config),
        config: &meta.config,
    };
    let mut text = serde_json::to_vec_pretty(&manifest)
        .expect("every member is text, a number, or a list or map with text keys");
    text.push(b'\n');
    text
}

/// The figures `run`, with those that the rows determine.
fn with_counted(run: &Value, counted: &Counted) -> Value {
    let mut run = run.as_object().cloned().unwrap_or_default();
    let figures = [
        ("traces_ended", counted.traces_ended.into()),
        ("traces_reached", counted.traces_reached.into()),
        ("distinct_responders", counted.distinct_responders().into()),
        ("not_sent", not_sent(&counted.statistics)),
    ];
    run.extend(figures.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(run)
}

/// The probes that were not sent, by reason and family, as JSON.
pub fn not_sent(counts: &Statistics) -> Value {
    counts
        .unsent()
        .map(|(reason, ipv6, probes)| {
            json!({
                "reason": reason.text(),
                "family": if ipv6 { "ipv6" } else { "ipv4" },
                "probes": probes,
            })
        })
        .collect()
}

/// SHA-256 of the configuration's compact JSON text, hexadecimal.
pub(super) fn config_sha256(config: &Value) -> String {
    use sha2::{Digest, Sha256};
    super::files::hex(&Sha256::digest(config.to_string()))
}

/// The id of the run that wrote a manifest. `None` if the text is no manifest of this program.
pub(super) fn run_id_of(text: &[u8]) -> Option<String> {
    let manifest: Value = serde_json::from_slice(text).ok()?;
    if manifest["tool"]["name"] != TOOL {
        return None;
    }
    Some(manifest["run_id"].as_str()?.to_owned())
}

/// Encodes a text for file names that every file system and every reader of `key=value` directories accepts. Letters, digits, `.`, `_` and
/// `-` stay; every other byte becomes `%` and two digits.
pub(super) fn path_safe(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The text of a relative path, as the manifest has it.
pub(super) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[derive(Serialize)]
struct Manifest<'a> {
    manifest_version: u32,
    tool: Tool,
    run_id: &'a str,
    survey_id: &'a str,
    shard: Option<i32>,
    cycle: Option<i32>,
    state: &'static str,
    exit_reason: Option<&'a str>,
    started_at: Option<String>,
    updated_at: Option<String>,
    ended_at: Option<String>,
    seed: u64,
    method: &'a str,
    protocol: &'static str,
    vantage: &'a Vantage,
    targets: &'a Value,
    run: &'a Value,
    probes: Probes,
    extra_replies: Named<u64>,
    packets: Packets,
    evidence: Named<u64>,
    anomalies: Named<u64>,
    kernel_drops: KernelDrops,
    rate: Rates,
    rtt_error_us_p99: Option<f64>,
    nat_checksum_delta: Option<u16>,
    warnings: &'a [String],
    tables: Named<TableSection<'a>>,
    config_sha256: &'a str,
    config: &'a Value,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Probes {
    total: u64,
    sent: u64,
    by_status: Named<u64>,
}

#[derive(Serialize)]
struct Packets {
    received: u64,
    discarded: Named<u64>,
}

#[derive(Serialize)]
struct Rates {
    requested_per_second: Option<Rate>,
    achieved_per_second: Option<f64>,
}

#[derive(Serialize)]
struct TableSection<'a> {
    schema_version: u32,
    rows: u64,
    bytes: u64,
    parts: &'a [Part],
}

impl<'a> TableSection<'a> {
    fn of(table: &'a TableParts) -> Self {
        TableSection {
            schema_version: table.schema_version,
            rows: table.rows(),
            bytes: table.bytes(),
            parts: &table.parts,
        }
    }
}

/// Named values in a fixed order.
struct Named<V>(Vec<(&'static str, V)>);

impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn by_status(count: impl Fn(Status) -> u64) -> Named<u64> {
    Named(
        Status::ALL
            .into_iter()
            .map(|status| (status.as_str(), count(status)))
            .collect(),
    )
}

fn probes(statistics: &Statistics) -> Probes {
    Probes {
        total: Status::ALL
            .into_iter()
            .map(|status| statistics.probes(status))
            .sum(),
        sent: statistics.probes_sent(),
        by_status: by_status(|status| statistics.probes(status)),
    }
}

fn packets(statistics: &Statistics) -> Packets {
    Packets {
        received: statistics.packets_received,
        discarded: Named(
            DiscardReason::ALL
                .into_iter()
                .map(|reason| (reason.as_str(), statistics.discarded(reason)))
                .collect(),
        ),
    }
}

fn evidence(statistics: &Statistics) -> Named<u64> {
    Named(
        [Evidence::Full, Evidence::Rewritten, Evidence::Weak]
            .into_iter()
            .map(|evidence| (evidence.as_str(), statistics.evidence(evidence)))
            .collect(),
    )
}

/// Number of traces with each anomaly.
fn anomalies(statistics: &Statistics) -> Named<u64> {
    Named(
        Anomaly::ALL
            .into_iter()
            .map(|anomaly| (anomaly.as_str(), statistics.anomalies(anomaly)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths() {
        assert_eq!(path_safe("fra-1.example_x"), "fra-1.example_x");
        assert_eq!(path_safe("a/b=c d"), "a%2Fb%3Dc%20d");
        assert_eq!(path_safe("é%"), "%C3%A9%25");
    }

    #[test]
    fn only_our_manifests_are_recognised() {
        assert_eq!(run_id_of(b"{"), None);
        assert_eq!(run_id_of(br#"{"run_id": "x"}"#), None);
        assert_eq!(
            run_id_of(br#"{"tool": {"name": "pathsurvey"}, "run_id": "x"}"#),
            Some("x".to_owned())
        );
    }
}

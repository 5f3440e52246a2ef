//! `manifest.json`: the configuration of a run, its counts, and its files.
//!
//! [`Manifest`] is what the writer writes and what readers get. Reading is tolerant in one direction: a member that is missing has its
//! default, and a member that is not known here is ignored. Within a [`MANIFEST_VERSION`], members are only added. So manifests of
//! older and of newer versions of the program can be read, as long as that number is the same.
//!
//! Guarantees:
//! - Equal values give equal bytes. A manifest that was read and is written again has the same bytes, if this version wrote it.
//! - Reading never panics. [`ManifestError`] says why a text is not a manifest.
//!
//! Left out: files. Everything here works on text in memory.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Vantage;
use crate::model::{KernelDrops, Rate, Time};

mod day_text;
mod named;
mod paths;
mod render;
mod session;
#[cfg(test)]
mod tests;
pub(in crate::dataset) mod time_text;

pub use named::{Counts, Named};
pub(super) use paths::{path_plain, path_safe, path_text, vantage_folder};
pub use render::not_sent;
pub(super) use render::{Facts, Progress, TableParts, config_sha256, render};
pub use session::Session;

/// Version of the manifest's format. Within a version, members are only added.
pub const MANIFEST_VERSION: u32 = 1;

/// The program's name, which identifies its manifests.
pub const TOOL: &str = env!("CARGO_PKG_NAME");

/// Why a text is not a manifest that this version can read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not whole JSON, or a member has a value of another kind.
    #[error("it is not a whole manifest ({0}): restore the file from a copy")]
    Json(#[source] serde_json::Error),
    /// Another program wrote it, or nothing says who wrote it.
    #[error(
        "it is not a manifest of {TOOL}{}: give the path of a dataset that {TOOL} wrote",
        .0.as_ref().map(|name| format!(" but of {name}")).unwrap_or_default()
    )]
    Foreign(Option<String>),
    /// The format is newer than this program.
    #[error(
        "its manifest_version is {found} (written by {TOOL} {tool}), and this program knows versions up to {MANIFEST_VERSION}: install a newer {TOOL}"
    )]
    Newer {
        /// The version found.
        found: u64,
        /// The version of the program that wrote it.
        tool: String,
    },
}

/// A run's manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Version of this format: see [`MANIFEST_VERSION`].
    pub manifest_version: u32,
    /// The program that wrote the dataset.
    pub tool: Tool,
    /// The run's id.
    pub run_id: String,
    /// The name that several runs of one survey share.
    pub survey_id: String,
    /// The number of this shard of the survey.
    pub shard: Option<i32>,
    /// The number of this cycle of a repeated survey.
    pub cycle: Option<i32>,
    /// The night: the partition `date=`. `None` for a single file. Manifests of earlier versions lack it: the night is the UTC day of
    /// `started_at`.
    #[serde(with = "day_text")]
    pub date: Option<NaiveDate>,
    /// State of the run.
    pub state: RunState,
    /// Why the run ended early. `None` if it did not.
    pub exit_reason: Option<String>,
    /// The start of the run.
    #[serde(with = "time_text")]
    pub started_at: Option<Time>,
    /// The time at which this manifest was written.
    #[serde(with = "time_text")]
    pub updated_at: Option<Time>,
    /// The end of the run. `None` in the states `running` and `killed`.
    #[serde(with = "time_text")]
    pub ended_at: Option<Time>,
    /// The seed of all random choices.
    pub seed: u64,
    /// The strategy's name, such as `trace`.
    pub method: String,
    /// The name of the probes' protocol. It may be one that this version does not know.
    pub protocol: String,
    /// The place from which the run probed.
    pub vantage: Vantage,
    /// The report about the targets' loading.
    pub targets: Value,
    /// Further figures of the run.
    pub run: Value,
    /// Counts of probes.
    pub probes: Probes,
    /// Further replies to probes, by status.
    pub extra_replies: Counts,
    /// Counts of packets.
    pub packets: Packets,
    /// Matched replies, by strength of evidence.
    pub evidence: Counts,
    /// Number of traces with each anomaly.
    pub anomalies: Counts,
    /// Packets that were lost before the run read them.
    pub kernel_drops: KernelDrops,
    /// Rates of sending.
    pub rate: Rates,
    /// 99th percentile of the send timestamp's error, µs.
    pub rtt_error_us_p99: Option<f64>,
    /// The constant by which a 1:1 NAT in front of the host changed checksums. `None` if no such NAT was seen.
    pub nat_checksum_delta: Option<u16>,
    /// Sentences that readers of the dataset should know.
    pub warnings: Vec<String>,
    /// The processes that wrote the run, in their order. A run that was never resumed has one.
    pub sessions: Vec<Session>,
    /// Runs of the same night whose files this run removes when it is complete. Readers leave them out from then on.
    pub replaces: Vec<String>,
    /// The files, by the name of the table.
    pub tables: Named<TableSection>,
    /// SHA-256 of the configuration's compact JSON text, hexadecimal.
    pub config_sha256: String,
    /// The whole configuration.
    pub config: Value,
}

/// The program that wrote a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// Its name: [`TOOL`].
    pub name: String,
    /// Its version.
    pub version: String,
}

/// State of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunState {
    /// The run still writes. If no process does, it was killed, and no other run has started in its directory since.
    #[default]
    Running,
    /// The run finished.
    Complete,
    /// The run was stopped, for instance by `SIGINT`. Everything received until then is in the dataset.
    Interrupted,
    /// The run finished, but more than one probe in a hundred could not be sent.
    Incomplete,
    /// The run failed.
    Failed,
    /// The process ended without its last manifest: it was killed, or the disk refused the manifest. The next run in the directory sets
    /// this state. Everything else is as the run's last manifest had it, so `ended_at` is `None`.
    Killed,
    /// A state of a newer version, by its name.
    Other(String),
}

impl RunState {
    /// The name in the manifest.
    pub fn as_str(&self) -> &str {
        match self {
            RunState::Running => "running",
            RunState::Complete => "complete",
            RunState::Interrupted => "interrupted",
            RunState::Incomplete => "incomplete",
            RunState::Failed => "failed",
            RunState::Killed => "killed",
            RunState::Other(name) => name,
        }
    }
}

impl From<String> for RunState {
    fn from(name: String) -> Self {
        let known = [
            RunState::Running,
            RunState::Complete,
            RunState::Interrupted,
            RunState::Incomplete,
            RunState::Failed,
            RunState::Killed,
        ];
        let found = known.into_iter().find(|state| state.as_str() == name);
        found.unwrap_or(RunState::Other(name))
    }
}

impl From<RunState> for String {
    fn from(state: RunState) -> Self {
        state.as_str().to_owned()
    }
}

/// Counts of probes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probes {
    /// All probes.
    pub total: u64,
    /// Probes that the kernel took.
    pub sent: u64,
    /// All probes, by status.
    pub by_status: Counts,
}

/// Counts of packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Packets {
    /// Packets read from the network.
    pub received: u64,
    /// Packets that matched no probe, by reason.
    pub discarded: Counts,
}

/// Rates of sending.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// The rate asked for.
    pub requested_per_second: Option<Rate>,
    /// Probes per second while sending.
    pub achieved_per_second: Option<f64>,
}

/// The files of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableSection {
    /// The version of the table's schema.
    pub schema_version: u32,
    /// Rows of all parts.
    pub rows: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// The parts, in the order of writing.
    pub parts: Vec<Part>,
}

impl TableSection {
    /// Sets rows and bytes to those of the parts.
    fn sum(&mut self) {
        self.rows = self.parts.iter().map(|part| part.rows).sum();
        self.bytes = self.parts.iter().map(|part| part.bytes).sum();
    }
}

/// A complete file of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Relative to the manifest's directory, with `/`.
    pub path: String,
    /// The number of the sealing. Parts of one sealing have the same number in all tables. All rows of a trace are in them, but for late
    /// replies, which may be in a later part. `None` for a single file, and in the manifests of programs before schema version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<u64>,
    /// Whether all its rows are of targets whose traces were interrupted. A resumed run probes these targets again, and drops the part.
    #[serde(default, skip_serializing_if = "is_false")]
    pub interrupted: bool,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`]. Another program's JSON is [`ManifestError::Foreign`], whatever its members are.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_slice(text).map_err(ManifestError::Json)?;
        let tool = &value["tool"];
        if tool["name"] != TOOL {
            let name = tool["name"].as_str().map(str::to_owned);
            return Err(ManifestError::Foreign(name));
        }
        match value["manifest_version"].as_u64() {
            Some(found) if found > u64::from(MANIFEST_VERSION) => Err(ManifestError::Newer {
                found,
                tool: tool["version"].as_str().unwrap_or("?").to_owned(),
            }),
            // From the text, because its errors name line and column.
            _ => serde_json::from_slice(text).map_err(ManifestError::Json),
        }
    }

    /// The parts of all tables.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.tables.iter().flat_map(|(_, section)| &section.parts)
    }

    /// Whether it lists a part with this path.
    pub(super) fn lists(&self, part: &Part) -> bool {
        self.parts().any(|listed| listed.path == part.path)
    }

    /// Adds a part to a table that the manifest has.
    pub(super) fn add_part(&mut self, table: &str, part: Part) {
        if let Some(section) = self.tables.get_mut(table)
            && section.parts.iter().all(|listed| listed.path != part.path)
        {
            section.parts.push(part);
            section.sum();
        }
    }

    /// Removes the parts that `keep` refuses.
    pub(super) fn retain_parts(&mut self, keep: impl Fn(&Part) -> bool) {
        for section in self.tables.values_mut() {
            section.parts.retain(&keep);
            section.sum();
        }
    }

    /// The manifest's text, ending in a newline. Equal manifests give equal bytes.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self)
            .expect("every member is text, a number, or a list or map with text keys");
        text.push(b'\n');
        text
    }
}

/// The id of the run that wrote a manifest. `None` if the text is not a manifest of this program.
pub(super) fn run_id_of(text: &[u8]) -> Option<String> {
    let manifest: Value = serde_json::from_slice(text).ok()?;
    if manifest["tool"]["name"] != TOOL {
        return None;
    }
    Some(manifest["run_id"].as_str()?.to_owned())
}

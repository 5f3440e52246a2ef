//! The writer's side: the manifest of a run, from its facts, figures and parts.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Counts, MANIFEST_VERSION, Manifest, Packets, Part, Probes, Rates, RunState, TOOL, TableSection,
    Tool,
};
use crate::dataset::files::hex;
use crate::dataset::schema::Table;
use crate::dataset::{Ending, RunFigures, RunMeta};
use crate::model::{Anomaly, DiscardReason, Evidence, Statistics, Status, Time};

/// The parts of one table.
#[derive(Clone, Debug)]
pub(in crate::dataset) struct TableParts {
    pub table: Table,
    pub parts: Vec<Part>,
}

impl TableParts {
    pub(in crate::dataset) fn new(table: Table) -> Self {
        TableParts {
            table,
            parts: Vec::new(),
        }
    }

    pub(in crate::dataset) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    pub(in crate::dataset) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    fn section(&self) -> TableSection {
        TableSection {
            schema_version: self.table.version(),
            rows: self.rows(),
            bytes: self.bytes(),
            parts: self.parts.clone(),
        }
    }
}

/// How far the run came, and when.
#[derive(Clone, Debug)]
pub(in crate::dataset) struct Progress {
    state: RunState,
    exit_reason: Option<String>,
    updated_at: Time,
    /// Set in every state but `running`.
    ended_at: Option<Time>,
}

impl Progress {
    pub(in crate::dataset) fn running(now: Time) -> Self {
        Progress {
            state: RunState::Running,
            exit_reason: None,
            updated_at: now,
            ended_at: None,
        }
    }

    pub(in crate::dataset) fn ended(ending: &Ending, now: Time) -> Self {
        let (state, exit_reason) = match ending {
            Ending::Complete => (RunState::Complete, None),
            Ending::Interrupted(reason) => (RunState::Interrupted, Some(reason.clone())),
            Ending::Failed(reason) => (RunState::Failed, Some(reason.clone())),
        };
        Progress {
            state,
            exit_reason,
            updated_at: now,
            ended_at: Some(now),
        }
    }
}

/// The manifest's text, ending in a newline. Equal arguments give equal bytes.
pub(in crate::dataset) fn render(
    meta: &RunMeta,
    facts: &RunFigures,
    progress: Progress,
    tables: &[TableParts],
) -> Vec<u8> {
    let statistics = &facts.statistics;
    let manifest = Manifest {
        manifest_version: MANIFEST_VERSION,
        tool: Tool {
            name: TOOL.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        run_id: meta.run_id.clone(),
        survey_id: meta.survey_id.clone(),
        shard: meta.shard,
        cycle: meta.cycle,
        state: progress.state,
        exit_reason: progress.exit_reason,
        started_at: Some(meta.started_at),
        updated_at: Some(progress.updated_at),
        ended_at: progress.ended_at,
        seed: meta.seed,
        method: meta.method.clone(),
        protocol: meta.protocol.as_str().to_owned(),
        vantage: meta.vantage.clone(),
        targets: facts.targets.clone(),
        run: facts.run.clone(),
        probes: probes(statistics),
        extra_replies: by_status(|status| statistics.extra_replies(status)),
        packets: packets(statistics),
        evidence: evidence(statistics),
        anomalies: anomalies(statistics),
        kernel_drops: facts.kernel_drops,
        rate: Rates {
            requested_per_second: facts.rate_requested,
            achieved_per_second: facts.rate_achieved,
        },
        rtt_error_us_p99: facts.rtt_error_us_p99,
        nat_checksum_delta: facts.nat_checksum_delta,
        warnings: facts.warnings.clone(),
        tables: tables
            .iter()
            .map(|table| (table.table.as_str(), table.section()))
            .collect(),
        config_sha256: config_sha256(&meta.config),
        config: meta.config.clone(),
    };
    manifest.to_text()
}

/// SHA-256 of the configuration's compact JSON text, hexadecimal.
pub(in crate::dataset) fn config_sha256(config: &Value) -> String {
    hex(&Sha256::digest(config.to_string()))
}

fn by_status(count: impl Fn(Status) -> u64) -> Counts {
    Status::ALL
        .into_iter()
        .map(|status| (status.as_str(), count(status)))
        .collect()
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
        discarded: DiscardReason::ALL
            .into_iter()
            .map(|reason| (reason.as_str(), statistics.discarded(reason)))
            .collect(),
    }
}

fn evidence(statistics: &Statistics) -> Counts {
    [Evidence::Full, Evidence::Rewritten, Evidence::Weak]
        .into_iter()
        .map(|evidence| (evidence.as_str(), statistics.evidence(evidence)))
        .collect()
}

fn anomalies(statistics: &Statistics) -> Counts {
    Anomaly::ALL
        .into_iter()
        .map(|anomaly| (anomaly.as_str(), statistics.anomalies(anomaly)))
        .collect()
}

//! The writer's side: the manifest of a run, from its facts, figures and parts.

use chrono::NaiveDate;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::session::add_drops;
use super::{
    Counts, MANIFEST_VERSION, Manifest, Packets, Part, Probes, Rates, RunState, Session, TOOL,
    TableSection, Tool,
};
use crate::dataset::Totals;
use crate::dataset::directory::Sessions;
use crate::dataset::files::hex;
use crate::dataset::table::AnyTable;
use crate::dataset::{Counted, Ending, RunFigures, RunMeta};
use crate::model::{Anomaly, DiscardReason, Evidence, Statistics, Status, Time};

/// The parts of one table.
#[derive(Clone, Debug)]
pub(in crate::dataset) struct TableParts {
    pub name: &'static str,
    schema_version: u32,
    pub parts: Vec<Part>,
}

impl TableParts {
    pub(in crate::dataset) fn new(table: &AnyTable) -> Self {
        TableParts {
            name: table.schema().name,
            schema_version: table.schema().version,
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
            schema_version: self.schema_version,
            rows: self.rows(),
            bytes: self.bytes(),
            parts: self.parts.clone(),
        }
    }
}

/// The state of the run, with the times of that state.
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
            Ending::Incomplete(reason) => (RunState::Incomplete, Some(reason.clone())),
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

/// What a manifest is made from.
pub(in crate::dataset) struct Facts<'a> {
    pub meta: &'a RunMeta,
    pub figures: &'a RunFigures,
    pub counted: &'a Totals,
    pub progress: &'a Progress,
    pub tables: &'a [TableParts],
    pub sessions: &'a Sessions,
    /// `None` for a single file.
    pub night: Option<NaiveDate>,
    pub replaces: Vec<String>,
}

/// Returns the manifest's text, which ends in a newline. Equal arguments give equal bytes. All figures that rows determine come from
/// [`Facts::counted`], so they agree with the parts.
pub(in crate::dataset) fn render(facts: &Facts<'_>) -> Vec<u8> {
    let (meta, figures) = (facts.meta, facts.figures);
    let progress = facts.progress;
    let session = session(facts);
    let earlier = &facts.sessions.earlier;
    let packets = earlier.iter().fold(session.packets.clone(), |sum, before| {
        sum.plus(&before.packets)
    });
    let kernel_drops = earlier.iter().fold(session.kernel_drops, |sum, before| {
        add_drops(sum, before.kernel_drops)
    });
    let mut manifest = Manifest {
        manifest_version: MANIFEST_VERSION,
        tool: Tool {
            name: TOOL.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        run_id: meta.run_id.clone(),
        survey_id: meta.survey_id.clone(),
        shard: meta.shard,
        cycle: meta.cycle,
        date: facts.night,
        state: progress.state.clone(),
        exit_reason: progress.exit_reason.clone(),
        started_at: Some(meta.started_at),
        updated_at: Some(progress.updated_at),
        ended_at: progress.ended_at,
        seed: meta.seed,
        method: meta.method.clone(),
        protocol: meta.protocol.as_str().to_owned(),
        vantage: meta.vantage.clone(),
        targets: figures.targets.clone(),
        run: figures.run.clone(),
        packets,
        kernel_drops,
        rate: Rates {
            requested_per_second: figures.rate_requested,
            achieved_per_second: figures.rate_achieved,
        },
        rtt_error_us_p99: figures.rtt_error_us_p99,
        nat_checksum_delta: figures.nat_checksum_delta,
        warnings: figures.warnings.clone(),
        sessions: earlier.iter().cloned().chain([session]).collect(),
        replaces: facts.replaces.clone(),
        tables: { facts.tables.iter() }
            .map(|table| (table.name, table.section()))
            .collect(),
        config_sha256: config_sha256(&meta.config),
        config: meta.config.clone(),
        ..Manifest::default()
    };
    manifest.set_counted(facts.counted);
    manifest.to_text()
}

/// The session of this process.
fn session(facts: &Facts<'_>) -> Session {
    let (sessions, progress) = (facts.sessions, facts.progress);
    Session {
        number: sessions.number(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Some(sessions.started_at),
        ended_at: progress.ended_at,
        state: progress.state.clone(),
        exit_reason: progress.exit_reason.clone(),
        first_probe_id: sessions.first_probe().0,
        dropped_rows: sessions.dropped_rows.clone(),
        packets: packets(&facts.figures.statistics),
        kernel_drops: facts.figures.kernel_drops,
    }
}

impl Manifest {
    /// Sets the figures that the rows of `traces` determine.
    pub(in crate::dataset) fn set_traces(&mut self, counted: &Counted) {
        let mut run = self.run.as_object().cloned().unwrap_or_default();
        let figures = [
            ("traces_ended", counted.traces_ended),
            ("traces_reached", counted.traces_reached),
        ];
        run.extend(figures.map(|(name, count)| (name.to_owned(), count.into())));
        self.run = Value::Object(run);
        self.anomalies = anomalies(&counted.statistics);
    }

    /// Sets all figures that rows determine.
    pub(in crate::dataset) fn set_counted(&mut self, counted: &Totals) {
        let in_rows = &counted.statistics;
        self.run = with_counted(&self.run, counted);
        self.probes = probes(in_rows);
        self.extra_replies = by_status(|status| in_rows.extra_replies(status));
        self.evidence = evidence(in_rows);
        self.anomalies = anomalies(in_rows);
    }
}

/// Returns the figures `run` together with those that the rows determine.
fn with_counted(run: &Value, counted: &Totals) -> Value {
    let mut run = run.as_object().cloned().unwrap_or_default();
    let figures = [
        ("traces_ended", counted.traces_ended.into()),
        ("traces_reached", counted.traces_reached.into()),
        ("distinct_responders", counted.distinct_responders.into()),
        ("not_sent", not_sent(&counted.statistics)),
    ];
    run.extend(figures.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(run)
}

/// Returns the probes that were not sent, by reason and family, as JSON.
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

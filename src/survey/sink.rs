//! Passes the engine's rows to the dataset writer, and counts responders.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::dataset::{DatasetWriter, RunFigures};
use crate::engine::assembler::Assembled;
use crate::engine::report::Tally;
use crate::engine::sink::{RecordSink, SinkError};
use crate::model::{Rate, Time};

use super::summary::not_sent;

/// The facts about a run that do not come from its tally.
#[derive(Clone, Debug, Default)]
pub struct FixedFigures {
    /// The reader's report on the targets.
    pub targets: Value,
    /// Facts known before the first probe: sockets, buffers, ports.
    pub setup: Value,
    /// The requested rate.
    pub rate: Option<Rate>,
    /// Warnings for readers of the dataset.
    pub warnings: Vec<String>,
}

impl FixedFigures {
    /// The facts for the manifest, with the current `tally`.
    pub fn with(&self, tally: &Tally, responders: Option<usize>) -> RunFigures {
        let counts = &tally.statistics;
        RunFigures {
            statistics: counts.clone(),
            kernel_drops: tally.kernel_drops,
            rate_requested: self.rate,
            rate_achieved: tally.achieved_rate(),
            rtt_error_us_p99: tally.rtt_error_us_p99.map(|micros| micros as f64),
            nat_checksum_delta: tally.nat_checksum_delta,
            targets: self.targets.clone(),
            warnings: self.warnings.clone(),
            run: json!({
                "setup": self.setup,
                "traces_ended": tally.traces_ended,
                "traces_reached": tally.traces_reached,
                "distinct_responders": responders,
                "not_sent": not_sent(counts),
                "weak_matches_expected_by_accident": counts.weak_candidates as f64 / 32_768.0,
                "held_up_by_writer_ms": tally.held_up_ms,
                "discard_samples": tally.discard_samples.iter().collect::<Vec<_>>(),
            }),
        }
    }
}

/// Writes the finished rows of the engine.
pub struct DatasetSink {
    writer: DatasetWriter,
    facts: FixedFigures,
    responders: HashSet<IpAddr>,
}

impl DatasetSink {
    /// Writes to `writer`. `facts` go into every manifest.
    pub fn new(writer: DatasetWriter, facts: FixedFigures) -> Self {
        DatasetSink {
            writer,
            facts,
            responders: HashSet::new(),
        }
    }

    /// How many addresses have answered.
    pub fn distinct_responders(&self) -> usize {
        self.responders.len()
    }

    /// Returns the writer, to be closed.
    pub fn into_writer(self) -> DatasetWriter {
        self.writer
    }
}

impl RecordSink for DatasetSink {
    fn write(&mut self, records: &mut Assembled, now: Time) -> Result<(), SinkError> {
        for row in records.hops.drain(..) {
            self.responders
                .extend(row.reply.as_ref().map(|reply| reply.responder));
            self.writer.hop(row, now)?;
        }
        for trace in records.traces.drain(..) {
            self.writer.trace(trace, now)?;
        }
        // No row may be lost silently. A strategy with its own tables must also extend this function.
        if let Some(row) = records.tables.first() {
            return Err(format!("no place for rows of the table {}", row.table).into());
        }
        Ok(())
    }

    fn tick(&mut self, now: Time, tally: &Tally) -> Result<(), SinkError> {
        let facts = self.facts.with(tally, Some(self.responders.len()));
        Ok(self.writer.tick(now, &facts)?)
    }
}

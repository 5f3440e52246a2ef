//! Passes the engine's rows to the dataset writer.

use serde_json::{Value, json};

use crate::dataset::{DatasetWriter, Ending, Hops, RunFigures, Traces};
use crate::engine::assembler::Assembled;
use crate::engine::report::Tally;
use crate::engine::sink::{RecordSink, SinkError};
use crate::model::{Rate, Time};

use super::SurveyError;
use super::outage::Outage;

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
    /// The facts for the manifest, with the current `tally`. The dataset adds what it counts in the rows.
    pub fn with(&self, tally: &Tally) -> RunFigures {
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
                "weak_matches_expected_by_accident": counts.weak_candidates as f64 / 32_768.0,
                "held_up_by_writer_ms": tally.held_up_ms,
                "pending_at_end": tally.pending,
                "discard_samples": tally.discard_samples.iter().collect::<Vec<_>>(),
            }),
        }
    }
}

/// Writes the finished rows of the engine.
pub struct DatasetSink {
    writer: DatasetWriter,
    facts: FixedFigures,
    outage: Outage,
}

impl DatasetSink {
    /// Writes to `writer`. `facts` go into every manifest. Probes that could not be sent are counted in `outage`.
    pub fn new(writer: DatasetWriter, facts: FixedFigures, outage: Outage) -> Self {
        DatasetSink {
            writer,
            facts,
            outage,
        }
    }

    /// Closes the dataset of a run that failed before its first probe. Returns the error of the run.
    pub fn abandon(self, error: SurveyError, now: Time) -> SurveyError {
        let ending = Ending::Failed(error.to_string());
        let facts = self.facts.with(&Tally::default());
        // The first error is the one to tell.
        let _ = self.writer.finish(&ending, now, &facts);
        error
    }

    /// Why the run is incomplete; `None` if it is not.
    pub fn incomplete(&self) -> Option<String> {
        self.outage.verdict()
    }

    /// What the user should know about the output.
    pub fn notices(&self) -> Vec<String> {
        self.writer.notices().to_vec()
    }

    /// Returns the writer, so that the caller can finish it.
    pub fn into_writer(self) -> DatasetWriter {
        self.writer
    }
}

impl RecordSink for DatasetSink {
    fn write(&mut self, records: &mut Assembled, now: Time) -> Result<(), SinkError> {
        for row in records.whole.hops.drain(..) {
            self.outage.count(&row);
            self.writer.push::<Hops>(row, now)?;
        }
        for trace in records.whole.traces.drain(..) {
            self.outage.count_trace(&trace);
            self.writer.push::<Traces>(trace, now)?;
        }
        for row in records.whole.tables.drain(..) {
            self.writer.row(row, now)?;
        }
        // A resumed run probes these targets again.
        for row in records.cut_short.hops.drain(..) {
            self.outage.count(&row);
            self.writer.push_interrupted::<Hops>(row, now)?;
        }
        for trace in records.cut_short.traces.drain(..) {
            self.outage.count_trace(&trace);
            self.writer.push_interrupted::<Traces>(trace, now)?;
        }
        for row in records.cut_short.tables.drain(..) {
            self.writer.interrupted_row(row, now)?;
        }
        self.outage.forget_open();
        // `records` held all rows of its targets. A part is cut only here, so no target is divided.
        Ok(self.writer.seal_if_due(now)?)
    }

    fn tick(&mut self, now: Time, tally: &Tally) -> Result<(), SinkError> {
        Ok(self.writer.tick(now, &self.facts.with(tally))?)
    }
}

//! JSON Lines: one line per row, which holds one JSON object. An absent value is null, so every line has all columns.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

use super::json;
use super::sink::{Sink, SinkError, Target};

/// The encoder of JSON Lines.
pub(super) struct JsonLinesSink {
    target: Target,
    /// The lines of the current batch. The buffer is reused.
    lines: Vec<u8>,
}

impl JsonLinesSink {
    pub(super) fn new(target: Target) -> Self {
        JsonLinesSink {
            target,
            lines: Vec::new(),
        }
    }
}

impl Sink for JsonLinesSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        self.lines.clear();
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .with_encoder_factory(json::times())
            .build::<_, LineDelimited>(&mut self.lines);
        writer.write(batch)?;
        writer.finish()?;
        self.target.write_all(&self.lines)?;
        Ok(self.target.flush()?)
    }

    fn finish(mut self: Box<Self>) -> Result<Target, SinkError> {
        self.target.flush()?;
        Ok(self.target)
    }
}

//! JSON Lines: one line per row, which holds one JSON object. An absent value is null, so every line has all columns.

use std::io::Write;

use arrow::array::RecordBatch;

use super::cells::push_row;
use super::sink::{Sink, SinkError, Target};

/// The encoder of JSON Lines.
pub(super) struct JsonLinesSink {
    target: Target,
    /// The lines of the current batch. The buffer is reused.
    lines: String,
}

impl JsonLinesSink {
    pub(super) fn new(target: Target) -> Self {
        JsonLinesSink {
            target,
            lines: String::new(),
        }
    }
}

impl Sink for JsonLinesSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        self.lines.clear();
        for row in 0..batch.num_rows() {
            push_row(&mut self.lines, batch, row);
            self.lines.push('\n');
        }
        self.target.write_all(self.lines.as_bytes())?;
        Ok(self.target.flush()?)
    }

    fn finish(mut self: Box<Self>) -> Result<Target, SinkError> {
        self.target.flush()?;
        Ok(self.target)
    }
}

//! The interface through which finished rows are written.

use crate::model::Time;

use super::assembler::Assembled;
use super::report::Tally;

/// A failure to write. It says what could not be written, and why.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Stores finished rows.
pub trait RecordSink: Send {
    /// Removes the rows from `records` and stores them in order.
    fn write(&mut self, records: &mut Assembled, now: Time) -> Result<(), SinkError>;

    /// Called at intervals, so that the sink can seal rows that have waited long enough. `tally` holds the figures so far.
    fn tick(&mut self, now: Time, tally: &Tally) -> Result<(), SinkError>;
}

impl<S: RecordSink + ?Sized> RecordSink for &mut S {
    fn write(&mut self, records: &mut Assembled, now: Time) -> Result<(), SinkError> {
        (**self).write(records, now)
    }

    fn tick(&mut self, now: Time, tally: &Tally) -> Result<(), SinkError> {
        (**self).tick(now, tally)
    }
}

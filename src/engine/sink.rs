//! Where finished rows go.

use crate::model::Time;

use super::assembler::Assembled;
use super::report::Tally;

/// A failure to write: what could not be written, and why.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Takes finished rows and makes them last.
pub trait RecordSink: Send {
    /// Takes the rows in `records` out, in order.
    fn write(&mut self, records: &mut Assembled, now: Time) -> Result<(), SinkError>;

    /// Time passes: a chance to seal what has waited long enough. `tally` is what the run has counted so far.
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

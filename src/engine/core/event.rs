//! What leaves the core, in the order in which it must be written.

use crate::model::{HopRecord, TableRow, TraceEnd};

/// Something to write. The rows of a trace's probes come before the end of the trace.
#[derive(Debug)]
pub enum Event {
    /// A row of `hops`: a probe that has ended, a further reply, or an inferred hop.
    Row(HopRecord),
    /// A trace has ended.
    Ended(TraceEnd),
    /// A row of one of the strategy's own tables.
    Table(TableRow),
}

//! Rows that are sealed together.

use crate::dataset::RunFigures;
use crate::dataset::table::Rows;
use crate::model::Time;

/// The rows of all tables between two cuts, with the figures of the run at the second one.
pub(in crate::dataset) struct Group {
    /// By table, in the order of the writer's tables. A buffer is emptied as soon as its rows are safe.
    pub rows: Vec<Box<dyn Rows>>,
    /// Whether all rows are of targets whose traces were interrupted.
    pub interrupted: bool,
    pub figures: RunFigures,
    pub now: Time,
}

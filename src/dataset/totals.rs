//! The counts of a run's rows as numbers, for manifests and checkpoints.

use serde::{Deserialize, Serialize};

use super::Counted;
use crate::model::Statistics;

/// Counts of rows. In contrast to [`Counted`], they lack the addresses of responders, and have their number only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub statistics: Statistics,
    pub traces_ended: u64,
    pub traces_reached: u64,
    pub distinct_responders: u64,
}

impl From<&Counted> for Totals {
    fn from(counted: &Counted) -> Self {
        Totals {
            statistics: counted.statistics.clone(),
            traces_ended: counted.traces_ended,
            traces_reached: counted.traces_reached,
            distinct_responders: counted.distinct_responders(),
        }
    }
}

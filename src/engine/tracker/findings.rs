//! What a tracker is told and what it tells.

use std::time::Duration;

use crate::model::{HopRecord, Outcome};

/// How long probes wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A reply after this is late.
    pub timeout: Duration,
    /// How much longer a late or duplicate reply is still recognised.
    pub late_window: Duration,
}

/// What came of replies or of time passing.
#[derive(Debug, Default)]
pub struct Findings {
    /// Finished rows, in the order they were settled.
    pub rows: Vec<HopRecord>,
    /// What strategies are to be told, in the same order.
    pub outcomes: Vec<Outcome>,
}

impl Findings {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.outcomes.clear();
    }
}

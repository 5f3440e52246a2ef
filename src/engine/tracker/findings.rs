//! What a tracker is told and what it tells.

use std::time::Duration;

use crate::model::{HopRecord, Outcome, Reply, Status, Time};

/// How long probes wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A reply after this is late.
    pub timeout: Duration,
    /// How much longer a late or duplicate reply is still recognised.
    pub late_window: Duration,
}

impl Patience {
    /// How a probe sent at `sent_at` ends with `reply`.
    pub(super) fn status_of(&self, reply: &Reply, sent_at: Time) -> Status {
        match reply.received_at.since(sent_at) <= self.timeout {
            true => Status::Replied,
            false => Status::Late,
        }
    }
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

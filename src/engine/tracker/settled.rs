//! The timeouts of a run, and the output of the tracker.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::core::Event;
use crate::model::{Outcome, Reply, Status, Time};

/// How long replies are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A reply that takes longer is late.
    pub timeout: Duration,
    /// How much longer late and duplicate replies are recognised.
    pub late_window: Duration,
}

impl Timeouts {
    /// Returns `Replied` if `reply` came in time for a probe sent at `sent_at`, else `Late`.
    pub(super) fn status_of(&self, reply: &Reply, sent_at: Time) -> Status {
        match reply.received_at.since(sent_at) <= self.timeout {
            true => Status::Replied,
            false => Status::Late,
        }
    }

    /// How long the ledger keeps a probe.
    pub(super) fn lifetime(&self) -> Duration {
        self.timeout + self.late_window
    }
}

/// Finished rows, and outcomes for the strategy.
#[derive(Debug, Default)]
pub struct Settled {
    /// Finished rows, in the order in which they were settled. The core adds the events of the strategy and removes all events.
    pub events: VecDeque<Event>,
    /// The outcomes, in the same order. The strategy receives them after all of these rows.
    pub outcomes: Vec<Outcome>,
}

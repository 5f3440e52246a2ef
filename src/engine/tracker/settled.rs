//! What comes of sending, of replies, and of time passing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::core::Event;
use crate::model::{Outcome, Reply, Status, Time};

/// How long replies are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A reply after this is late.
    pub timeout: Duration,
    /// How much longer a late or duplicate reply is still recognised.
    pub late_window: Duration,
}

impl Timeouts {
    /// How a probe sent at `sent_at` ends with `reply`.
    pub(super) fn status_of(&self, reply: &Reply, sent_at: Time) -> Status {
        match reply.received_at.since(sent_at) <= self.timeout {
            true => Status::Replied,
            false => Status::Late,
        }
    }

    /// For how long an entry is kept.
    pub(super) fn lifetime(&self) -> Duration {
        self.timeout + self.late_window
    }
}

/// Rows that are finished, and what the strategy is to learn.
#[derive(Debug, Default)]
pub struct Settled {
    /// Finished rows, in the order they were settled. The core adds what the strategy reports, and takes all out.
    pub events: VecDeque<Event>,
    /// The outcomes, in the same order. The strategy learns them behind all of these rows.
    pub outcomes: Vec<Outcome>,
}

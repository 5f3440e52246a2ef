//! The figures of a run, as far as the core knows them.

use std::time::Duration;

use super::Core;
use crate::engine::report::{DiscardSamples, MicrosHistogram, Progress, Tally};
use crate::model::Time;

/// What is counted beside rows and packets.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub first_sent: Option<Time>,
    pub last_sent: Option<Time>,
    /// Probes that the kernel took.
    pub sent: u64,
    /// By how much send stamps may be wrong.
    stamp_error: MicrosHistogram,
    /// How long sending waited for the writer, and since when it does now.
    pub held_up: Duration,
    pub held_up_since: Option<Time>,
    /// Probes that had to wait because too many next hops do not answer.
    pub crowded: u64,
    /// Probes that were pending when the run ended.
    pub pending: u64,
    pub samples: DiscardSamples,
}

impl Figures {
    /// Counts probes that the kernel took in one call.
    pub fn sent(&mut self, count: u64, before: Time, after: Time) {
        self.sent += count;
        self.first_sent = self.first_sent.or(Some(before));
        self.last_sent = Some(after);
        let span = after.since(before).as_micros() as u64;
        self.stamp_error.add(span, count);
    }
}

impl Core {
    /// The figures so far, without those of the rows that were written: see
    /// [`Collector::tally`](crate::engine::collector::Collector::tally).
    pub fn tally(&self) -> Tally {
        let figures = &self.figures;
        Tally {
            statistics: self.tracker.counts().clone(),
            first_sent: figures.first_sent,
            last_sent: figures.last_sent,
            rtt_error_us_p99: figures.stamp_error.quantile(0.99),
            held_up_ms: figures.held_up.as_millis() as u64,
            crowded: figures.crowded,
            pending: figures.pending,
            nat_checksum_delta: self.tracker.nat_checksum_delta(),
            discard_samples: figures.samples.clone(),
            ..Tally::default()
        }
    }

    /// How far the run has come.
    pub fn progress(&self) -> Progress {
        Progress {
            completed: self.strategy.completed(),
            sent: self.figures.sent,
            received: self.tracker.counts().packets_received,
            second_pass: self.strategy.second_pass(),
        }
    }
}

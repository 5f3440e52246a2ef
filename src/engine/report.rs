//! The figures that a run reports, while it goes on and at its end.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::strategy::PassProgress;

use crate::model::{DiscardReason, KernelDrops, Statistics, Time};

/// Most raw packets that are kept for each discard reason.
const SAMPLES_PER_REASON: usize = 4;
/// Most bytes that are kept of each packet.
const SAMPLE_BYTES: usize = 128;

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pairs of target and flow that are finished.
    pub completed: u64,
    /// Probes that the kernel accepted.
    pub sent: u64,
    /// Packets read from the network.
    pub received: u64,
    /// The second pass. `None` if there is no second pass.
    pub second_pass: Option<PassProgress>,
}

/// The figures of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rows written and packets received.
    pub statistics: Statistics,
    /// Traces that ended.
    pub traces_ended: u64,
    /// Traces whose target answered.
    pub traces_reached: u64,
    /// Packets that the kernel dropped.
    pub kernel_drops: KernelDrops,
    /// When the kernel accepted the first probe.
    pub first_sent: Option<Time>,
    /// When the kernel accepted the last probe.
    pub last_sent: Option<Time>,
    /// Upper bound of the error of the send timestamp for 99 % of the probes, µs.
    pub rtt_error_us_p99: Option<u64>,
    /// How long sending waited for the writer of the dataset, ms.
    pub held_up_ms: u64,
    /// Probes that had to wait because too many next hops did not answer.
    pub crowded: u64,
    /// Probes that were sent, and still pending when the run ended. They have no row. 0 unless the run ended at once.
    pub pending: u64,
    /// The difference that a 1:1 NAT in front of this host adds to quoted checksums.
    pub nat_checksum_delta: Option<u16>,
    /// A sample of the discarded packets.
    pub discard_samples: DiscardSamples,
}

impl Tally {
    /// Returns the probes per second from the first probe to the last. Returns `None` if both have the same send time, or if
    /// fewer than two were sent.
    pub fn achieved_rate(&self) -> Option<f64> {
        let span = self.last_sent?.since(self.first_sent?).as_secs_f64();
        let intervals = self.statistics.probes_sent().checked_sub(1)?;
        (span > 0.0).then(|| intervals as f64 / span)
    }
}

/// A bounded sample of discarded packets, as raw bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscardSamples(BTreeMap<DiscardReason, Vec<DiscardSample>>);

/// A discarded packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiscardSample {
    /// The reason of the discard.
    pub reason: DiscardReason,
    /// Microseconds since the UNIX epoch.
    pub received_at_us: i64,
    /// At most 128 bytes from the IP header on, hexadecimal.
    pub bytes: String,
}

impl DiscardSamples {
    /// Keeps the packet if fewer than four packets with its reason are kept.
    pub fn offer(&mut self, reason: DiscardReason, received_at: Time, bytes: &[u8]) {
        let kept = self.0.entry(reason).or_default();
        if kept.len() < SAMPLES_PER_REASON {
            let shown = &bytes[..bytes.len().min(SAMPLE_BYTES)];
            kept.push(DiscardSample {
                reason,
                received_at_us: received_at.as_micros(),
                bytes: shown.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
        }
    }

    /// The packets, ordered by reason.
    pub fn iter(&self) -> impl Iterator<Item = &DiscardSample> {
        self.0.values().flatten()
    }
}

/// A histogram of durations in powers of two of a microsecond.
#[derive(Clone, Debug, Default)]
pub struct MicrosHistogram {
    counts: [u64; 32],
}

impl MicrosHistogram {
    /// Adds `count` values of `micros`.
    pub fn add(&mut self, micros: u64, count: u64) {
        let bucket = (u64::BITS - micros.leading_zeros()).min(31) as usize;
        self.counts[bucket] += count;
    }

    /// Returns an upper bound of the `share` quantile, µs. `share` is 0 to 1. Returns `None` if the histogram is empty.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if total > 0 && seen >= wanted {
                return Some((1 << bucket) - 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_an_upper_bound_within_a_factor_of_two() {
        let mut histogram = MicrosHistogram::default();
        assert_eq!(histogram.quantile(0.99), None);
        histogram.add(0, 50);
        histogram.add(5, 49);
        histogram.add(900, 1);
        assert_eq!(histogram.quantile(0.5), Some(0));
        assert_eq!(histogram.quantile(0.99), Some(7));
        assert_eq!(histogram.quantile(1.0), Some(1_023));
    }

    #[test]
    fn samples_are_bounded_by_reason_and_size() {
        let mut samples = DiscardSamples::default();
        for _ in 0..10 {
            samples.offer(DiscardReason::Forged, Time::default(), &[0xab; 300]);
            samples.offer(DiscardReason::Foreign, Time::default(), &[1]);
        }
        assert_eq!(samples.iter().count(), 2 * SAMPLES_PER_REASON);
        assert!(
            samples
                .iter()
                .all(|sample| sample.bytes.len() <= 2 * SAMPLE_BYTES)
        );
    }
}

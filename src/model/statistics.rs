//! The counts of a run, for the manifest and the summary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Anomaly, DiscardReason, Evidence, HopRecord, Status, TraceRecord, UnsentReason};

/// Packets that the kernel dropped before they were read. `None` if the kernel does not report the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelDrops {
    /// Dropped because our receive buffer was full.
    pub receive_buffer: Option<u64>,
    /// Dropped by the lab's own device queue.
    pub lab_device: Option<u64>,
}

/// Counts of probes and packets. Every probe counts in exactly one status of `probes`. Every received packet is matched, or counts in
/// exactly one reason of `discarded`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    probes: [u64; Status::ALL.len()],
    extra_replies: [u64; Status::ALL.len()],
    discarded: [u64; DiscardReason::ALL.len()],
    evidence: [u64; Evidence::ALL.len()],
    anomalies: [u64; Anomaly::ALL.len()],
    /// Probes that were not sent, by reason and family (IPv6 or not).
    #[serde(with = "unsent_list")]
    unsent: BTreeMap<(UnsentReason, bool), u64>,
    sent_ipv6: u64,
    /// Packets read from the network.
    pub packets_received: u64,
    /// Pending probes that were compared with a reply without strong evidence. Multiplied by 2^-15, this is the expected number of
    /// accidental weak matches.
    pub weak_candidates: u64,
}

impl Statistics {
    /// Counts a finished row.
    pub fn count(&mut self, record: &HopRecord) {
        let slot = status_index(record.status);
        if record.reply_index == 0 {
            self.probes[slot] += 1;
            let ipv6 = record.destination.is_ipv6();
            // No probe stands behind an inferred row, so none was held back.
            if let Some(reason) = record.reason.filter(|_| record.status != Status::Inferred) {
                *self.unsent.entry((reason, ipv6)).or_default() += 1;
            }
            self.sent_ipv6 += u64::from(ipv6 && record.status.was_sent());
        } else {
            self.extra_replies[slot] += 1;
        }
        if let Some(evidence) = record.evidence {
            self.evidence[evidence as usize] += 1;
        }
    }

    /// The same counts of rows, with the counts of packets of `other`.
    #[must_use]
    pub fn with_packets_of(&self, other: &Statistics) -> Statistics {
        Statistics {
            discarded: other.discarded,
            packets_received: other.packets_received,
            weak_candidates: other.weak_candidates,
            ..self.clone()
        }
    }

    /// Counts a finished trace.
    pub fn count_trace(&mut self, record: &TraceRecord) {
        for anomaly in record.anomalies.iter() {
            self.anomalies[anomaly as usize] += 1;
        }
    }

    /// Counts a packet that matched no probe.
    pub fn discard(&mut self, reason: DiscardReason) {
        self.discarded[reason as usize] += 1;
    }

    /// Probes (rows with `reply_index` 0) with the final status `status`.
    pub fn probes(&self, status: Status) -> u64 {
        self.probes[status_index(status)]
    }

    /// Further replies with the status `status` (late or duplicate).
    pub fn extra_replies(&self, status: Status) -> u64 {
        self.extra_replies[status_index(status)]
    }

    /// Discarded packets with the reason `reason`.
    pub fn discarded(&self, reason: DiscardReason) -> u64 {
        self.discarded[reason as usize]
    }

    /// Rows with `evidence`.
    pub fn evidence(&self, evidence: Evidence) -> u64 {
        self.evidence[evidence as usize]
    }

    /// Traces with `anomaly`.
    pub fn anomalies(&self, anomaly: Anomaly) -> u64 {
        self.anomalies[anomaly as usize]
    }

    /// Probes that the kernel accepted: all probes, without those that it refused or never received.
    pub fn probes_sent(&self) -> u64 {
        Status::ALL
            .iter()
            .filter(|status| status.was_sent())
            .map(|status| self.probes(*status))
            .sum()
    }

    /// Probes of one family that the kernel accepted.
    pub fn probes_sent_of(&self, ipv6: bool) -> u64 {
        match ipv6 {
            true => self.sent_ipv6,
            false => self.probes_sent() - self.sent_ipv6,
        }
    }

    /// Why probes were not sent, whether the targets were IPv6, and how many.
    pub fn unsent(&self) -> impl Iterator<Item = (UnsentReason, bool, u64)> {
        let counts = self.unsent.iter();
        counts.map(|((reason, ipv6), count)| (*reason, *ipv6, *count))
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Statistics) {
        let pairs = [
            (&mut self.probes[..], &other.probes[..]),
            (&mut self.extra_replies[..], &other.extra_replies[..]),
            (&mut self.discarded[..], &other.discarded[..]),
            (&mut self.evidence[..], &other.evidence[..]),
            (&mut self.anomalies[..], &other.anomalies[..]),
        ];
        for (mine, theirs) in pairs {
            for (sum, count) in mine.iter_mut().zip(theirs) {
                *sum += count;
            }
        }
        for (why, count) in &other.unsent {
            *self.unsent.entry(*why).or_default() += count;
        }
        self.sent_ipv6 += other.sent_ipv6;
        self.packets_received += other.packets_received;
        self.weak_candidates += other.weak_candidates;
    }
}

/// The probes that were not sent, as a list of reason, family and count. Keys of JSON objects are texts.
mod unsent_list {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::UnsentReason;

    pub(super) fn serialize<S: Serializer>(
        unsent: &BTreeMap<(UnsentReason, bool), u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let items = unsent.iter();
        let items = items.map(|((reason, ipv6), count)| (reason.text(), ipv6, count));
        items.collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<(UnsentReason, bool), u64>, D::Error> {
        let items = Vec::<(String, bool, u64)>::deserialize(deserializer)?;
        let items = items.into_iter().map(|(reason, ipv6, count)| {
            let reason = reason.parse().map_err(D::Error::custom)?;
            Ok(((reason, ipv6), count))
        });
        items.collect()
    }
}

fn status_index(status: Status) -> usize {
    status as usize
}

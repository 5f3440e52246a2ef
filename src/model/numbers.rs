//! Newtypes for numbers.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// The time to live (IPv4) or hop limit (IPv6) that a probe is sent with; from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(pub u8);

/// The number of a flow of a target, from 0. With UDP and TCP, the source port is base + flow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FlowId(pub u16);

/// The position of a target in the run's set of targets, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// Joins `hops` and `traces` within a run: target × flows + flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u64);

impl TraceId {
    /// The trace of `flow` towards `target`, if the run has `flows` flows per target.
    pub fn new(target: TargetId, flow: FlowId, flows: u16) -> Self {
        TraceId(u64::from(target.0) * u64::from(flows.max(1)) + u64::from(flow.0))
    }

    /// The target of the trace, if the run has `flows` flows per target.
    pub fn target(self, flows: u16) -> TargetId {
        TargetId((self.0 / u64::from(flows.max(1))) as u32)
    }
}

/// The number of a probe within a run, in the order of sending. The first session of a run starts at 0. Each further one starts
/// above a block that is reserved for the sessions before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// Probes per second. Always finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Rate(f64);

impl Rate {
    /// A thousand probes per second.
    pub const THOUSAND: Rate = Rate(1_000.0);

    /// Creates a rate. Returns `None` unless it is finite and at least one probe per 1,000 s.
    pub fn new(per_second: f64) -> Option<Self> {
        (per_second.is_finite() && (0.001..=1e9).contains(&per_second)).then_some(Rate(per_second))
    }

    /// Probes per second.
    pub fn per_second(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let per_second = f64::deserialize(deserializer)?;
        let refused = || D::Error::custom(format_args!("{per_second} is not a rate"));
        Rate::new(per_second).ok_or_else(refused)
    }
}

/// Why a text is not a rate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a rate: give probes a second, such as 500, 10k or 1.5M")]
pub struct ParseRateError(String);

impl FromStr for Rate {
    type Err = ParseRateError;

    /// Parses `500`, `10k`, `1.5M` (also `K`, `m`, `G`) as probes per second.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseRateError(text.to_owned());
        let (digits, factor) = match text.char_indices().last() {
            Some((at, 'k' | 'K')) => (&text[..at], 1e3),
            Some((at, 'm' | 'M')) => (&text[..at], 1e6),
            Some((at, 'g' | 'G')) => (&text[..at], 1e9),
            _ => (text, 1.0),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(refuse());
        }
        let number: f64 = digits.parse().map_err(|_| refuse())?;
        Rate::new(number * factor).ok_or_else(refuse)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_suffixes() {
        for (text, expected) in [("1000", 1e3), ("10k", 1e4), ("1.5M", 1.5e6), ("0.5", 0.5)] {
            assert_eq!(text.parse::<Rate>().map(Rate::per_second), Ok(expected));
        }
    }

    #[test]
    fn nonsense_is_no_rate() {
        for text in [
            "", "k", "0", "-5", "inf", "nan", "1e3", "10kk", "1 000", "2G0",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn trace_ids_are_distinct_over_targets_and_flows() {
        let flows = 3;
        let ids: std::collections::HashSet<_> = (0..100)
            .flat_map(|t| (0..flows).map(move |f| TraceId::new(TargetId(t), FlowId(f), flows)))
            .collect();
        assert_eq!(ids.len(), 300);
    }
}

//! How late deliveries were written.

use std::time::Duration;

/// Buckets per doubling. A percentile is exact to within an eighth.
const STEPS: u64 = 8;
const BUCKETS: usize = 64 * STEPS as usize;

/// A histogram of delays: the time between the due time of a delivery and its writing to the device.
///
/// RTTs that are measured against the lab contain this delay, so tests subtract it.
#[derive(Clone)]
pub struct Lateness {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Lateness {
            counts: Box::new([0; BUCKETS]),
            total: 0,
            max: Duration::ZERO,
        }
    }
}

impl std::fmt::Debug for Lateness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lateness")
            .field("count", &self.total)
            .field("p50", &self.percentile(50.0))
            .field("p99", &self.percentile(99.0))
            .field("max", &self.max)
            .finish()
    }
}

impl Lateness {
    /// Counts one delivery.
    pub(super) fn record(&mut self, late: Duration) {
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(late);
    }

    /// The number of deliveries.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest lateness.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// Returns a lateness that `percent` (0 to 100) of the deliveries did not exceed, rounded up by at most an eighth.
    /// Returns zero if there was no delivery.
    pub fn percentile(&self, percent: f64) -> Duration {
        let rank = (self.total as f64 * percent / 100.0).ceil().max(1.0);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen as f64 >= rank {
                return Duration::from_nanos(upper_bound(index)).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doubling = nanos.ilog2() - STEPS.ilog2();
    let step = (nanos >> doubling) - STEPS;
    ((u64::from(doubling) + 1) * STEPS + step) as usize
}

/// The largest number of nanoseconds that falls into the bucket `index`.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let doubling = index / STEPS - 1;
    let above = (u128::from(index % STEPS) + u128::from(STEPS) + 1) << doubling;
    u64::try_from(above - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket_within_an_eighth() {
        let samples = (0..64).flat_map(|shift| {
            let power = 1_u64 << shift;
            [power - 1, power, power + power / 3, power + power / 2]
        });
        for nanos in samples.chain([u64::MAX]) {
            let index = bucket(nanos);
            let top = upper_bound(index);
            assert!(
                top >= nanos && top - nanos <= nanos / 8,
                "{nanos} in a bucket up to {top}"
            );
            assert!(index == 0 || upper_bound(index - 1) < nanos);
        }
    }

    #[test]
    fn percentiles_are_counted_from_below() {
        let mut lateness = Lateness::default();
        for micros in 1..=100 {
            lateness.record(Duration::from_micros(micros));
        }
        let near = |percent, micros: u64| {
            let value = lateness.percentile(percent);
            let exact = Duration::from_micros(micros);
            value >= exact && value <= exact + exact / 8
        };
        assert!(near(50.0, 50) && near(99.0, 99) && near(0.0, 1));
        assert_eq!(lateness.percentile(100.0), Duration::from_micros(100));
        assert_eq!(lateness.max(), Duration::from_micros(100));
    }

    #[test]
    fn nothing_counted_is_no_lateness() {
        assert_eq!(Lateness::default().percentile(50.0), Duration::ZERO);
    }
}

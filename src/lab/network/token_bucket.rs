//! Token buckets. Routers and hosts use them to limit the ICMP errors that they send.

use std::collections::HashMap;
use std::time::Duration;

use crate::lab::topology::RateLimit;
use crate::model::Time;

/// How much later than the current packet another packet may already have been answered.
const LONGEST_PATH: Duration = Duration::from_secs(10);

/// One bucket. Credit is kept in nanoseconds, so that refilling is exact.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    credit: u64,
    last: Time,
}

impl TokenBucket {
    fn full(limit: RateLimit, now: Time) -> Self {
        TokenBucket {
            credit: capacity(limit),
            last: now,
        }
    }

    fn take(&mut self, limit: RateLimit, now: Time) -> bool {
        let passed = u64::try_from(now.since(self.last).as_nanos()).unwrap_or(u64::MAX);
        self.credit = self.credit.saturating_add(passed).min(capacity(limit));
        self.last = self.last.max(now);
        if self.credit < limit.interval {
            return false;
        }
        self.credit -= limit.interval;
        true
    }
}

fn capacity(limit: RateLimit) -> u64 {
    limit.interval.saturating_mul(u64::from(limit.burst))
}

/// The buckets of all machines that answered lately.
///
/// A bucket that was not used for as long as it takes to fill is full. It is dropped, so memory grows with the rate of answers and
/// not with the number of targets.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct Buckets {
    current: HashMap<u64, TokenBucket>,
    previous: HashMap<u64, TokenBucket>,
    turned: Time,
    longest_refill: u64,
}

impl Buckets {
    /// Takes a token from the bucket of `owner` at the moment `at`. Returns false if the bucket is empty.
    pub(in crate::lab) fn take(&mut self, owner: u64, limit: RateLimit, at: Time) -> bool {
        self.longest_refill = self.longest_refill.max(capacity(limit));
        let lifetime = Duration::from_nanos(self.longest_refill) + LONGEST_PATH;
        if at.since(self.turned) > lifetime {
            self.previous = std::mem::take(&mut self.current);
            self.turned = at;
        }
        let previous = &mut self.previous;
        self.current
            .entry(owner)
            .or_insert_with(|| {
                previous
                    .remove(&owner)
                    .unwrap_or_else(|| TokenBucket::full(limit, at))
            })
            .take(limit, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn six_at_once_then_one_a_second() {
        let mut buckets = Buckets::default();
        let mut take = |millis| buckets.take(1, RateLimit::LINUX, at(millis));
        let first: Vec<bool> = (0..8).map(|_| take(0)).collect();
        assert_eq!(first, [true, true, true, true, true, true, false, false]);
        assert!(!take(999));
        assert!(take(1000));
        assert!(!take(1001));
        assert!(take(2000));
        assert!(!take(2500));
    }

    #[test]
    fn owners_do_not_share() {
        let limit = RateLimit {
            interval: 1_000_000,
            burst: 1,
        };
        let mut buckets = Buckets::default();
        assert!(buckets.take(1, limit, at(0)));
        assert!(!buckets.take(1, limit, at(0)));
        assert!(buckets.take(2, limit, at(0)));
    }

    #[test]
    fn forgetting_a_bucket_changes_nothing_and_bounds_memory() {
        let mut buckets = Buckets::default();
        for owner in 0..100_000 {
            // Ten a second for almost three hours. Each owner comes once, and one owner comes all the time.
            let now = at(owner * 100);
            assert!(buckets.take(owner + 1, RateLimit::LINUX, now));
            let regular = buckets.take(0, RateLimit::LINUX, now);
            assert_eq!(regular, owner < 6 || owner % 10 == 0, "{owner}");
        }
        assert!(buckets.current.len() + buckets.previous.len() < 400);
    }

    #[test]
    fn an_arrival_out_of_order_gains_nothing() {
        let limit = RateLimit {
            interval: 1_000_000_000,
            burst: 1,
        };
        let mut buckets = Buckets::default();
        assert!(buckets.take(1, limit, at(5_000)));
        assert!(!buckets.take(1, limit, at(4_000)));
        assert!(!buckets.take(1, limit, at(5_900)));
        assert!(buckets.take(1, limit, at(6_000)));
    }
}

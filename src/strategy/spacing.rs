//! How often one target may be made to answer.
//!
//! Linux answers a peer 6 times and then once a second (`icmp_ratelimit` 1,000 ms with a burst of 6). Probes that are
//! expected to reach their target stay inside that, with one answer to spare, so that a target's
//! own limit is not read as loss.

use std::time::Duration;

use crate::model::Time;

const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(1_050);

/// The answers that a target is still good for: a token bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spacing {
    /// When the bucket is full again; all tokens are there from then on. The epoch for a target not yet probed.
    full_at: Time,
}

impl Spacing {
    /// The earliest moment, not before `now`, at which a further probe may reach the target; takes its token.
    pub fn reserve(&mut self, now: Time) -> Time {
        let debt_allowed = INTERVAL * (BURST - 1);
        let earliest = now.max(self.full_at.before(debt_allowed));
        self.full_at = self.full_at.max(earliest) + INTERVAL;
        earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_at_once_then_one_an_interval() {
        let start = Time::from_nanos(1 << 60);
        let mut spacing = Spacing::default();
        let times: Vec<Duration> = (0..8)
            .map(|_| spacing.reserve(start).since(start))
            .collect();
        let expected: Vec<Duration> = [0, 0, 0, 0, 0, 1_050, 2_100, 3_150]
            .map(Duration::from_millis)
            .into();
        assert_eq!(times, expected);
    }

    #[test]
    fn the_allowance_comes_back_with_time_but_never_grows_beyond_the_burst() {
        let start = Time::from_nanos(1 << 60);
        let mut spacing = Spacing::default();
        for _ in 0..5 {
            spacing.reserve(start);
        }
        let later = start + Duration::from_secs(3_600);
        let times: Vec<Time> = (0..6).map(|_| spacing.reserve(later)).collect();
        assert!(times[..5].iter().all(|time| *time == later));
        assert_eq!(times[5], later + INTERVAL);
    }
}

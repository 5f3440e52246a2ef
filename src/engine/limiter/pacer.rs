//! When the next probe may go: an absolute schedule.
//!
//! Probe n is due at start + n/rate, so no error adds up. No more than 250 µs of probes leave back to back. Who falls behind (a
//! busy machine, a full queue) catches up at no more than 1.25 times the rate, so that even then no millisecond holds more than 1.75
//! milliseconds' probes; a debt of more than 100 ms is forgotten, and a strategy that had nothing to send builds up none.

use std::time::Duration;

use crate::model::{Rate, Time};

/// The longest stretch of probes sent back to back.
const LARGEST_BATCH: Duration = Duration::from_micros(250);
/// A debt beyond this is forgotten.
const LARGEST_DEBT: Duration = Duration::from_millis(100);
/// How much faster than the rate a debt is paid back.
const CATCH_UP: f64 = 1.25;
/// Waking up this much too late costs nothing of that.
const WAKE_SLACK: Duration = Duration::from_micros(200);

/// Gives out permissions to send. Takes time as an argument, so it can be tested and simulated.
#[derive(Debug)]
pub struct Pacer {
    /// All spans below are nanoseconds with a fraction, since `start`: small enough for a float to hold exactly.
    start: Time,
    interval: f64,
    batch: u64,
    /// When the next probe is due.
    next_due: f64,
    /// No batch before this: the catch-up limit.
    not_before: f64,
}

impl Pacer {
    /// Starts a schedule at `start`: the first probe is due at once.
    pub fn new(rate: Rate, start: Time) -> Self {
        let interval = 1e9 / rate.per_second();
        Pacer {
            start,
            interval,
            batch: ((LARGEST_BATCH.as_nanos() as f64 / interval) as u64).max(1),
            next_due: 0.0,
            not_before: 0.0,
        }
    }

    /// How many probes may be sent at `now`, at most 250 µs of them (but always one).
    pub fn allowed(&self, now: Time) -> u64 {
        let now = self.elapsed(now);
        if now < self.next_due || now < self.not_before {
            return 0;
        }
        let due = ((now - self.next_due) / self.interval) as u64 + 1;
        due.min(self.batch)
    }

    /// Notes that `count` probes were sent at `now`.
    pub fn sent(&mut self, count: u64, now: Time) {
        let now = self.elapsed(now);
        let spent = count as f64 * self.interval;
        self.next_due += spent;
        self.next_due = self.next_due.max(now - LARGEST_DEBT.as_nanos() as f64);
        let slack = WAKE_SLACK.as_nanos() as f64;
        self.not_before = self.not_before.max(now - slack) + spent / CATCH_UP;
    }

    /// Notes that there was nothing to send at `now`: what was due until now is not owed.
    pub fn idle(&mut self, now: Time) {
        self.next_due = self.next_due.max(self.elapsed(now));
    }

    /// When the next probe may be sent.
    pub fn next_time(&self) -> Time {
        self.start + Duration::from_nanos(self.next_due.max(self.not_before).ceil() as u64)
    }

    fn elapsed(&self, now: Time) -> f64 {
        now.since(self.start).as_nanos() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_nanos(1_700_000_000_000_000_000);

    fn pacer(rate: f64) -> Pacer {
        Pacer::new(Rate::new(rate).expect("a rate"), START)
    }

    /// Sends whenever it is allowed for `span`, waking late by what `delay` says; returns (time, count) of the batches.
    fn drive(
        rate: f64,
        span: Duration,
        mut delay: impl FnMut(usize) -> Duration,
    ) -> Vec<(Time, u64)> {
        let mut pacer = pacer(rate);
        let mut batches = Vec::new();
        let mut now = START;
        while now.since(START) < span {
            let allowed = pacer.allowed(now);
            if allowed > 0 {
                pacer.sent(allowed, now);
                batches.push((now, allowed));
            }
            now = now.max(pacer.next_time()) + delay(batches.len());
        }
        batches
    }

    fn total(batches: &[(Time, u64)]) -> u64 {
        batches.iter().map(|(_, count)| count).sum()
    }

    /// The most probes within any millisecond.
    fn busiest_millisecond(batches: &[(Time, u64)]) -> u64 {
        let mut most = 0;
        for (at, (start, _)) in batches.iter().enumerate() {
            let within = batches[at..]
                .iter()
                .take_while(|(time, _)| time.since(*start) < Duration::from_millis(1));
            most = most.max(within.map(|(_, count)| count).sum());
        }
        most
    }

    #[test]
    fn rates_are_held_within_half_a_percent() {
        for rate in [100.0, 999.0, 1e4, 1e5, 1e6] {
            let span = Duration::from_secs(2);
            let batches = drive(rate, span, |_| Duration::from_micros(70));
            let expected = rate * span.as_secs_f64();
            let error = (total(&batches) as f64 - expected).abs() / expected;
            assert!(error <= 0.005, "rate {rate}: off by {error}");
        }
    }

    #[test]
    fn a_second_s_budget_is_spread_over_the_second() {
        let batches = drive(100.0, Duration::from_secs(1), |_| Duration::ZERO);
        assert_eq!(batches.len(), 100);
        for pair in batches.windows(2) {
            let gap = pair[1].0.since(pair[0].0);
            assert!(gap >= Duration::from_millis(9) && gap <= Duration::from_millis(11));
        }
    }

    #[test]
    fn a_stall_is_made_up_for_without_a_burst() {
        let rate = 100_000.0;
        let stall = |batch| Duration::from_millis(if batch == 500 { 20 } else { 0 });
        let batches = drive(rate, Duration::from_secs(1), stall);
        let expected = rate;
        assert!((total(&batches) as f64 - expected).abs() / expected < 0.005);
        assert!(
            busiest_millisecond(&batches) <= 175,
            "{}",
            busiest_millisecond(&batches)
        );
        assert!(batches.iter().all(|(_, count)| *count <= 25));
    }

    #[test]
    fn idle_time_is_not_owed() {
        let mut pacer = pacer(1_000.0);
        let later = START + Duration::from_secs(10);
        pacer.idle(later);
        assert_eq!(pacer.allowed(later), 1);
    }

    #[test]
    fn a_slow_rate_sends_one_at_a_time() {
        let pacer = pacer(0.5);
        assert_eq!(pacer.allowed(START), 1);
        assert_eq!(pacer.allowed(START + Duration::from_secs(60)), 1);
    }
}

//! Receive timestamps: from the wall clock to the time of the run.
//!
//! The wall clock may step at any time, also between an arrival and the call that reads it. So a converted timestamp must be plausible:
//!
//! | bound | because |
//! |---|---|
//! | not later than now | it has arrived |
//! | not before everything was read the last time, but for [`ENQUEUED_WITHIN`] | it would have been read then |
//!
//! If a timestamp is not plausible, the wall clock has stepped. Then the offset from before the step, or from after it, makes it plausible. A
//! step that is shorter than these bounds shifts a timestamp by no more than that.

use std::time::Duration;

use crate::engine::clock::{Clock, WallOffset};
use crate::model::Time;

/// The kernel needs no longer from the timestamp of a packet until a call can read the packet.
const ENQUEUED_WITHIN: Duration = Duration::from_millis(10);

/// Two measurements of the offset differ by less than this if the wall clock did not step.
const STEADY_WITHIN: Duration = Duration::from_millis(1);

/// Converts receive timestamps.
pub(super) struct Stamps {
    clock: Clock,
    offset: WallOffset,
    /// The offset before a step, and when the step was noticed. `None` when nothing from before it can arrive any more.
    before_step: Option<(WallOffset, Time)>,
    /// Everything that had arrived by then was read.
    read_until: Time,
}

impl Stamps {
    /// Starts before the first packet.
    pub fn new(clock: Clock) -> Self {
        Stamps {
            clock,
            offset: clock.wall_offset(),
            before_step: None,
            read_until: clock.started_at(),
        }
    }

    /// Measures the offset again, before a call that reads.
    pub fn measure(&mut self) {
        let offset = self.clock.wall_offset();
        // A slow change is no step.
        if offset.step_from(self.offset) > STEADY_WITHIN {
            self.before_step = Some((self.offset, self.clock.now()));
        }
        self.offset = offset;
    }

    /// When something arrived that has this timestamp of the wall clock.
    pub fn arrived_at(&mut self, wall: Option<u64>) -> Time {
        let now = self.clock.now();
        let Some(wall) = wall else {
            return now;
        };
        if let Some(at) = self.plausible(wall, now) {
            return at;
        }
        self.measure();
        match self.plausible(wall, now) {
            Some(at) => at,
            // No offset that was measured explains it: the clock stepped more than once. So it counts as arriving now, after its probe.
            None if self.before_step.is_some() => now,
            None => self.offset.to_run_time(wall).min(now),
        }
    }

    /// The time up to which everything was read, by the call that began at `began`. `wall` as [`Received::drained_until`].
    ///
    /// [`Received::drained_until`]: crate::transport::Received::drained_until
    pub fn drained_until(&mut self, wall: Option<u64>, began: Time) -> Time {
        self.read_until = match wall {
            None => {
                self.before_step
                    .take_if(|(_, noticed)| *noticed + ENQUEUED_WITHIN < began);
                began
            }
            // Too early a time costs a later timeout. Too late a one would cost replies that were not read yet.
            Some(wall) => match self.plausible(wall, began) {
                Some(until) => until.max(self.read_until),
                None => self.read_until,
            },
        };
        self.read_until
    }

    fn plausible(&self, wall: u64, latest: Time) -> Option<Time> {
        let earliest = self.read_until.before(ENQUEUED_WITHIN);
        let before = self.before_step.iter().map(|(offset, _)| *offset);
        let mut times =
            { std::iter::once(self.offset).chain(before) }.map(|offset| offset.to_run_time(wall));
        times.find(|at| (earliest..=latest).contains(at))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::engine::clock::WallClock;

    const HOUR: u64 = 3_600_000_000_000;
    const START: u64 = 1_772_323_200_000_000_000;

    /// The monotonic clock, and a step.
    #[derive(Debug)]
    struct Stepping(AtomicU64, Clock);

    impl WallClock for Stepping {
        fn nanos(&self) -> u64 {
            let passed = self.1.now().since(self.1.started_at());
            self.0.load(Ordering::Relaxed) + passed.as_nanos() as u64
        }
    }

    fn stepping() -> &'static Stepping {
        let wall = Stepping(AtomicU64::new(START), Clock::start());
        Box::leak(Box::new(wall))
    }

    fn step(wall: &Stepping, by: i64) {
        let now = wall.0.load(Ordering::Relaxed);
        wall.0
            .store(now.saturating_add_signed(by), Ordering::Relaxed);
    }

    /// Something arrives at the time that is returned, with the timestamp that is returned.
    fn arrives(clock: &Clock, wall: &Stepping) -> (Time, Time, u64) {
        let before = clock.now();
        let stamp = wall.nanos();
        (before, clock.now(), stamp)
    }

    #[track_caller]
    fn check((before, after, stamp): (Time, Time, u64), stamps: &mut Stamps) {
        let at = stamps.arrived_at(Some(stamp));
        // Between the readings of two clocks, another process may run.
        let slack = Duration::from_millis(50);
        assert!(at + slack >= before, "{:?} too early", before.since(at));
        assert!(at <= after + slack, "{:?} too late", at.since(after));
    }

    #[test]
    fn a_step_of_an_hour_does_not_move_what_arrives() {
        for by in [HOUR as i64, -(HOUR as i64)] {
            let wall = stepping();
            let clock = Clock::over(wall);
            let mut stamps = Stamps::new(clock);
            // It steps after the measurement, and something arrives before and after.
            stamps.measure();
            let first = arrives(&clock, wall);
            step(wall, by);
            let second = arrives(&clock, wall);
            check(first, &mut stamps);
            check(second, &mut stamps);
            let began = clock.now();
            stamps.drained_until(None, began);
            // It steps back between an arrival and the measurement.
            let third = arrives(&clock, wall);
            step(wall, -by);
            stamps.measure();
            let fourth = arrives(&clock, wall);
            check(third, &mut stamps);
            check(fourth, &mut stamps);
        }
    }

    #[test]
    fn after_a_step_no_time_is_drained_that_was_not_read() {
        for by in [HOUR as i64, -(HOUR as i64)] {
            let wall = stepping();
            let clock = Clock::over(wall);
            let mut stamps = Stamps::new(clock);
            let began = clock.now();
            assert_eq!(stamps.drained_until(None, began), began);
            stamps.measure();
            let (_, after, stamp) = arrives(&clock, wall);
            let odd = stamp.saturating_add_signed(by);
            assert_eq!(stamps.drained_until(Some(odd), after), began);
            let until = stamps.drained_until(Some(stamp), after);
            assert!((began..=after).contains(&until));
        }
    }

    #[test]
    fn without_a_step_an_old_timestamp_is_believed() {
        let wall = stepping();
        let clock = Clock::over(wall);
        let mut stamps = Stamps::new(clock);
        let now = clock.now();
        stamps.drained_until(None, now);
        let old = Duration::from_secs(2);
        let (before, _, stamp) = arrives(&clock, wall);
        let at = stamps.arrived_at(Some(stamp - old.as_nanos() as u64));
        let age = before.since(at);
        assert!(age.abs_diff(old) < Duration::from_millis(50), "{age:?}");
        assert!(stamps.arrived_at(None) >= before);
    }
}

//! The clock of a run. It is read from the clocks of the machine.

#![expect(clippy::disallowed_methods, reason = "the one clock of a run")]

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Time;

/// A wall clock. It may step, forward and backward.
pub trait WallClock: Debug + Sync {
    /// Nanoseconds since the UNIX epoch.
    fn nanos(&self) -> u64;
}

/// The wall clock of this machine: CLOCK_REALTIME.
#[derive(Debug)]
struct Machine;

impl WallClock for Machine {
    fn nanos(&self) -> u64 {
        // A wall clock before 1970 is not set. It counts as 0, the epoch.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            })
    }
}

/// The wall-clock time at the start of the run, advanced by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: &'static dyn WallClock,
    start: Time,
    started: Instant,
}

/// How far the wall clock is ahead of the run's clock at one moment, nanoseconds.
///
/// The offset changes when the wall clock is stepped or slewed, so it is measured again for every batch of kernel timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallOffset(i64);

impl Clock {
    /// Starts the clock.
    pub fn start() -> Self {
        Clock::over(&Machine)
    }

    /// Starts the clock at the time of this wall clock.
    pub fn over(wall: &'static dyn WallClock) -> Self {
        Clock {
            wall,
            start: Time::from_nanos(wall.nanos()),
            started: Instant::now(),
        }
    }

    /// The current time.
    #[inline]
    pub fn now(&self) -> Time {
        self.start + self.started.elapsed()
    }

    /// When the clock was started.
    pub fn started_at(&self) -> Time {
        self.start
    }

    /// Measures the offset of the wall clock.
    pub fn wall_offset(&self) -> WallOffset {
        WallOffset(
            { self.wall.nanos() }
                .wrapping_sub(self.now().as_nanos())
                .cast_signed(),
        )
    }
}

impl WallOffset {
    /// Converts a wall-clock timestamp, in nanoseconds since the UNIX epoch, to the time of the run. The result is bounded: it
    /// does not wrap around.
    pub fn to_run_time(self, wall_nanos: u64) -> Time {
        // A timestamp of 0 stays the earliest time.
        Time::from_nanos(wall_nanos.saturating_add_signed(self.0.saturating_neg()))
    }

    /// How much the wall clock stepped between two measurements.
    pub fn step_from(self, before: WallOffset) -> Duration {
        Duration::from_nanos(self.0.abs_diff(before.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_converted_and_a_timestamp_of_0_stays_the_earliest() {
        assert_eq!(WallOffset(-5).to_run_time(100), Time::from_nanos(105));
        assert_eq!(WallOffset(5).to_run_time(100), Time::from_nanos(95));
        assert_eq!(WallOffset(5).to_run_time(0), Time::default());
    }
}

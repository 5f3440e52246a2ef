//! The run's time scale, read from the machine's clocks.

#![expect(clippy::disallowed_methods, reason = "the one clock of a run")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Time;

/// The wall clock as it stood at the start, advanced by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Time,
    started: Instant,
}

/// How far the wall clock is ahead of the run's scale at one moment. It changes when the wall clock is stepped or slewed,
/// so it is sampled anew for every batch of kernel stamps.
#[derive(Clone, Copy, Debug)]
pub struct WallOffset(i64);

impl Clock {
    /// Starts the scale now.
    pub fn start() -> Self {
        Clock {
            start: Time::from_nanos(wall_nanos()),
            started: Instant::now(),
        }
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Time {
        self.start + self.started.elapsed()
    }

    /// When the scale began.
    pub fn started_at(&self) -> Time {
        self.start
    }

    /// Compares the scale with the wall clock.
    pub fn wall_offset(&self) -> WallOffset {
        WallOffset(
            wall_nanos()
                .wrapping_sub(self.now().as_nanos())
                .cast_signed(),
        )
    }
}

impl WallOffset {
    /// A wall-clock stamp, in nanoseconds since the UNIX epoch, on the run's scale.
    pub fn to_run_time(self, wall_nanos: u64) -> Time {
        // A stamp of 0 stands for the beginning of all time, not for its end.
        Time::from_nanos(wall_nanos.saturating_add_signed(self.0.saturating_neg()))
    }
}

fn wall_nanos() -> u64 {
    // A clock before 1970 would be a machine without any clock; its scale then starts at the epoch.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_moved_and_one_of_0_is_before_everything() {
        assert_eq!(WallOffset(-5).to_run_time(100), Time::from_nanos(105));
        assert_eq!(WallOffset(5).to_run_time(100), Time::from_nanos(95));
        assert_eq!(WallOffset(5).to_run_time(0), Time::default());
    }
}

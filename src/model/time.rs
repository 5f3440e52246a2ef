//! The time scale of a run.

use std::time::Duration;

/// A moment on the run's time scale: nanoseconds since the UNIX epoch (UTC). The scale starts at the wall clock's time when the run
/// begins, and advances with a monotonic clock. It never steps and never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// Builds a time from nanoseconds since the UNIX epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// Nanoseconds since the UNIX epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole microseconds since the UNIX epoch: what datasets hold.
    pub const fn as_micros(self) -> i64 {
        (self.0 / 1_000) as i64
    }

    /// The time that has passed since `earlier`. Zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `span` earlier, but not before the epoch.
    pub fn before(self, span: Duration) -> Self {
        Time(self.0.saturating_sub(nanos(span)))
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(nanos(span)))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

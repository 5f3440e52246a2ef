//! Asks a run to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::model::Time;

/// Why a run ends before it has probed everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedEarly {
    /// The signal with this number.
    Signal(usize),
    /// The longest duration of the run is over.
    MaxDuration,
}

/// No cause yet.
const NO_CAUSE: usize = 0;
/// The cause [`EndedEarly::MaxDuration`]. Other numbers are those of signals.
const MAX_DURATION: usize = usize::MAX;

/// What a user asks of a run. Signal handlers may call every function here: all of them only read and write atomic values.
#[derive(Debug, Default)]
pub struct Asked {
    cause: AtomicUsize,
    signal: AtomicUsize,
    at_once: AtomicBool,
    writes: AtomicBool,
    /// Set if the blocklists are to be read again.
    reread: Arc<AtomicBool>,
}

impl Asked {
    /// The flag that asks for the blocklists to be read again. The reader of the lists clears it.
    pub fn reread(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reread)
    }

    /// Asks for the end, on behalf of the signal with this number. The first call counts.
    pub fn stop(&self, signal: usize) {
        set_once(&self.cause, signal);
        set_once(&self.signal, signal);
    }

    /// Asks not to wait for pending replies any more.
    pub fn stop_at_once(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }

    /// Whether the run has opened its dataset. Before that, an end at once leaves nothing to seal.
    pub fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    /// The number of the first signal that asked for the end; 0 if there was no signal.
    pub fn signal(&self) -> usize {
        self.signal.load(Ordering::Relaxed)
    }
}

/// Sets a number that is 0. Leaves any other as it is.
fn set_once(number: &AtomicUsize, value: usize) {
    // It fails if the number is set already.
    let _ = number.compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed);
}

/// The largest time, for a limit that has not begun or does not exist.
const NEVER: u64 = u64::MAX;

/// Says whether a run must end early: after a signal, at its longest duration, or because one of its parts failed.
#[derive(Debug)]
pub struct Stop {
    asked: Arc<Asked>,
    failed: AtomicBool,
    /// The longest duration of sending in nanoseconds; [`NEVER`] without a limit.
    longest: AtomicU64,
    /// The time in nanoseconds at which sending ends; [`NEVER`] before sending has begun, or without a limit.
    deadline: AtomicU64,
}

impl Default for Stop {
    fn default() -> Self {
        Stop::new(Arc::default())
    }
}

impl Stop {
    /// Creates a stop that follows `asked`.
    pub fn new(asked: Arc<Asked>) -> Self {
        Stop {
            asked,
            failed: AtomicBool::new(false),
            longest: AtomicU64::new(NEVER),
            deadline: AtomicU64::new(NEVER),
        }
    }

    /// The flag of [`Asked::reread`].
    pub fn reread(&self) -> Arc<AtomicBool> {
        self.asked.reread()
    }

    /// Limits how long the run sends. Call it before the run starts. `None`: no limit.
    pub fn limit_to(&self, longest: Option<Duration>) {
        let nanos = longest.and_then(|longest| u64::try_from(longest.as_nanos()).ok());
        self.longest
            .store(nanos.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// Notes that sending starts at `now`. The limit counts from then on.
    pub fn sending_starts(&self, now: Time) {
        let longest = self.longest.load(Ordering::Relaxed);
        if longest != NEVER {
            let deadline = now + Duration::from_nanos(longest);
            self.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
        }
    }

    /// When sending has to end. `None` without a limit, or before sending has started.
    pub fn deadline(&self) -> Option<Time> {
        let nanos = self.deadline.load(Ordering::Relaxed);
        (nanos != NEVER).then_some(Time::from_nanos(nanos))
    }

    /// Asks for the end if `now` is at the deadline or after it. Only a run that still sends may call it.
    pub fn watch_deadline(&self, now: Time) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            set_once(&self.asked.cause, MAX_DURATION);
        }
    }

    /// The first thing that asked for the end, if something did.
    pub fn ended_early(&self) -> Option<EndedEarly> {
        match self.asked.cause.load(Ordering::Relaxed) {
            NO_CAUSE => None,
            MAX_DURATION => Some(EndedEarly::MaxDuration),
            signal => Some(EndedEarly::Signal(signal)),
        }
    }

    /// Whether the end was asked for. The run then sends no more probes, and waits for replies to pending ones.
    pub fn is_asked(&self) -> bool {
        self.ended_early().is_some()
    }

    /// Whether the run must end without waiting for pending replies.
    pub fn is_at_once(&self) -> bool {
        self.asked.at_once.load(Ordering::Relaxed)
    }

    /// Notes that the dataset is open.
    pub fn writes_now(&self) {
        self.asked.writes.store(true, Ordering::Relaxed);
    }

    /// Asks all threads to end at once, because a part of the run failed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether a part of the run failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether nothing may be waited for any more.
    pub fn hurries(&self) -> bool {
        self.has_failed() || self.is_at_once()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_nanos(1_000_000_000);

    #[test]
    fn the_limit_counts_from_the_start_of_sending() {
        let stop = Stop::default();
        stop.limit_to(Some(Duration::from_secs(2)));
        let late = START + Duration::from_secs(9);
        stop.watch_deadline(late);
        assert_eq!((stop.deadline(), stop.ended_early()), (None, None));
        stop.sending_starts(late);
        let deadline = late + Duration::from_secs(2);
        assert_eq!(stop.deadline(), Some(deadline));
        stop.watch_deadline(deadline.before(Duration::from_nanos(1)));
        assert!(!stop.is_asked());
        stop.watch_deadline(deadline);
        assert_eq!(stop.ended_early(), Some(EndedEarly::MaxDuration));
        assert!(!stop.hurries());
    }

    #[test]
    fn without_a_limit_there_is_no_deadline() {
        let stop = Stop::default();
        stop.limit_to(None);
        stop.sending_starts(START);
        stop.watch_deadline(START + Duration::from_secs(1 << 30));
        assert_eq!((stop.deadline(), stop.ended_early()), (None, None));
    }

    #[test]
    fn the_first_cause_counts_and_a_later_signal_is_known() {
        let limited = || {
            let asked = Arc::new(Asked::default());
            let stop = Stop::new(asked.clone());
            stop.limit_to(Some(Duration::ZERO));
            stop.sending_starts(START);
            (asked, stop)
        };
        let (asked, stop) = limited();
        stop.watch_deadline(START);
        asked.stop(15);
        asked.stop(2);
        assert_eq!(stop.ended_early(), Some(EndedEarly::MaxDuration));
        assert_eq!(asked.signal(), 15);

        let (asked, stop) = limited();
        asked.stop(15);
        stop.watch_deadline(START);
        assert_eq!(stop.ended_early(), Some(EndedEarly::Signal(15)));
    }
}

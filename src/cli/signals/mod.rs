//! Signals that end a survey.
//!
//! | signal | effect |
//! |---|---|
//! | the first SIGINT, SIGTERM or SIGHUP | the run sends no more probes, waits for pending replies, and seals the dataset |
//! | SIGALRM as the first signal (a caller may set an alarm before it starts the program) | the same |
//! | another SIGINT or SIGTERM within half a second | none: one Ctrl-C may arrive twice, for example through timeout(1) |
//! | a second SIGINT or SIGTERM | the run waits for nothing, and seals what it has within ten seconds |
//! | a third one, again half a second later | the program ends at once; all files under final names are whole |
//! | another SIGHUP | none: a dropped connection sends two of them, one from the shell and one from the terminal |
//! | SIGHUP, if it was ignored at the start (nohup) | none |
//! | SIGUSR1 | the run reads its blocklists again |
//!
//! Before the dataset is open there is nothing to seal: the second signal ends the program at once.

mod sys;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use pathsurvey::engine::stop::{Asked, Stop};

/// Signals that are closer together count as one.
const APART: Duration = Duration::from_millis(500);
/// How long sealing may take after the second signal.
const SEALING_SECONDS: u32 = 10;

/// Installs the signal handlers of a survey.
pub(super) fn stop_on_signals() -> anyhow::Result<Stop> {
    let asked = Arc::new(Asked::default());
    let watch = Arc::new(Watch::new(asked.clone()));
    let handles_hangup = !sys::is_ignored(SIGHUP);
    for number in [SIGINT, SIGTERM, SIGALRM, SIGHUP] {
        if number != SIGHUP || handles_hangup {
            sys::follow(number, watch.clone())
                .with_context(|| format!("cannot handle signal {number}"))?;
        }
    }
    // By default, this signal ends the program. So the handler is installed for every survey, also for one without a blocklist.
    signal_hook::flag::register(SIGUSR1, asked.reread()).context("cannot handle SIGUSR1")?;
    Ok(Stop::new(asked))
}

/// What a signal handler does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    /// Ask for SIGALRM after so many seconds.
    AlarmIn(u32),
    /// End the program with this code.
    Exit(i32),
}

/// Counts the signals of a run. Handlers call it, in several threads at the same time perhaps.
#[derive(Debug)]
struct Watch {
    asked: Arc<Asked>,
    /// When the first and the second signal that count came, in nanoseconds; 0 if they did not.
    first: AtomicU64,
    second: AtomicU64,
}

impl Watch {
    fn new(asked: Arc<Asked>) -> Self {
        Watch {
            asked,
            first: AtomicU64::new(0),
            second: AtomicU64::new(0),
        }
    }

    /// Takes a signal that came at `now`, in nanoseconds, not 0.
    fn heard(&self, signal: i32, now: u64) -> Then {
        let asked = &self.asked;
        let exit = || Then::Exit(128 + i32::try_from(asked.signal()).unwrap_or(signal));
        if signal == SIGALRM {
            if self.second.load(Ordering::Relaxed) != 0 {
                return exit();
            }
            // An alarm that was set before this program started, to limit its time.
            if claims(&self.first, now) {
                asked.stop(signal.unsigned_abs() as usize);
            }
            return Then::Nothing;
        }
        if claims(&self.first, now) {
            asked.stop(signal.unsigned_abs() as usize);
            return Then::Nothing;
        }
        if signal == SIGHUP || !is_apart(&self.first, now) {
            return Then::Nothing;
        }
        if !asked.writes() {
            return exit();
        }
        if claims(&self.second, now) {
            asked.stop_at_once();
            return Then::AlarmIn(SEALING_SECONDS);
        }
        match is_apart(&self.second, now) {
            true => exit(),
            false => Then::Nothing,
        }
    }
}

/// Sets `time` to `now` if it is not set yet. Returns whether it was not.
fn claims(time: &AtomicU64, now: u64) -> bool {
    time.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
}

/// Whether `now` is at least [`APART`] after `time`.
fn is_apart(time: &AtomicU64, now: u64) -> bool {
    let since = now.saturating_sub(time.load(Ordering::Relaxed));
    Duration::from_nanos(since) >= APART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_which_signals_are_ignored() {
        // The Rust runtime ignores SIGPIPE.
        assert!(sys::is_ignored(signal_hook::consts::SIGPIPE));
        assert!(!sys::is_ignored(SIGALRM));
    }

    #[test]
    fn sigusr1_asks_for_the_blocklists_and_ends_nothing() {
        let stop = stop_on_signals().unwrap();
        signal_hook::low_level::raise(SIGUSR1).unwrap();
        assert!(stop.reread().load(Ordering::Relaxed));
        assert_eq!(stop.ended_early(), None);
    }

    /// Milliseconds after the first signal, the signal, and what follows from it.
    type Heard = (u64, i32, Then);

    fn hear(writes: bool, signals: &[Heard]) -> Arc<Asked> {
        let asked = Arc::new(Asked::default());
        if writes {
            Stop::new(asked.clone()).writes_now();
        }
        let watch = Watch::new(asked.clone());
        for (after, signal, then) in signals {
            let now = (7_000 + after) * 1_000_000;
            assert_eq!(
                watch.heard(*signal, now),
                *then,
                "{signal} after {after} ms"
            );
        }
        asked
    }

    #[test]
    fn signals_that_come_together_count_as_one() {
        let at_once = |asked: &Arc<Asked>| Stop::new(asked.clone()).is_at_once();
        for (first, again) in [(SIGINT, SIGINT), (SIGINT, SIGTERM), (SIGHUP, SIGTERM)] {
            let twice = [
                (0, first, Then::Nothing),
                (3, again, Then::Nothing),
                (499, again, Then::Nothing),
            ];
            let asked = hear(true, &twice);
            assert_eq!(asked.signal(), first as usize);
            assert!(!at_once(&asked));
        }
        let hangups = [
            (0, SIGTERM, Then::Nothing),
            (3, SIGHUP, Then::Nothing),
            (9_000, SIGHUP, Then::Nothing),
        ];
        assert!(!at_once(&hear(true, &hangups)));
    }

    #[test]
    fn the_second_signal_seals_and_the_third_ends_the_program() {
        let asked = hear(
            true,
            &[
                (0, SIGTERM, Then::Nothing),
                (100, SIGALRM, Then::Nothing),
                (500, SIGINT, Then::AlarmIn(SEALING_SECONDS)),
                (503, SIGINT, Then::Nothing),
                (999, SIGTERM, Then::Nothing),
                (1_000, SIGINT, Then::Exit(143)),
                (10_500, SIGALRM, Then::Exit(143)),
            ],
        );
        assert!(Stop::new(asked).is_at_once());
    }

    #[test]
    fn an_alarm_of_the_caller_ends_a_survey_in_order() {
        let asked = hear(
            true,
            &[
                (0, SIGALRM, Then::Nothing),
                (600, SIGINT, Then::AlarmIn(SEALING_SECONDS)),
                (10_600, SIGALRM, Then::Exit(142)),
            ],
        );
        assert_eq!(asked.signal(), SIGALRM as usize);
    }

    #[test]
    fn before_the_dataset_is_open_the_second_signal_ends_the_program() {
        hear(
            false,
            &[
                (0, SIGINT, Then::Nothing),
                (3, SIGINT, Then::Nothing),
                (600, SIGTERM, Then::Exit(130)),
            ],
        );
    }
}

//! Signals that end a survey cleanly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use pathsurvey::engine::stop::Stop;

/// The first SIGINT, SIGTERM or SIGHUP asks the run to end cleanly. A second SIGINT or SIGTERM ends it at once. Files are whole in both
/// cases. If SIGHUP was ignored when the program started (nohup), it stays ignored.
pub(super) fn stop_on_signals() -> anyhow::Result<Stop> {
    let signal = Arc::new(AtomicUsize::new(0));
    let asked_before = Arc::new(AtomicBool::new(false));
    let hangs_up = !is_ignored(SIGHUP).unwrap_or(true);
    for number in [SIGINT, SIGTERM, SIGHUP] {
        let refuse = || format!("cannot listen for signal {number}");
        if number == SIGHUP {
            if !hangs_up {
                continue;
            }
        } else {
            // This handler comes before the one that sets the flag: the first signal finds it unset, the second finds it set. SIGHUP has none,
            // because a dropped connection sends two: one from the shell and one from the terminal.
            signal_hook::flag::register_conditional_shutdown(
                number,
                128 + number,
                asked_before.clone(),
            )
            .with_context(refuse)?;
        }
        signal_hook::flag::register(number, asked_before.clone()).with_context(refuse)?;
        signal_hook::flag::register_usize(number, signal.clone(), number.unsigned_abs() as usize)
            .with_context(refuse)?;
    }
    Ok(Stop::new(signal))
}

/// Whether this process ignores a signal. `None` if the system does not report it.
fn is_ignored(signal: i32) -> Option<bool> {
    ignores(&std::fs::read_to_string("/proc/self/status").ok()?, signal)
}

/// Whether a signal is ignored, by a process's status (proc_pid_status(5)).
fn ignores(status: &str, signal: i32) -> Option<bool> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000001\n";
        assert_eq!(ignores(status, SIGHUP), Some(true));
        assert_eq!(ignores(status, SIGINT), Some(false));
        assert_eq!(ignores(status, signal_hook::consts::SIGPIPE), Some(true));
        assert_eq!(ignores("Name:\tx\n", SIGHUP), None);
        assert!(is_ignored(SIGHUP).is_some());
    }
}

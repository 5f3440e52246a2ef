//! Signals that end a survey cleanly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use pathsurvey::engine::stop::Stop;

/// Installs the signal handlers of a survey.
///
/// | signal | effect |
/// |---|---|
/// | the first SIGINT, SIGTERM or SIGHUP | the run ends cleanly |
/// | a second SIGINT or SIGTERM | the program ends at once; all files under final names are whole |
/// | SIGHUP, if it was ignored at the start (nohup) | ignored |
pub(super) fn stop_on_signals() -> anyhow::Result<Stop> {
    let signal = Arc::new(AtomicUsize::new(0));
    let signalled_before = Arc::new(AtomicBool::new(false));
    let handles_hangup = !is_ignored(SIGHUP).unwrap_or(true);
    for number in [SIGINT, SIGTERM, SIGHUP] {
        let refuse = || format!("cannot handle signal {number}");
        if number == SIGHUP {
            if !handles_hangup {
                continue;
            }
        } else {
            // This handler runs before the handler that sets the flag. So the first signal finds the flag unset, and the second finds it set.
            // SIGHUP has no such handler, because a dropped connection sends two of them: one from the shell and one from the terminal.
            signal_hook::flag::register_conditional_shutdown(
                number,
                128 + number,
                signalled_before.clone(),
            )
            .with_context(refuse)?;
        }
        signal_hook::flag::register(number, signalled_before.clone()).with_context(refuse)?;
        signal_hook::flag::register_usize(number, signal.clone(), number.unsigned_abs() as usize)
            .with_context(refuse)?;
    }
    Ok(Stop::new(signal))
}

/// Whether this process ignores a signal. `None` if this is not known.
fn is_ignored(signal: i32) -> Option<bool> {
    ignores(&std::fs::read_to_string("/proc/self/status").ok()?, signal)
}

/// Whether a signal is ignored, from the status of a process (proc_pid_status(5)).
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

//! The signal handler of a survey, and the calls that it makes. All of them are async-signal-safe (signal-safety(7)).

#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::ptr;
use std::sync::Arc;

use libc::c_int;
use signal_hook::low_level;

use super::{Then, Watch};

/// Passes every signal `number` to `watch` from now on, and does what `watch` decides.
pub(super) fn follow(number: c_int, watch: Arc<Watch>) -> io::Result<()> {
    let heard = move || match watch.heard(number, monotonic_nanos()) {
        Then::Nothing => {}
        Then::AlarmIn(seconds) => alarm(seconds),
        // Without cleaning up: `_exit` is async-signal-safe, `exit` is not.
        Then::Exit(code) => low_level::exit(code),
    };
    // SAFETY: the handler reads a clock, reads and writes atomic values, and calls alarm or _exit. All of that is
    // async-signal-safe. It neither allocates nor panics.
    unsafe { low_level::register(number, heard) }.map(drop)
}

/// Whether this process ignores the signal `number`.
pub(super) fn is_ignored(number: c_int) -> bool {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { zeroed() };
    // SAFETY: the null pointer leaves the action as it is; the kernel writes the present one into `action`.
    let asked = unsafe { libc::sigaction(number, ptr::null(), &mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// The time since an arbitrary start; at least 1.
fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec, into `now`. The call cannot fail with this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanos)
        .max(1)
}

/// Sends this process SIGALRM after `seconds`.
fn alarm(seconds: u32) {
    // SAFETY: takes no pointers and cannot fail.
    unsafe { libc::alarm(seconds) };
}

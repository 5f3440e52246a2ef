//! The kernel's estimate of the system clock's error, behind a safe function.

#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;

/// `STA_UNSYNC` (include/uapi/linux/timex.h).
const UNSYNCHRONISED: libc::c_int = 0x0040;

/// The system clock's state (adjtimex(2)): whether it is synchronised, and the kernel's estimate of its error in µs.
pub(super) fn clock_state() -> io::Result<(bool, i64)> {
    // SAFETY: all zero is a valid timex. Its mode 0 only reads the state.
    let mut state: libc::timex = unsafe { zeroed() };
    // SAFETY: the kernel writes one timex, into `state`.
    let verdict = unsafe { libc::adjtimex(&mut state) };
    if verdict < 0 {
        return Err(io::Error::last_os_error());
    }
    let synchronised = verdict != libc::TIME_ERROR && state.status & UNSYNCHRONISED == 0;
    // A c_long, which has 32 bits on some machines.
    #[allow(clippy::useless_conversion)]
    let error = i64::from(state.esterror);
    Ok((synchronised, error))
}

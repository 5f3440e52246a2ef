//! A system call of the dataset's writers that the standard library does not offer safely.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Duplicates `descriptor`. Returns an error if it is not open.
pub(super) fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers; the kernel refuses a number that is not open.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

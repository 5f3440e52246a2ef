//! The one system call of the dataset's writers that has no safe face in the standard library.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A second descriptor of what `descriptor` has open; an error where it has nothing.
pub(super) fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers; the kernel refuses a number that is not open.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

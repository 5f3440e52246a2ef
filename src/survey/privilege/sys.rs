//! The system calls with which a process gives up what it may, each behind a safe function.

#![allow(unsafe_code)]

use std::io;

use libc::c_int;

fn check(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// No program that the calling thread starts from now on has more privileges than it (PR_SET_NO_NEW_PRIVS, prctl(2)).
pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// The user that the process acts as.
pub(super) fn effective_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes every thread of the process go on as `user` and `group`, without further groups. The C library sees to the other
/// threads (nptl(7)). There is no way back.
pub(super) fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: a length of 0 says that no group is read from the null pointer; the other two take no pointers.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(group, group, group))?;
        check(libc::setresuid(user, user, user))
    }
}

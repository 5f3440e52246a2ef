//! The system calls that give up privileges, each behind a safe function.

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

/// Prevents programs that the calling thread starts from gaining privileges (PR_SET_NO_NEW_PRIVS, prctl(2)).
pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Changes every thread of the process to `user` and `group`, without supplementary groups. The C library changes the other
/// threads (nptl(7)). This cannot be undone.
pub(super) fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: the length 0 means that no group is read from the null pointer. The other two calls take no pointers.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(group, group, group))?;
        check(libc::setresuid(user, user, user))
    }
}

//! System calls of the dataset's writers that the standard library does not offer safely.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

/// Whether there is a process with this number in this PID namespace. It may belong to another user, or wait for its parent.
pub(super) fn process_exists(pid: u32) -> bool {
    let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0) else {
        return false;
    };
    // SAFETY: takes no pointers; signal 0 is not sent, and a positive number means one process.
    let asked = unsafe { libc::kill(pid, 0) };
    asked == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Waits until `descriptor` can be written to. Its reader may also have closed it: then the next write says so.
pub(super) fn wait_until_writable(descriptor: BorrowedFd) -> io::Result<()> {
    let mut waited = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: the structure is ours and lives during the call; it is one.
    match unsafe { libc::poll(&mut waited, 1, -1) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

/// Closes `descriptor`. Some file systems, such as NFS, report only then that they could not write. If a signal interrupts this, the
/// descriptor is gone all the same: closing it again would close that of another thread.
pub(super) fn close(descriptor: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor was owned by the argument, which gave it up, so nothing else closes it.
    match unsafe { libc::close(descriptor.into_raw_fd()) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
    }
}

/// Whether the file system that holds `path` has space, and no inode for another file. If there is no such path yet, looks at what is above.
pub(super) fn lacks_inodes(path: &Path) -> bool {
    let about = path.ancestors().find_map(|place| {
        let place = if place.as_os_str().is_empty() {
            Path::new(".")
        } else {
            place
        };
        let name = CString::new(place.as_os_str().as_bytes()).ok()?;
        // SAFETY: zeros are a valid value of a struct of integers.
        let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the name ends with a zero byte, and the struct is ours; both live during the call.
        (unsafe { libc::statvfs(name.as_ptr(), &mut about) } == 0).then_some(about)
    });
    // File systems without a table of inodes count none at all.
    about.is_some_and(|about| about.f_files > 0 && about.f_favail == 0 && about.f_bavail > 0)
}

/// Whether this process has a limit on the size of files.
pub(super) fn limits_file_size() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the struct is ours and lives during the call.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    asked == 0 && limit.rlim_cur != libc::RLIM_INFINITY
}

/// Whether something is mounted at `path` itself. `false` if the kernel does not tell (before Linux 5.8).
pub(super) fn is_mount_point(path: &Path) -> bool {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: zeros are a valid value of a struct of integers.
    let mut about: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the name ends with a zero byte, and the struct is ours; both live during the call.
    let asked = unsafe { libc::statx(libc::AT_FDCWD, name.as_ptr(), flags, 0, &mut about) };
    let root = u64::try_from(libc::STATX_ATTR_MOUNT_ROOT).unwrap_or_default();
    asked == 0 && about.stx_attributes & root != 0
}

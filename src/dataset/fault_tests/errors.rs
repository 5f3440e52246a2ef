//! The errors of each call, by its manual page: open(2), mkdir(2), write(2), fsync(2), rename(2), flock(2) and close(2).
//!
//! Added are those that file systems over a network, or in user space, are known to give: EIO, ESTALE, ENOSYS, EOPNOTSUPP, EACCES of flock(2), and 524, which
//! NFS passes on from the kernel (ENOTSUPP).

use crate::dataset::files::Call;

/// An error: its name and its number.
pub(super) type Errno = (&'static str, i32);

macro_rules! errors {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

const OPEN: &[Errno] = errors!(
    EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM ENOSPC
    ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ESTALE ETXTBSY EWOULDBLOCK
);
const MKDIR: &[Errno] = errors!(
    EACCES EBADF EDQUOT EEXIST EFAULT EINVAL EIO ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS ESTALE
);
const WRITE: &[Errno] = errors!(
    EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOMEM ENOSPC EPERM EPIPE ESTALE
);
const FSYNC: &[Errno] = errors!(EBADF EDQUOT EINTR EINVAL EIO ENOSPC EROFS ESTALE);
const SYNC_DIRECTORY: &[Errno] =
    errors!(EACCES EBADF EDQUOT EINTR EINVAL EIO ENOSPC ENOSYS EOPNOTSUPP EROFS ESTALE);
const RENAME: &[Errno] = errors!(
    EACCES EBUSY EDQUOT EEXIST EFAULT EINVAL EIO EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR ENOTEMPTY EPERM EROFS
    ESTALE EXDEV
);
const FLOCK: &[Errno] = errors!(EACCES EBADF EINTR EINVAL EIO ENOLCK ENOSYS EOPNOTSUPP EWOULDBLOCK);
const CLOSE: &[Errno] = errors!(EBADF EDQUOT EINTR EIO ENOSPC);

/// The name and number of the error that libc does not name.
const ENOTSUPP: Errno = ("524", 524);

/// The errors of a call.
pub(super) fn of(call: Call) -> Vec<Errno> {
    let (named, further): (&[Errno], &[Errno]) = match call {
        Call::Open => (OPEN, &[]),
        Call::MakeDirectory => (MKDIR, &[]),
        Call::Write => (WRITE, &[]),
        Call::Sync => (FSYNC, &[]),
        Call::SyncDirectory => (SYNC_DIRECTORY, &[ENOTSUPP]),
        Call::Rename => (RENAME, &[]),
        Call::Lock => (FLOCK, &[ENOTSUPP]),
        Call::Close => (CLOSE, &[]),
        Call::Remove | Call::Truncate => (&[], &[]),
    };
    [named, further].concat()
}

//! Files that only one process writes.
//!
//! The kernel's lock (flock) is used if the file system has it. It ends with the process. If the file system has no locks, an [`OwnerFile`]
//! keeps other runs out.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::notices::{Notice, mount_point};
use super::{Disk, OwnerFile};
use crate::dataset::DatasetError;

/// ENOTSUPP: NFS passes on this error of the kernel, which libc does not name.
const ENOTSUPP: i32 = 524;

/// Locks `file` as long as its handle and the result live. If another process has the lock, the error names `subject`.
///
/// An owner file that is there already is respected, also if the kernel's lock was free. It may be that of a host that has no locks.
pub(in crate::dataset) fn lock(
    file: &File,
    owner: PathBuf,
    subject: &Path,
    disk: &Disk,
) -> Result<Option<OwnerFile>, DatasetError> {
    match disk.try_lock(file, subject) {
        Ok(true) if fs::symlink_metadata(&owner).is_err() => return Ok(None),
        Ok(true) => {}
        Ok(false) => return Err(DatasetError::InUse(subject.to_owned())),
        Err(error) if has_no_locks(&error) => {
            let text = format!(
                "the file system at {} has no locks ({error}): lock files keep other runs out instead",
                mount_point(subject).display()
            );
            disk.note(Notice::NoLocks, text);
        }
        Err(error) => return Err(DatasetError::file("lock", subject)(error)),
    }
    OwnerFile::create(owner, subject, disk).map(Some)
}

/// Whether a file system without locks gave this error: NFS without a lock service, some FUSE and network file systems.
pub(in crate::dataset) fn has_no_locks(error: &io::Error) -> bool {
    is_unsupported(error) || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOLCK))
}

/// Whether flock gave this error because another process has the lock. SMB says EACCES. A local file system never does: the file is open by then.
pub(in crate::dataset) fn is_conflict(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EACCES)
}

/// Whether a file system gave this error because it does not have the call. EBADF: NFS, if the file was not opened as the lock requires.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EBADF | libc::EOPNOTSUPP | ENOTSUPP)
    )
}

/// Whether `path` is still the name of `file`.
pub(in crate::dataset) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

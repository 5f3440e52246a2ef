//! Files that only one process writes.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::dataset::DatasetError;

/// Locks `file` as long as its handle lives. If another process has the lock, the error names `subject`.
pub(in crate::dataset) fn lock(file: &File, subject: &Path) -> Result<(), DatasetError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DatasetError::InUse(subject.to_owned())),
        Err(TryLockError::Error(error)) => Err(DatasetError::file("lock", subject)(error)),
    }
}

/// Whether `path` still leads to `file`.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

//! Removes files of runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk};

/// Removes a file. It is no error if the file is not there.
pub(in crate::dataset) fn remove_if_there(path: &Path, disk: &Disk) -> Result<(), DatasetError> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DatasetError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes parts. When this returns, they do not come back after a power cut.
pub(in crate::dataset) fn remove_parts(paths: &[PathBuf], disk: &Disk) -> Result<(), DatasetError> {
    for path in paths {
        remove_if_there(path, disk)?;
    }
    // Also for a file that was gone: the process that removed it may not have synced the folder.
    let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    let any_of = |folder: &&Path| paths.iter().find(|path| path.parent() == Some(folder));
    let there = folders.iter().filter(|folder| folder.is_dir());
    { there.filter_map(any_of) }.try_for_each(|path| files::sync_parent(path, disk))
}

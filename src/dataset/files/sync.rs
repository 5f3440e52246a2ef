//! Names that survive a power cut.

use std::io;
use std::path::Path;

use super::notices::{Notice, mount_point};
use super::{Disk, is_unsupported};
use crate::dataset::DatasetError;

/// Creates `path` with its missing parents. They survive a power cut.
pub(in crate::dataset) fn create_directories(path: &Path, disk: &Disk) -> Result<(), DatasetError> {
    let mut missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.is_dir())
        .collect();
    missing.reverse();
    for directory in missing {
        match disk.make_directory(directory) {
            Ok(()) => sync_parent(directory, disk)?,
            // Another process was faster, or a link leads to a directory.
            Err(_) if directory.is_dir() => {}
            Err(error) => return Err(DatasetError::file("create", path)(error)),
        }
    }
    Ok(())
}

/// Removes a file of this many bytes, if that succeeds.
pub(in crate::dataset) fn discard(path: &Path, bytes: u64, disk: &Disk) {
    if disk.remove(path).is_ok() {
        disk.give_back(bytes);
    }
}

/// Syncs the directory that holds `path`. Without this, a new name may not survive a power cut. If the file system cannot sync
/// directories, leaves a notice and goes on.
pub(in crate::dataset) fn sync_parent(path: &Path, disk: &Disk) -> Result<(), DatasetError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match disk.sync_directory(parent) {
        Ok(()) => Ok(()),
        Err(error) if cannot_sync(&error) => {
            let place = match error.raw_os_error() {
                // It can be written to, and it cannot be opened.
                Some(libc::EACCES) => format!("{} cannot be synced", parent.display()),
                _ => format!(
                    "the file system at {} cannot sync directories",
                    mount_point(parent).display()
                ),
            };
            let text = format!(
                "{place} ({error}): after a power cut, the files written last may be missing"
            );
            disk.note(Notice::NoDirectorySync, text);
            Ok(())
        }
        Err(error) => Err(DatasetError::file("sync", parent)(error)),
    }
}

/// Whether syncing a directory is not possible there, as with SMB and the shared folders of VirtualBox. A directory may also be writable
/// and not readable (EACCES), and then it cannot be opened for syncing.
fn cannot_sync(error: &io::Error) -> bool {
    is_unsupported(error) || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES))
}

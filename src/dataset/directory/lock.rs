//! The locks of a directory: one for each night, and a short one for the manifest of the directory.

use std::fs::File;
use std::path::Path;

use super::layout::{LOCK, MANIFEST_LOCK, Night, OWNER};
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk, OwnerFile};

/// How often a lock is taken whose file loses its name at the same time.
const MOST_TRIES: u32 = 100;

/// The lock of a night. It is held as long as this value lives.
#[derive(Debug)]
pub(in crate::dataset) struct NightLock {
    _file: File,
    _owner: Option<OwnerFile>,
}

impl NightLock {
    /// Takes the lock. If another process has it, returns [`DatasetError::InUse`].
    pub fn take(root: &Path, night: &Night, disk: &Disk) -> Result<Self, DatasetError> {
        let folder = night.folder(root);
        let path = folder.join(LOCK);
        let mut tries = 0;
        loop {
            tries += 1;
            files::create_directories(&folder, disk)?;
            let file = disk
                .open_or_create(&path, &path)
                .map_err(DatasetError::file("create", &path))?;
            let owner = files::lock(&file, folder.join(OWNER), &folder, disk)?;
            // A process that removes a night removes the lock, too. Then this lock is on a file without a name, and keeps nobody out.
            // On some file systems a file changes its number, so the last try counts in any case.
            if files::is_at(&file, &path) || tries == MOST_TRIES {
                return Ok(NightLock {
                    _file: file,
                    _owner: owner,
                });
            }
        }
    }
}

/// The lock of the directory's manifest. It is held for the time of one replacement, so it is waited for.
pub(super) struct ManifestLock {
    _file: File,
}

impl ManifestLock {
    /// Takes the lock. On a file system without locks, two runs that end at the same instant may leave the older manifest there.
    pub fn take(root: &Path, disk: &Disk) -> Result<Self, DatasetError> {
        let path = root.join(MANIFEST_LOCK);
        let file = disk
            .open_or_create(&path, &path)
            .map_err(DatasetError::file("create", &path))?;
        match disk.lock(&file, &path) {
            Err(error) if !files::has_no_locks(&error) => {
                Err(DatasetError::file("lock", &path)(error))
            }
            Ok(()) | Err(_) => Ok(ManifestLock { _file: file }),
        }
    }
}

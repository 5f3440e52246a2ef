//! Names that survive a power cut.

use std::fs::{self, File};
use std::path::Path;

use crate::dataset::DatasetError;

/// Creates `path` with its missing parents. They survive a power cut.
pub(in crate::dataset) fn create_directories(path: &Path) -> Result<(), DatasetError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.is_dir())
        .collect();
    fs::create_dir_all(path).map_err(DatasetError::file("create", path))?;
    missing.into_iter().try_for_each(sync_parent)
}

/// Syncs the directory that holds `path`. Without this, a new name may not survive a power cut.
pub(in crate::dataset) fn sync_parent(path: &Path) -> Result<(), DatasetError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(DatasetError::file("sync", parent))
}

//! Records of removals: which files a removed run had.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PruneError, RECORDS};

/// The files of a run that is being removed. Paths are relative to the dataset's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) run_id: String,
    /// The night, for messages.
    pub(super) night: String,
    /// The folder whose lock keeps runs out of the night. `None` for a run of an earlier version.
    pub(super) locked: Option<PathBuf>,
    /// Removed first, in this order.
    pub(super) manifests: Vec<PathBuf>,
    /// Parts and other files.
    pub(super) files: Vec<PathBuf>,
    /// Removed if they are empty; the innermost come first.
    pub(super) folders: Vec<PathBuf>,
}

impl Record {
    /// Whether all paths stay below the dataset's directory.
    fn is_inside(&self) -> bool {
        let mut all = { self.locked.iter().chain(&self.manifests) }
            .chain(&self.files)
            .chain(&self.folders);
        all.all(|path| {
            let mut names = path.components();
            !path.as_os_str().is_empty() && names.all(|name| matches!(name, Component::Normal(_)))
        })
    }

    /// Writes the record durably. `name` is the run's name in paths.
    pub(super) fn write(&self, root: &Path, name: &str) -> Result<PathBuf, PruneError> {
        let path = root.join(RECORDS).join(format!("{name}.json"));
        let temporary = path.with_extension("json.tmp");
        let text = serde_json::to_vec_pretty(self).expect("texts");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(PruneError::file("write", &path))?;
        sync(&root.join(RECORDS))?;
        Ok(path)
    }

    fn read(path: &Path) -> Result<Self, PruneError> {
        let text = fs::read(path).map_err(PruneError::file("read", path))?;
        let record: Option<Record> = serde_json::from_slice(&text).ok();
        record
            .filter(Record::is_inside)
            .ok_or_else(|| PruneError::Record(path.to_owned()))
    }
}

/// The records of removals that were cut short, by name.
pub(super) fn records(root: &Path) -> Result<Vec<(PathBuf, Record)>, PruneError> {
    let folder = root.join(RECORDS);
    let failed = |error| PruneError::file("list", &folder)(error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| Ok((path.clone(), Record::read(&path)?));
    paths.into_iter().map(read).collect()
}

/// Makes names in a folder durable. A folder that is gone needs nothing.
pub(super) fn sync(folder: &Path) -> Result<(), PruneError> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Some file systems have no fsync of directories.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF)) => Ok(()),
        Err(error) => Err(PruneError::file("sync", folder)(error)),
    }
}

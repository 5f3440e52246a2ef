//! Puts new parts in the place of old ones, so that a crash at any step loses nothing.
//!
//! | step | after a crash |
//! |---|---|
//! | 1. new parts are whole in `.partial/` | they are removed |
//! | 2. the record `compact.json` lists new and old parts | the new parts and the record are removed |
//! | 3. the checkpoint of an unfinished run is removed | the same; the run can no longer be resumed |
//! | 4. new parts get their names in the tables | the same |
//! | 5. the new manifest replaces the old one | the old parts and the record are removed |
//! | 6. the manifest of the directory is replaced, if it is this run's | the same |
//! | 7. old parts are removed | the same |
//! | 8. the record is removed | nothing is left to do |
//!
//! Every step is durable before the next one. [`recover`] does what the right column says. The manifest always lists whole parts that are
//! there, so readers of manifests see every row once at all times. A reader of all files sees rows twice from step 4 to step 7.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CompactError;
use super::job::NewTable;
use crate::dataset::DatasetError;
use crate::dataset::directory::{COMPACTION, RunFolder, publish, remove_if_there};
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::Manifest;
use crate::dataset::read::ReadError;

/// The name of the record in the folder of the run.
const RECORD: &str = COMPACTION;

/// What a compaction is about to do. Paths start at the directory of the dataset.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    new: Vec<String>,
    old: Vec<String>,
}

/// Does the steps 2 to 8. `text` is the new manifest, and `old` are the parts that it no longer lists.
pub(super) fn replace(
    folder: &RunFolder,
    tables: &[NewTable],
    old: Vec<String>,
    text: &[u8],
    disk: &Disk,
) -> Result<(), CompactError> {
    let parts = || tables.iter().flat_map(|table| &table.parts);
    let record = Record {
        new: parts().map(|part| part.listed.path.clone()).collect(),
        old,
    };
    let json = serde_json::to_vec(&record).unwrap_or_default();
    files::replace(folder.temporary(RECORD), record_of(folder), &json, disk)?;
    remove_if_there(&folder.checkpoint(), disk)?;
    for part in parts() {
        let place = folder.root().join(&part.listed.path);
        if let Some(parent) = place.parent() {
            files::create_directories(parent, disk)?;
        }
        disk.rename(&part.temporary, &place)
            .map_err(DatasetError::file("rename to", &place))?;
    }
    sync_folders(folder.root(), &record.new, disk)?;
    files::replace(
        folder.temporary("manifest.json"),
        folder.manifest(),
        text,
        disk,
    )?;
    end(folder, &record.old, disk)
}

/// Whether a compaction of the run was interrupted.
pub(super) fn is_under_way(folder: &RunFolder) -> bool {
    record_of(folder).exists()
}

/// Ends a compaction that was interrupted: see the table above. This process holds the lock of the night.
pub(super) fn recover(folder: &RunFolder, disk: &Disk) -> Result<(), CompactError> {
    remove_unfinished(folder, disk)?;
    let path = record_of(folder);
    let text = match files::read_regular(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DatasetError::file("read", &path)(error).into()),
    };
    let record: Record = serde_json::from_slice(&text)
        .ok()
        .filter(Record::is_inside)
        .ok_or(CompactError::Record(path))?;
    let listed = listed(&folder.manifest())?;
    let is_done = record.new.iter().all(|part| listed.contains(part));
    let unwanted = if is_done { record.old } else { record.new };
    let unwanted = unwanted.into_iter().filter(|part| !listed.contains(part));
    // The manifest of the directory is written there first.
    files::create_directories(&folder.partial(), disk)?;
    end(folder, &unwanted.collect::<Vec<_>>(), disk)
}

/// The steps 6 to 8.
fn end(folder: &RunFolder, parts: &[String], disk: &Disk) -> Result<(), CompactError> {
    if let Some((text, manifest)) = read(&folder.manifest())?
        && let Some(started_at) = manifest.started_at
    {
        publish(folder, &text, (&manifest.run_id, started_at), disk)?;
    }
    for part in parts {
        remove_if_there(&folder.root().join(part), disk)?;
    }
    sync_folders(folder.root(), parts, disk)?;
    let record = record_of(folder);
    remove_if_there(&record, disk)?;
    files::sync_parent(&record, disk)?;
    // Empty by now. If it stays, nobody minds.
    let _ = fs::remove_dir(folder.partial());
    Ok(())
}

impl Record {
    /// Whether all paths lead to places below the directory.
    fn is_inside(&self) -> bool {
        let mut paths = self.new.iter().chain(&self.old);
        paths.all(|path| {
            let mut components = Path::new(path).components();
            !path.is_empty() && components.all(|part| matches!(part, Component::Normal(_)))
        })
    }
}

fn record_of(folder: &RunFolder) -> PathBuf {
    folder.path().join(RECORD)
}

/// Removes the files in `.partial/`. Nobody else writes there, because the night is locked.
fn remove_unfinished(folder: &RunFolder, disk: &Disk) -> Result<(), CompactError> {
    let partial = folder.partial();
    let error = || DatasetError::file("list", &partial);
    let entries = match fs::read_dir(&partial) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(error()(source).into()),
    };
    for entry in entries {
        let path = entry.map_err(error())?.path();
        if path.is_file() {
            remove_if_there(&path, disk)?;
        }
    }
    let _ = fs::remove_dir(partial);
    Ok(())
}

/// A manifest and its text. `None` if there is no such file.
fn read(path: &Path) -> Result<Option<(Vec<u8>, Manifest)>, CompactError> {
    let text = match files::read_regular(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DatasetError::file("read", path)(error).into()),
    };
    let manifest = Manifest::parse(&text).map_err(|source| ReadError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some((text, manifest)))
}

/// The paths that a manifest lists. Empty if there is no manifest.
fn listed(path: &Path) -> Result<BTreeSet<String>, CompactError> {
    let manifest = read(path)?
        .map(|(_, manifest)| manifest)
        .unwrap_or_default();
    Ok(manifest.parts().map(|part| part.path.clone()).collect())
}

/// Syncs the folders of some parts, each once.
fn sync_folders(directory: &Path, parts: &[String], disk: &Disk) -> Result<(), DatasetError> {
    let folders: BTreeSet<PathBuf> = parts
        .iter()
        .filter_map(|part| directory.join(part).parent().map(Path::to_owned))
        .collect();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        files::sync_parent(&folder.join("."), disk)?;
    }
    Ok(())
}

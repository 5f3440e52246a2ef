//! Puts new parts in the place of old ones, so that a crash at any step loses nothing.
//!
//! | step | after a crash |
//! |---|---|
//! | 1. new parts are whole in `.partial/` | they are removed |
//! | 2. the record `.partial/compact-RUN.json` lists new and old parts | the new parts and the record are removed |
//! | 3. new parts get their names in the tables | the same |
//! | 4. the new manifest replaces the old one | the old parts and the record are removed |
//! | 5. old parts are removed | the same |
//! | 6. the record is removed | nothing is left to do |
//!
//! Every step is durable before the next one. [`recover`] does what the right column says. The manifest always lists whole parts that are
//! there, so readers of manifests see every row once at all times. A reader of all files sees rows twice from step 3 to step 5.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CompactError;
use super::job::{NewTable, PARTIAL};
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::{Manifest, path_safe};

/// What a compaction is about to do. Paths start at the directory of the dataset.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    run_id: String,
    manifest: String,
    new: Vec<String>,
    old: Vec<String>,
}

/// The places of a compaction.
pub(super) struct Places<'a> {
    /// The directory of the dataset.
    pub directory: &'a Path,
    /// The file name of the manifest there.
    pub manifest: &'a str,
    pub disk: &'a Disk,
}

/// Does the steps 2 to 6. `text` is the new manifest, and `old` are the parts that it no longer lists.
pub(super) fn replace(
    places: &Places,
    run_id: &str,
    tables: &[NewTable],
    old: Vec<String>,
    text: &[u8],
) -> Result<(), CompactError> {
    let Places {
        directory,
        manifest,
        disk,
    } = *places;
    let parts = || tables.iter().flat_map(|table| &table.parts);
    let record = Record {
        run_id: run_id.to_owned(),
        manifest: manifest.to_owned(),
        new: parts().map(|part| part.listed.path.clone()).collect(),
        old,
    };
    let path = record_path(directory, run_id);
    let json = serde_json::to_vec_pretty(&record).unwrap_or_default();
    files::replace(temporary_of(&path), path.clone(), &json, disk)?;
    for part in parts() {
        let place = directory.join(&part.listed.path);
        if let Some(folder) = place.parent() {
            files::create_directories(folder, disk)?;
        }
        disk.rename(&part.temporary, &place)
            .map_err(DatasetError::file("rename to", &place))?;
    }
    sync_folders(directory, &record.new, disk)?;
    let manifest = directory.join(manifest);
    files::replace(
        directory.join(PARTIAL).join("manifest.json"),
        manifest,
        text,
        disk,
    )?;
    end(directory, &path, &record.old, disk)
}

/// Ends compactions that were interrupted: see the table above. This process holds the lock of the directory.
pub(super) fn recover(directory: &Path, disk: &Disk) -> Result<(), CompactError> {
    for path in left_behind(directory)? {
        let is_record = path.extension() == Some(OsStr::new("json"));
        if !is_record {
            remove(&path, disk)?;
            continue;
        }
        let text = files::read_regular(&path).map_err(DatasetError::file("read", &path))?;
        let record: Record = serde_json::from_slice(&text)
            .ok()
            .filter(Record::is_inside)
            .ok_or_else(|| CompactError::Record(path.clone()))?;
        let listed = listed(&directory.join(&record.manifest))?;
        let is_listed = |part: &&String| listed.contains(*part);
        let is_done = record.new.iter().all(|part| listed.contains(part));
        let unwanted = if is_done { &record.old } else { &record.new };
        let unwanted = unwanted.iter().filter(|part| !is_listed(part));
        end(
            directory,
            &path,
            &unwanted.cloned().collect::<Vec<_>>(),
            disk,
        )?;
    }
    Ok(())
}

/// Removes parts, then the record.
fn end(directory: &Path, record: &Path, parts: &[String], disk: &Disk) -> Result<(), CompactError> {
    for part in parts {
        remove(&directory.join(part), disk)?;
    }
    sync_folders(directory, parts, disk)?;
    remove(record, disk)?;
    Ok(files::sync_parent(record, disk)?)
}

impl Record {
    /// Whether all paths lead to places below the directory.
    fn is_inside(&self) -> bool {
        let mut paths = self.new.iter().chain(&self.old).chain([&self.manifest]);
        paths.all(|path| {
            let mut components = Path::new(path).components();
            !path.is_empty() && components.all(|part| matches!(part, Component::Normal(_)))
        })
    }
}

fn record_path(directory: &Path, run_id: &str) -> PathBuf {
    let name = format!("compact-{}.json", path_safe(run_id));
    directory.join(PARTIAL).join(name)
}

fn temporary_of(record: &Path) -> PathBuf {
    record.with_extension("tmp")
}

/// The files of a compaction in `.partial/`. Records come last, because the new parts of a record may still be there.
fn left_behind(directory: &Path) -> Result<Vec<PathBuf>, CompactError> {
    let partial = directory.join(PARTIAL);
    let error = || DatasetError::file("list", &partial);
    let entries = match fs::read_dir(&partial) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error()(source).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error())?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_part = name.contains("-part-") && name.ends_with(".parquet.tmp");
        let is_record =
            name.starts_with("compact-") && (name.ends_with(".json") || name.ends_with(".tmp"));
        if is_part || is_record {
            found.push(entry.path());
        }
    }
    found.sort_by_key(|path| (path.extension() == Some(OsStr::new("json")), path.clone()));
    Ok(found)
}

/// The paths that a manifest lists. Empty if there is no manifest.
fn listed(path: &Path) -> Result<BTreeSet<String>, CompactError> {
    let text = match files::read_regular(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(DatasetError::file("read", path)(error).into()),
    };
    let manifest = Manifest::parse(&text).map_err(|source| {
        CompactError::Read(crate::dataset::read::ReadError::Manifest {
            path: path.to_owned(),
            source,
        })
    })?;
    let parts = manifest.tables.iter().flat_map(|(_, table)| &table.parts);
    Ok(parts.map(|part| part.path.clone()).collect())
}

/// Removes a file. It is no error if there is none.
fn remove(path: &Path, disk: &Disk) -> Result<(), DatasetError> {
    match disk.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(DatasetError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
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

//! Finds the manifests of a dataset.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::file::open_regular;
use super::{ReadError, Run};
use crate::dataset::directory::{LOCK, MANIFEST, Night, OWNER, nights, replaced_ids};
use crate::dataset::files;
use crate::dataset::manifest::{self, Manifest};

/// The runs at `path`, oldest first, and the path that manifests and parts are below.
pub(super) fn runs_at(path: &Path) -> Result<(PathBuf, Vec<Run>), ReadError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ReadError::NotFound(path.to_owned()));
        }
        Err(error) => return Err(ReadError::file("open", path)(error)),
    };
    if about.is_dir() {
        return Ok((path.to_owned(), of_directory(path, || ())?));
    }
    let not_a_dataset = |kind: &str| ReadError::NotADataset {
        path: path.to_owned(),
        kind: kind.to_owned(),
    };
    if !about.is_file() {
        return Err(not_a_dataset("neither a directory nor a regular file"));
    }
    // The manifest lies beside the file behind a link, and uses its name.
    let real = fs::canonicalize(path).map_err(ReadError::file("open", path))?;
    match real.extension().and_then(OsStr::to_str) {
        Some("json") => return Err(not_a_dataset("a JSON file")),
        Some("csv") => return Err(not_a_dataset("a CSV file")),
        Some("jsonl" | "ndjson") => return Err(not_a_dataset("a file of JSON Lines")),
        Some("arrow") => return Err(not_a_dataset("an Arrow file")),
        _ => {}
    }
    let manifest = files::beside(&real, "", ".manifest.json");
    let run = read_manifest(around(&real), &manifest)?.ok_or_else(|| ReadError::NoManifest {
        nearby: dataset_around(&real),
        path: manifest.clone(),
    })?;
    match run.with_file(&real) {
        Some(run) => Ok((real, vec![run])),
        None => Err(not_a_dataset("a file whose manifest lists other files")),
    }
}

/// The runs of a directory, but those that a complete run replaces.
///
/// A run that starts may rename `manifest.json` to `manifest-RUN.json`, if a version before the folder `runs` wrote it. So `manifest.json`
/// is read before the directory is listed. A run may be seen twice, but is never missed. Tests start a run in `between`, after the first
/// step.
fn of_directory(directory: &Path, between: impl FnOnce()) -> Result<Vec<Run>, ReadError> {
    let mut manifests = vec![read_manifest(directory, &directory.join(MANIFEST))?];
    between();
    for path in manifest_paths(directory)? {
        // If it is gone, another process has removed the run.
        manifests.push(read_manifest(directory, &path)?);
    }
    let mut found: BTreeMap<String, Run> = BTreeMap::new();
    for run in manifests.into_iter().flatten() {
        // The manifest in a run's folder is written before its copy in the directory, and comes last here. So the last one is the newest. Their
        // times say nothing: the wall clock may have been stepped between two sessions.
        found.insert(run.id().to_owned(), run);
    }
    if found.is_empty() {
        return Err(ReadError::NoManifest {
            path: directory.to_owned(),
            nearby: dataset_around(directory),
        });
    }
    let mut runs: Vec<Run> = found.into_values().collect();
    runs.sort_by_key(|run| run.manifest().started_at);
    let replaced: Vec<String> = { replaced_ids(&runs).into_iter() }
        .map(str::to_owned)
        .collect();
    runs.retain(|run| !replaced.iter().any(|id| id == run.id()));
    Ok(runs)
}

/// All manifests of a directory but `manifest.json`: those of earlier versions, then those in the folders of runs.
pub(in crate::dataset) fn manifest_paths(directory: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut paths = earlier_manifests(directory)?;
    let nights = nights(directory).map_err(|error| not_listed(directory, &error))?;
    for night in nights {
        paths.extend(of_night(directory, &night)?);
    }
    Ok(paths)
}

/// The manifests in the folders of a night's runs. A run that has just begun may lack its manifest.
pub(in crate::dataset) fn of_night(root: &Path, night: &Night) -> Result<Vec<PathBuf>, ReadError> {
    let names = crate::dataset::directory::folders(&night.folder(root))
        .map_err(|error| not_listed(root, &error))?;
    let folder = night.folder(root);
    Ok({ names.iter() }
        .map(|name| folder.join(name).join(MANIFEST))
        .collect())
}

fn not_listed(path: &Path, error: &crate::dataset::DatasetError) -> ReadError {
    ReadError::file("list", path)(io::Error::other(error.to_string()))
}

/// The files `manifest-*.json`, by name.
pub(in crate::dataset) fn earlier_manifests(directory: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            if text.starts_with("manifest-") && text.ends_with(".json") {
                paths.push(directory.join(&name));
            }
        }
        paths.sort();
        Ok(paths)
    };
    list().map_err(ReadError::file("list", directory))
}

/// The run of a manifest, whose parts are below `directory`. `None` if there is no such file.
pub(in crate::dataset) fn read_manifest(
    directory: &Path,
    path: &Path,
) -> Result<Option<Run>, ReadError> {
    let text = match files::read_regular(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::file("read", path)(error)),
    };
    let manifest = Manifest::parse(&text).map_err(|source| ReadError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    Run::new(manifest, directory, path.to_owned()).map(Some)
}

/// The directory of a file.
fn around(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Whether a process writes into a directory.
pub(super) fn is_written(directory: &Path) -> Result<bool, ReadError> {
    if is_locked(directory)? {
        return Ok(true);
    }
    for night in nights(directory).map_err(|error| not_listed(directory, &error))? {
        if is_locked(&night.folder(directory))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process holds the lock in a folder. Versions before the folder `runs` lock the directory itself, later ones the folder of a
/// night.
pub(in crate::dataset) fn is_locked(directory: &Path) -> Result<bool, ReadError> {
    let path = directory.join(LOCK);
    let lock = match open_regular(&path) {
        Ok((lock, _)) => lock,
        // No run has written here yet, or somebody removed the lock after the last one. A single file has no lock of this name.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(ReadError::file("open", &path)(error)),
    };
    // Closing the file releases the lock.
    if is_refused(lock.try_lock_shared()).map_err(ReadError::file("lock", &path))? {
        return Ok(true);
    }
    // The writer uses a lock file if it has no locks.
    let owner = directory.join(OWNER);
    files::is_owned(&owner).map_err(ReadError::file("read", &owner))
}

/// Whether a lock was refused because another process has it. False if the file system has no locks.
fn is_refused(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked.map_err(io::Error::from) {
        Err(error) if files::is_conflict(&error) => Ok(true),
        Err(error) if !files::has_no_locks(&error) => Err(error),
        Ok(()) | Err(_) => Ok(false),
    }
}

/// The directory above `path` that holds a manifest.
fn dataset_around(path: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(path).ok()?;
    let above = real.ancestors().skip(1);
    // Other programs have files of this name, too.
    let is_ours = |text: Vec<u8>| manifest::run_id_of(&text).is_some();
    let mut with_manifest =
        above.filter(|directory| files::read_regular(&directory.join(MANIFEST)).is_ok_and(is_ours));
    with_manifest.next().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest_of(run_id: &str) -> Vec<u8> {
        let mut manifest = Manifest {
            run_id: run_id.to_owned(),
            ..Manifest::default()
        };
        manifest.tool.name = manifest::TOOL.to_owned();
        manifest.to_text()
    }

    #[test]
    fn a_lock_that_smb_refuses_is_that_of_another_process() {
        let of = |code| is_refused(Err(TryLockError::Error(io::Error::from_raw_os_error(code))));
        assert!(of(libc::EACCES).unwrap());
        assert!(is_refused(Err(TryLockError::WouldBlock)).unwrap());
        assert!(!is_refused(Ok(())).unwrap() && !of(libc::ENOLCK).unwrap());
        assert!(of(libc::EIO).is_err());
    }

    #[test]
    fn a_run_that_starts_while_a_dataset_is_opened_hides_no_earlier_run() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at(MANIFEST), manifest_of("first")).unwrap();
        let ids = |between: &dyn Fn()| -> Vec<String> {
            let runs = of_directory(directory.path(), between).unwrap();
            runs.iter().map(|run| run.id().to_owned()).collect()
        };
        let renamed = || fs::rename(at(MANIFEST), at("manifest-first.json")).unwrap();
        assert_eq!(ids(&renamed), ["first"], "seen twice");
        assert_eq!(ids(&|| ()), ["first"], "the next run has no manifest yet");
        fs::write(at(MANIFEST), manifest_of("second")).unwrap();
        let third = || {
            fs::rename(at(MANIFEST), at("manifest-second.json")).unwrap();
            fs::write(at(MANIFEST), manifest_of("third")).unwrap();
        };
        assert_eq!(ids(&third), ["first", "second"]);
        assert_eq!(ids(&|| ()), ["first", "second", "third"]);
    }
}

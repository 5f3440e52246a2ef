//! Finds the manifests of a dataset.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{ReadError, Run};
use crate::dataset::files;
use crate::dataset::manifest::Manifest;

const MANIFEST: &str = "manifest.json";

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
        return Ok((path.to_owned(), of_directory(path)?));
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
    let run = read_manifest(&manifest)?.ok_or_else(|| ReadError::NoManifest {
        nearby: dataset_around(&real),
        path: manifest.clone(),
    })?;
    Ok((real, vec![run]))
}

/// The runs of a directory.
///
/// A run that starts renames `manifest.json` to `manifest-RUN.json`, then writes its own. So `manifest.json` is read before the directory
/// is listed. A run may be seen twice then, but never not at all.
fn of_directory(directory: &Path) -> Result<Vec<Run>, ReadError> {
    let mut found: BTreeMap<String, Run> = BTreeMap::new();
    let mut paths = vec![directory.join(MANIFEST)];
    paths.extend(earlier_manifests(directory)?);
    for path in paths {
        // A file that was listed and is gone now was renamed by nobody but its user.
        let Some(run) = read_manifest(&path)? else {
            continue;
        };
        let known = found.get(run.id());
        if known.is_none_or(|known| known.manifest().updated_at < run.manifest().updated_at) {
            found.insert(run.id().to_owned(), run);
        }
    }
    if found.is_empty() {
        return Err(ReadError::NoManifest {
            path: directory.to_owned(),
            nearby: dataset_around(directory),
        });
    }
    let mut runs: Vec<Run> = found.into_values().collect();
    runs.sort_by_key(|run| run.manifest().started_at);
    Ok(runs)
}

/// The files `manifest-*.json`, by name.
fn earlier_manifests(directory: &Path) -> Result<Vec<PathBuf>, ReadError> {
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

/// The run of a manifest. `None` if there is no such file.
fn read_manifest(path: &Path) -> Result<Option<Run>, ReadError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::file("read", path)(error)),
    };
    let manifest = Manifest::parse(&text).map_err(|source| ReadError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    Run::new(manifest, path.to_owned()).map(Some)
}

/// The directory above `path` that holds a manifest.
fn dataset_around(path: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(path).ok()?;
    let above = real.ancestors().skip(1);
    let mut with_manifest = above.filter(|directory| directory.join(MANIFEST).is_file());
    with_manifest.next().map(Path::to_owned)
}

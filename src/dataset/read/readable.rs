//! Opens a dataset in which some manifests are damaged.

use std::collections::BTreeMap;
use std::path::Path;

use super::open::{manifest_paths, read_manifest};
use super::{Dataset, ReadError, Run};
use crate::dataset::directory::{MANIFEST, replaced_ids};

impl Dataset {
    /// Opens the runs that can be read. Returns them, and the errors of the manifests that cannot be read.
    ///
    /// Use this to look after a dataset. Analyses use [`open`](Self::open): it returns all runs or an error.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for errors of single manifests in a directory.
    pub fn open_readable(path: impl AsRef<Path>) -> Result<(Self, Vec<ReadError>), ReadError> {
        let path = path.as_ref();
        match Dataset::open(path) {
            Ok(dataset) => Ok((dataset, Vec::new())),
            Err(error) if path.is_dir() && is_of_manifest(&error) => readable(path),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error concerns one manifest.
fn is_of_manifest(error: &ReadError) -> bool {
    match error {
        ReadError::Manifest { .. } | ReadError::PartPath { .. } | ReadError::TableName { .. } => {
            true
        }
        ReadError::File { operation, .. } => *operation == "read",
        _ => false,
    }
}

fn readable(directory: &Path) -> Result<(Dataset, Vec<ReadError>), ReadError> {
    let mut paths = vec![directory.join(MANIFEST)];
    paths.extend(manifest_paths(directory)?);
    let mut damaged = Vec::new();
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    for path in paths {
        match read_manifest(directory, &path) {
            Ok(Some(run)) => {
                // The manifest in a run's folder comes last, and is the newest: see `open`.
                runs.insert(run.id().to_owned(), run);
            }
            Ok(None) => {}
            Err(error) => damaged.push(error),
        }
    }
    let mut runs: Vec<Run> = runs.into_values().collect();
    runs.sort_by_key(|run| run.manifest().started_at);
    let replaced = replaced_ids(&runs).into_iter().map(str::to_owned);
    let replaced: Vec<String> = replaced.collect();
    runs.retain(|run| !replaced.iter().any(|id| id == run.id()));
    let dataset = Dataset {
        path: directory.to_owned(),
        runs,
        others: Vec::new(),
    };
    Ok((dataset, damaged))
}

//! Compares the files of a dataset with its manifests, and finds leftovers of killed runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::prune::RECORDS;
use crate::dataset::read::{Checks, Dataset, Fault, Progress, ReadError};

/// Names of folders that hold leftovers, and what they mean.
const LEFTOVERS: [(&str, &str, &str); 3] = [
    (
        ".partial",
        "an unfinished file of a run that was killed",
        "the next run in this place removes it, or remove it",
    ),
    (
        ".unlisted",
        "a whole part of a killed run that no manifest lists",
        "remove it if you do not need its rows",
    ),
    (
        RECORDS,
        "the record of a run whose removal was cut short",
        "run `pathsurvey datasets prune` again: it finishes the removal",
    ),
];

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A manifest cannot be read.
    Manifest,
    /// A part is missing, cut off, damaged or of another kind.
    Part,
    /// A part has other bytes than the run wrote.
    Checksum,
    /// A manifest counts other rows than its parts have.
    Sum,
    /// A part is listed twice.
    ListedTwice,
    /// A part is in no manifest.
    Unlisted,
    /// A file that killed runs leave. It disturbs no reader, so it is no fault.
    Leftover,
    /// A run writes, and may list this part in a moment. No fault.
    BeingWritten,
}

/// Something that [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub kind: Kind,
    /// What is wrong, with the file.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// Whether readers of the dataset are affected.
    pub fn is_fault(&self) -> bool {
        !matches!(self.kind, Kind::Leftover | Kind::BeingWritten)
    }

    fn new(kind: Kind, message: String, remedy: &str) -> Self {
        Finding {
            kind,
            message,
            remedy: remedy.to_owned(),
        }
    }
}

/// Compares the files of the dataset at `path` with its manifests. Calls `progress` after every part, from several threads.
///
/// # Errors
/// [`ReadError`] if there is no dataset, or if a directory cannot be listed. Damaged manifests and parts are findings.
pub fn verify(
    path: impl AsRef<Path>,
    checks: Checks,
    progress: impl Fn(Progress) + Sync,
) -> Result<Vec<Finding>, ReadError> {
    let (dataset, damaged) = Dataset::open_readable(path)?;
    let is_damaged = !damaged.is_empty();
    let mut found: Vec<Finding> = damaged.iter().map(of_manifest).collect();
    let faults = dataset.verify(checks, progress)?;
    let is_written = dataset.is_written()?;
    found.extend(
        faults
            .iter()
            .map(|fault| of_fault(fault, is_written, is_damaged)),
    );
    if dataset.path().is_dir() && !is_written {
        leftovers(dataset.path(), &mut found)?;
    }
    Ok(found)
}

fn of_manifest(error: &ReadError) -> Finding {
    let remedy = "restore the manifest from a copy; without it, no reader finds the run's parts";
    Finding::new(Kind::Manifest, error.to_string(), remedy)
}

fn of_fault(fault: &Fault, is_written: bool, is_damaged: bool) -> Finding {
    let copy = "restore the file from a copy, or remove its run with its manifest and its parts";
    let (kind, remedy) = match fault {
        Fault::Part(_) => (Kind::Part, copy),
        Fault::Checksum(_) => (Kind::Checksum, copy),
        Fault::Sum { .. } => (
            Kind::Sum,
            "the manifest was changed: restore it from a copy",
        ),
        Fault::ListedTwice(_) => (
            Kind::ListedTwice,
            "a manifest was copied or changed: remove the copy, or restore the manifest",
        ),
        Fault::Unlisted { .. } if is_written => {
            (Kind::BeingWritten, "verify again when the run has ended")
        }
        Fault::Unlisted { .. } if is_damaged => (
            Kind::Unlisted,
            "restore the damaged manifest first: it may list this part",
        ),
        Fault::Unlisted { running: true, .. } => (
            Kind::Unlisted,
            "the run was killed: the next run in this place moves the part to .unlisted, or move it out of the dataset",
        ),
        Fault::Unlisted { .. } => (
            Kind::Unlisted,
            "move it out of the dataset: programs that read all files count its rows",
        ),
    };
    Finding::new(kind, fault.to_string(), remedy)
}

/// The files in folders that hold leftovers. Links are not followed.
fn leftovers(folder: &Path, found: &mut Vec<Finding>) -> Result<(), ReadError> {
    for (path, is_folder) in entries(folder)? {
        let name = path.file_name().unwrap_or_default();
        let known = LEFTOVERS.iter().find(|(known, ..)| name == *known);
        match known {
            Some((_, what, remedy)) if is_folder => files_below(&path, &mut |file| {
                let message = format!("{} is {what}", file.display());
                found.push(Finding::new(Kind::Leftover, message, remedy));
            })?,
            None if is_folder => leftovers(&path, found)?,
            _ => {}
        }
    }
    Ok(())
}

fn files_below(folder: &Path, tell: &mut dyn FnMut(&Path)) -> Result<(), ReadError> {
    for (path, is_folder) in entries(folder)? {
        match is_folder {
            true => files_below(&path, tell)?,
            false if path.file_name().is_some_and(|name| name == ".lock") => {}
            false => tell(&path),
        }
    }
    Ok(())
}

/// The entries of a folder by name, and whether each is a folder and no link. Empty if the folder is gone.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, ReadError> {
    let failed = |source| ReadError::File {
        operation: "list",
        path: folder.to_owned(),
        source,
    };
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed)?;
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        found.push((entry.path(), is_folder));
    }
    found.sort();
    Ok(found)
}

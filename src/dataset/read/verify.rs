//! Compares the files of a dataset with its manifests.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::file::{Indexes, PartFile, open_regular};
use super::{Dataset, Part, ReadError, Run};
use crate::dataset::files::hex;
use crate::dataset::manifest::RunState;

/// What to check. Sizes are always checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Reads every part whole and compares its SHA-256.
    pub checksums: bool,
    /// Reads every footer and compares its rows, and that the file holds the table.
    pub rows: bool,
}

impl Checks {
    /// Sizes, checksums and rows.
    pub const ALL: Checks = Checks {
        checksums: true,
        rows: true,
    };
}

/// Progress of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Parts checked so far.
    pub parts: u64,
    /// Parts in the manifests.
    pub all_parts: u64,
    /// Bytes of the parts checked so far, by their manifests.
    pub bytes: u64,
    /// Bytes of all parts, by their manifests.
    pub all_bytes: u64,
}

/// A difference between the files and the manifests.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A part is missing, has another size or other rows, is damaged, or holds something else.
    #[error(transparent)]
    Part(#[from] ReadError),
    /// A part has other bytes than the run wrote.
    #[error("{} was changed: its SHA-256 is not the one in its manifest, restore it from a copy", .0.display())]
    Checksum(PathBuf),
    /// The manifest's rows of a table are not those of its parts.
    #[error("{} counts {counted} rows of {table}, and its parts have {rows}", manifest.display())]
    Sum {
        /// The manifest.
        manifest: PathBuf,
        /// The table.
        table: String,
        /// The table's rows.
        counted: u64,
        /// The parts' rows.
        rows: u64,
    },
    /// Two manifests list the same part, or one manifest lists it twice.
    #[error("{} is listed twice", .0.display())]
    ListedTwice(PathBuf),
    /// A Parquet file that no manifest lists. A run that writes has one for a moment, and a killed run may leave one.
    #[error(
        "{} is in no manifest{}",
        path.display(),
        if *running { ": a run writes here, or was killed" } else { ": no reader will see it" }
    )]
    Unlisted {
        /// The file.
        path: PathBuf,
        /// Whether a run of the dataset is in the state `running`.
        running: bool,
    },
}

/// Checks all parts of the chosen runs. Returns every fault, in the order of runs and parts.
pub(super) fn verify(
    dataset: &Dataset,
    checks: Checks,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Fault>, ReadError> {
    let mut parts: Vec<(&str, &Part)> = Vec::new();
    let mut faults = Vec::new();
    for run in dataset.runs() {
        faults.extend(sums(run));
        for table in run.tables() {
            parts.extend(run.parts(table).iter().map(|part| (table, part)));
        }
    }
    faults.extend(listed_twice(&parts));
    let (done, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let all_bytes = parts.iter().map(|(_, part)| part.listed().bytes);
    let all_bytes = all_bytes.fold(0, u64::saturating_add);
    let of_parts = parts.par_iter().map(|(table, part)| {
        let fault = check(table, part, checks);
        let size = part.listed().bytes;
        progress(Progress {
            parts: done.fetch_add(1, Ordering::Relaxed) + 1,
            all_parts: parts.len() as u64,
            bytes: bytes
                .fetch_add(size, Ordering::Relaxed)
                .saturating_add(size),
            all_bytes,
        });
        fault
    });
    faults.extend(of_parts.collect::<Vec<_>>().into_iter().flatten());
    faults.extend(unlisted(dataset)?);
    Ok(faults)
}

fn sums(run: &Run) -> Vec<Fault> {
    let tables = run.manifest().tables.iter();
    let wrong = tables.filter_map(|(table, section)| {
        let rows = section.parts.iter().map(|part| part.rows);
        let rows = rows.fold(0, u64::saturating_add);
        (rows != section.rows).then(|| Fault::Sum {
            manifest: run.manifest_path().to_owned(),
            table: table.to_owned(),
            counted: section.rows,
            rows,
        })
    });
    wrong.collect()
}

fn listed_twice(parts: &[(&str, &Part)]) -> Vec<Fault> {
    let mut seen = HashSet::new();
    let twice = parts.iter().filter(|(_, part)| !seen.insert(part.path()));
    twice
        .map(|(_, part)| Fault::ListedTwice(part.path().to_owned()))
        .collect()
}

fn check(table: &str, part: &Part, checks: Checks) -> Option<Fault> {
    let opened = match checks.rows {
        true => PartFile::open(part, table, &Indexes::default()).map(|_| ()),
        false => size(part),
    };
    if let Err(error) = opened {
        return Some(error.into());
    }
    if !checks.checksums {
        return None;
    }
    match digest(part.path()) {
        Ok(found) if found == part.listed().sha256 => None,
        Ok(_) => Some(Fault::Checksum(part.path().to_owned())),
        Err(error) => Some(error.into()),
    }
}

fn size(part: &Part) -> Result<(), ReadError> {
    let found = match open_regular(part.path()) {
        Ok((_, length)) => length,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ReadError::PartMissing(part.path().to_owned()));
        }
        Err(error) => return Err(ReadError::file("open", part.path())(error)),
    };
    let expected = part.listed().bytes;
    if found == expected {
        return Ok(());
    }
    Err(ReadError::PartSize {
        path: part.path().to_owned(),
        expected,
        found,
    })
}

fn digest(path: &Path) -> Result<String, ReadError> {
    let read = || -> std::io::Result<String> {
        let (mut file, _) = open_regular(path)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hex(&digest.finalize())),
                Ok(read) => digest.update(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    read().map_err(ReadError::file("read", path))
}

/// The Parquet files in the folders of tables that no manifest of the dataset lists.
fn unlisted(dataset: &Dataset) -> Result<Vec<Fault>, ReadError> {
    if !dataset.path().is_dir() {
        return Ok(Vec::new());
    }
    let tables: BTreeSet<&str> = dataset.all_runs().flat_map(Run::tables).collect();
    let mut found = Vec::new();
    for table in tables {
        collect(&dataset.path().join(table), &mut found)?;
    }
    // A run may have started or sealed parts since the dataset was opened. So the manifests are read again, after the files were listed.
    let (now, _) = Dataset::open_readable(dataset.path())?;
    let mut listed = HashSet::new();
    let mut running = false;
    for run in dataset.all_runs().chain(now.runs()) {
        running |= run.manifest().state == RunState::Running;
        let parts = run.tables().flat_map(|table| run.parts(table));
        listed.extend(parts.map(Part::path));
    }
    found.sort();
    found.retain(|path| !listed.contains(path.as_path()));
    let faults = found
        .into_iter()
        .map(|path| Fault::Unlisted { path, running });
    Ok(faults.collect())
}

/// Every Parquet file below a folder. A folder that is not there holds none.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(ReadError::file("list", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(ReadError::file("list", folder))?.path();
        // Links to folders are not followed: they may lead around in a circle.
        let about = fs::symlink_metadata(&path).map_err(ReadError::file("list", &path))?;
        if about.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|suffix| suffix == "parquet") {
            into.push(path);
        }
    }
    Ok(())
}

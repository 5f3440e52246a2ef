//! The names of files and folders in a directory of runs.
//!
//! A night is a date and a vantage point. One run at a time writes into a night. Runs of different nights share a directory.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate};

use crate::dataset::manifest::{self, Manifest};
use crate::dataset::{RunMeta, files};
use crate::model::Time;

/// Holds the folders of the runs, below those of their nights.
pub(in crate::dataset) const RUNS: &str = "runs";
/// In the directory: the manifest of the run that started last. In the folder of a run: its own.
pub(in crate::dataset) const MANIFEST: &str = "manifest.json";
/// Locked while the manifest of the directory is replaced.
pub(in crate::dataset) const MANIFEST_LOCK: &str = ".manifest.lock";
/// In [`RUNS`]. Locked while a run finishes what dead runs of other nights left.
pub(in crate::dataset) const SETTLING_LOCK: &str = ".settling.lock";
/// Locked while a run writes into a night. Versions before the folder `runs` locked the whole directory with a file of this name.
pub(in crate::dataset) const LOCK: &str = ".lock";
/// The lock file, if the file system has no locks.
pub(in crate::dataset) const OWNER: &str = ".lock.owner";
/// Temporary files of a run.
pub(in crate::dataset) const PARTIAL: &str = ".partial";
/// Says that a run is complete. Empty.
pub(in crate::dataset) const SUCCESS: &str = "_SUCCESS";
/// What is sealed, so that an unfinished run can be resumed.
pub(in crate::dataset) const CHECKPOINT: &str = "checkpoint.json";
/// What a compaction of the run does. It is there only as long as that lasts.
pub(in crate::dataset) const COMPACTION: &str = "compact.json";
/// The loaded targets of a run.
pub(in crate::dataset) const TARGETS: &str = "targets.bin";

/// A night: the folders of a date and a vantage point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::dataset) struct Night {
    /// `date=2026-03-01`
    date: String,
    /// `vp=id-fra`
    vantage: String,
}

impl std::fmt::Display for Night {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.date, self.vantage)
    }
}

impl Night {
    /// The night of a run.
    pub fn of(meta: &RunMeta) -> Self {
        Night {
            date: date_folder(night_of(meta)),
            vantage: manifest::vantage_folder(&meta.vantage.id),
        }
    }

    /// The night of a run with a folder of its own. `None` for a run of an earlier version, and for a manifest that names no night.
    pub fn of_manifest(manifest: &Manifest) -> Option<Self> {
        let date = manifest.date.or_else(|| manifest.started_at.map(day_of))?;
        Some(Night {
            date: date_folder(date),
            vantage: manifest::vantage_folder(&manifest.vantage.id),
        })
    }

    /// The night with these names of folders, if they are such names.
    pub fn named(date: &str, vantage: &str) -> Option<Self> {
        let is_night = date.starts_with("date=") && vantage.starts_with("vp=");
        is_night.then(|| Night {
            date: date.to_owned(),
            vantage: vantage.to_owned(),
        })
    }

    /// The night of a file below the folder of a run. `None` for any other file.
    pub fn of_file(root: &Path, file: &Path) -> Option<Self> {
        let mut names = file.strip_prefix(root.join(RUNS)).ok()?.iter();
        let (date, vantage) = (names.next()?.to_str()?, names.next()?.to_str()?);
        names.next().and_then(|_| Night::named(date, vantage))
    }

    /// Its date. `None` if the folder's name is no date.
    pub fn date(&self) -> Option<NaiveDate> {
        self.date.strip_prefix("date=")?.parse().ok()
    }

    /// Whether it is one of the vantage point `id`.
    pub fn is_of(&self, id: &str) -> bool {
        self.vantage == manifest::vantage_folder(id)
    }

    /// `date=…/vp=id-…`, below the folder of a table.
    pub fn partition(&self) -> PathBuf {
        Path::new(&self.date).join(&self.vantage)
    }

    /// The folder of the night's runs.
    pub fn folder(&self, root: &Path) -> PathBuf {
        root.join(RUNS).join(self.partition())
    }
}

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataset) struct RunFolder {
    root: PathBuf,
    night: Night,
    path: PathBuf,
}

impl RunFolder {
    pub fn new(root: &Path, night: Night, run_id: &str) -> Self {
        RunFolder {
            root: root.to_owned(),
            path: night.folder(root).join(manifest::path_safe(run_id)),
            night,
        }
    }

    /// The directory of all runs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn night(&self) -> &Night {
        &self.night
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    pub fn success(&self) -> PathBuf {
        self.path.join(SUCCESS)
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    pub fn targets(&self) -> PathBuf {
        self.path.join(TARGETS)
    }

    pub fn partial(&self) -> PathBuf {
        self.path.join(PARTIAL)
    }

    /// A file of [`partial`](Self::partial).
    pub fn temporary(&self, name: &str) -> PathBuf {
        self.path.join(PARTIAL).join(name)
    }

    /// The temporary file of the part at `relative`, which starts with the table's name.
    pub fn temporary_of(&self, relative: &Path) -> PathBuf {
        let table = relative.iter().next().unwrap_or_default();
        let before = format!("{}-", table.to_string_lossy());
        let name = files::beside(relative, &before, ".tmp");
        self.path
            .join(PARTIAL)
            .join(name.file_name().unwrap_or_default())
    }
}

/// The date of a run's night: the one asked for, or the UTC day of its start.
pub(super) fn night_of(meta: &RunMeta) -> NaiveDate {
    meta.date.unwrap_or_else(|| day_of(meta.started_at))
}

/// The UTC day of a time.
pub(in crate::dataset) fn day_of(at: Time) -> NaiveDate {
    DateTime::from_timestamp_micros(at.as_micros())
        .unwrap_or_default()
        .date_naive()
}

/// `date=2026-03-01`
pub(in crate::dataset) fn date_folder(date: NaiveDate) -> String {
    format!("date={}", date.format("%Y-%m-%d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_names_its_table() {
        let night = Night::named("date=2026-03-01", "vp=id-fra").unwrap();
        let folder = RunFolder::new(Path::new("out"), night, "a/b");
        assert_eq!(
            folder.temporary_of(Path::new("hops/date=2026-03-01/vp=id-fra/part-0.parquet")),
            Path::new("out/runs/date=2026-03-01/vp=id-fra/a%2Fb/.partial/hops-part-0.parquet.tmp")
        );
    }
}

//! The runs of a dataset.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Serialize;

use super::night::night_of;
use crate::dataset::manifest::RunState;
use crate::dataset::read::{Dataset, ReadError, Run};

/// A run, or a manifest that cannot be read.
#[derive(Debug)]
pub enum Entry {
    /// A run.
    Run(Box<Listed>),
    /// The error names the manifest.
    Damaged(ReadError),
}

/// The figures of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The night: a UTC date.
    #[serde(serialize_with = "as_text")]
    pub date: Option<NaiveDate>,
    /// The vantage point.
    pub vantage: String,
    /// The run's id.
    pub run_id: String,
    /// The state in the manifest.
    pub state: String,
    /// Whether a process writes the run now. A run in the state `running` that is not written was killed.
    pub is_written: bool,
    /// The strategy's name.
    pub method: String,
    /// The protocol of the probes.
    pub protocol: String,
    /// The targets. `None` if the manifest does not say it.
    pub targets: Option<u64>,
    /// Rows of `traces`. `None` if the run has no such table.
    pub traces: Option<u64>,
    /// Rows of `hops`.
    pub hops: u64,
    /// Parts of all tables.
    pub parts: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// The number of warnings in the manifest.
    pub warnings: u64,
    /// The manifest.
    pub manifest: PathBuf,
}

fn as_text<S: serde::Serializer>(date: &Option<NaiveDate>, to: S) -> Result<S::Ok, S::Error> {
    date.map(|date| date.to_string()).serialize(to)
}

/// Returns the runs of the dataset at `path` by night, vantage point and start. Manifests that cannot be read come last.
///
/// # Errors
/// [`ReadError`] if there is no dataset, or if a directory cannot be listed.
pub fn list(path: impl AsRef<Path>) -> Result<Vec<Entry>, ReadError> {
    let (dataset, damaged) = Dataset::open_readable(path)?;
    let mut runs: Vec<&Run> = dataset.runs().iter().collect();
    runs.sort_by_key(|run| {
        let manifest = run.manifest();
        (night_of(run), &manifest.vantage.id, manifest.started_at)
    });
    let runs = runs
        .into_iter()
        .map(|run| Ok(Entry::Run(Box::new(Listed::of(run)?))));
    let damaged = damaged.into_iter().map(|error| Ok(Entry::Damaged(error)));
    runs.chain(damaged).collect()
}

impl Listed {
    fn of(run: &Run) -> Result<Self, ReadError> {
        let manifest = run.manifest();
        let rows = |table: &str| manifest.tables.get(table).map(|section| section.rows);
        let sections = || manifest.tables.iter().map(|(_, section)| section);
        let bytes = sections().map(|section| section.bytes);
        let parts = sections().map(|section| section.parts.len() as u64);
        Ok(Listed {
            date: night_of(run),
            vantage: manifest.vantage.id.clone(),
            run_id: run.id().to_owned(),
            state: manifest.state.as_str().to_owned(),
            is_written: manifest.state == RunState::Running && run.is_written()?,
            method: manifest.method.clone(),
            protocol: manifest.protocol.clone(),
            targets: manifest.targets["targets"].as_u64(),
            traces: rows("traces"),
            hops: rows("hops").unwrap_or(0),
            parts: parts.sum(),
            bytes: bytes.fold(0, u64::saturating_add),
            warnings: manifest.warnings.len() as u64,
            manifest: run.manifest_path().to_owned(),
        })
    }
}

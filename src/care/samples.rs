//! Datasets for tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use tempfile::TempDir;

use crate::dataset::read::Dataset;
use crate::dataset::{
    DatasetError, DatasetWriter, Ending, NewRun, Output, PartLimits, RunFigures, RunMeta, Vantage,
    rows,
};
use crate::model::{Protocol, Time, Vary};

/// A directory of runs.
pub(super) struct Sample {
    pub(super) directory: TempDir,
}

impl Sample {
    pub(super) fn new() -> Self {
        Sample {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Three nights of two vantage points, two runs in the first night of `fra`.
    pub(super) fn nights() -> Self {
        let sample = Sample::new();
        for (id, vantage, day) in [
            ("f1", "fra", "2026-03-01"),
            ("f1b", "fra", "2026-03-01"),
            ("a1", "東京/*", "2026-03-01"),
            ("f2", "fra", "2026-03-02"),
            ("a2", "東京/*", "2026-03-02"),
            ("f3", "fra", "2026-03-03"),
            ("a3", "東京/*", "2026-03-03"),
        ] {
            sample.run(id, vantage, day);
        }
        sample
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A whole run of 20 targets at noon of a day.
    pub(super) fn run(&self, id: &str, vantage: &str, day: &str) {
        let end = noon(day) + Duration::from_secs(60);
        let writer = self.begin(id, vantage, day);
        let end = writer.finish(&Ending::Complete, end, &RunFigures::default());
        end.unwrap();
    }

    /// A run that has sealed parts and still writes.
    pub(super) fn begin(&self, id: &str, vantage: &str, day: &str) -> DatasetWriter {
        self.begin_for(id, vantage, day, None)
    }

    /// The same for a night that is not the day of the start.
    pub(super) fn begin_for(
        &self,
        id: &str,
        vantage: &str,
        day: &str,
        night: Option<&str>,
    ) -> DatasetWriter {
        let run = new_run(id, vantage, day, night);
        let output = Output::Directory(self.root().to_owned());
        let figures = RunFigures::default();
        let mut writer = DatasetWriter::create(&output, run, noon(day), &figures).unwrap();
        for (hops, trace) in (0..20).map(rows::trace) {
            for hop in hops {
                writer.hop(hop, noon(day)).unwrap();
            }
            writer.trace(trace, noon(day)).unwrap();
        }
        writer
    }

    /// Begins a run, or says why it is refused.
    pub(super) fn try_begin(
        &self,
        id: &str,
        vantage: &str,
        day: &str,
    ) -> Result<DatasetWriter, DatasetError> {
        let output = Output::Directory(self.root().to_owned());
        let run = new_run(id, vantage, day, None);
        DatasetWriter::create(&output, run, noon(day), &RunFigures::default())
    }

    /// The manifest of a run.
    pub(super) fn manifest(&self, id: &str) -> PathBuf {
        let dataset = Dataset::open(self.root()).unwrap();
        dataset.run(id).unwrap().manifest_path().to_owned()
    }

    /// Every file with its content, and every folder, but locks.
    pub(super) fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut tree = BTreeMap::new();
        collect(self.root(), &mut tree);
        tree
    }
}

/// A run of a vantage point that starts at noon of a day.
fn new_run(id: &str, vantage: &str, day: &str, night: Option<&str>) -> NewRun {
    let meta = RunMeta {
        run_id: id.to_owned(),
        survey_id: "survey".to_owned(),
        shard: None,
        cycle: None,
        vantage: Vantage {
            id: vantage.to_owned(),
            ..Vantage::default()
        },
        seed: 7,
        started_at: noon(day),
        date: night.map(|night| night.parse().unwrap()),
        method: "trace".to_owned(),
        protocol: Protocol::Udp,
        base_src_port: Some(24_000),
        vary: Vary::SourcePort,
        dst_port: Some(33_434),
        attempts: 2,
        gap_limit: Some(5),
        probe_sizes: [None; 2],
        config: serde_json::json!({"rate": 1000}),
    };
    NewRun {
        limits: PartLimits {
            rows: 100,
            bytes: usize::MAX,
            age: Duration::MAX,
        },
        ..NewRun::new(meta, Arc::new(rows::SampleTargets::new()))
    }
}

fn noon(day: &str) -> Time {
    let day: NaiveDate = day.parse().unwrap();
    let noon = day.and_hms_opt(12, 0, 0).unwrap().and_utc();
    Time::from_nanos(noon.timestamp_nanos_opt().unwrap().unsigned_abs())
}

fn collect(folder: &Path, tree: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            collect(&path, tree);
            tree.insert(path, None);
        } else if entry.file_name() != ".lock" {
            tree.insert(path.clone(), fs::read(&path).ok());
        }
    }
}

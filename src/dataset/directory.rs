//! A directory of parts: opens it, seals parts into it, and keeps its manifest up to date.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use chrono::DateTime;

use super::files::{self, Disk, PendingFile};
use super::hops_batch::{HopConstants, hops_batch};
use super::manifest::{self, Part, Progress, TableParts};
use super::parquet::{Footer, ParquetFile};
use super::schema::Table;
use super::sort::{sorted_hops, sorted_traces};
use super::traces_batch::traces_batch;
use super::{DatasetError, Ending, Finished, RunFigures, RunMeta};
use crate::model::{HopRecord, Targets, Time, TraceRecord};

/// Rows encoded at once. Their records and columns fit a core's cache.
pub(super) const BATCH_ROWS: usize = 1024;

const LOCK: &str = ".lock";
const PARTIAL: &str = ".partial";
const MANIFEST: &str = "manifest.json";

/// A dataset directory. This process holds its lock.
pub(super) struct Directory {
    root: PathBuf,
    disk: Disk,
    meta: RunMeta,
    targets: Arc<dyn Targets>,
    constants: HopConstants,
    footer: Footer,
    /// `date=…/vp=…`
    partition: PathBuf,
    hops: TableParts,
    traces: TableParts,
    /// Held as long as the directory is written to.
    _lock: File,
}

impl Directory {
    /// Creates or opens `root`, and removes unfinished files of killed runs. Renames the manifest of the previous run, and writes a manifest
    /// that says `running`.
    pub(super) fn open(
        root: PathBuf,
        meta: RunMeta,
        targets: Arc<dyn Targets>,
        disk: Disk,
        now: Time,
        facts: &RunFigures,
    ) -> Result<Self, DatasetError> {
        files::create_directories(&root)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(LOCK))
            .map_err(DatasetError::file("create", &root.join(LOCK)))?;
        files::lock(&lock, &root)?;
        clear_partial(&root.join(PARTIAL))?;
        keep_earlier_manifest(&root, &meta.run_id)?;
        let directory = Directory {
            partition: partition(&meta),
            constants: HopConstants {
                run_id: meta.run_id.clone(),
                vantage: meta.vantage.id.clone(),
            },
            footer: Footer {
                run_id: meta.run_id.clone(),
                config_sha256: manifest::config_sha256(&meta.config),
            },
            root,
            disk,
            meta,
            targets,
            hops: TableParts::new(Table::Hops),
            traces: TableParts::new(Table::Traces),
            _lock: lock,
        };
        directory.write_manifest(facts, Progress::running(now))?;
        Ok(directory)
    }

    /// Seals the buffers, hops before traces. Each buffer is emptied as soon as its part is whole, so a second call after an error writes only
    /// what is missing.
    pub(super) fn seal(
        &mut self,
        hops: &mut Vec<HopRecord>,
        traces: &mut Vec<TraceRecord>,
    ) -> Result<(), DatasetError> {
        if hops.is_empty() && traces.is_empty() {
            return Ok(());
        }
        if !hops.is_empty() {
            self.seal_hops(hops)?;
            hops.clear();
        }
        if !traces.is_empty() {
            self.seal_traces(traces)?;
            traces.clear();
        }
        Ok(())
    }

    /// Seals the buffers and writes the last manifest. After an error, the manifest says `failed` with the error, if it can still be written.
    pub(super) fn finish(
        mut self,
        mut hops: Vec<HopRecord>,
        mut traces: Vec<TraceRecord>,
        facts: &RunFigures,
        ending: &Ending,
        now: Time,
    ) -> Result<Finished, DatasetError> {
        let sealed = self
            .seal(&mut hops, &mut traces)
            .and_then(|()| self.add_empty_parts())
            .and_then(|()| self.write_manifest(facts, Progress::ended(ending, now)));
        if let Err(error) = sealed {
            let failed = Ending::Failed(error.to_string());
            // If this fails as well, `error` is still the reason. The previous manifest stays.
            let _ = self.write_manifest(facts, Progress::ended(&failed, now));
            return Err(error);
        }
        Ok(Finished {
            manifest: Some(self.root.join(MANIFEST)),
            parts: self.hops.parts.len() + self.traces.parts.len(),
            hops: self.hops.rows(),
            traces: self.traces.rows(),
            bytes: self.hops.bytes() + self.traces.bytes(),
        })
    }

    /// Gives a table without parts an empty one, so that every reader finds its columns.
    fn add_empty_parts(&mut self) -> Result<(), DatasetError> {
        if self.hops.parts.is_empty() {
            self.seal_hops(&[])?;
        }
        if self.traces.parts.is_empty() {
            self.seal_traces(&[])?;
        }
        Ok(())
    }

    /// Replaces `manifest.json`.
    pub(super) fn write_manifest(
        &self,
        facts: &RunFigures,
        progress: Progress,
    ) -> Result<(), DatasetError> {
        let tables = [self.hops.clone(), self.traces.clone()];
        let text = manifest::render(&self.meta, facts, progress, &tables);
        let temporary = self.root.join(PARTIAL).join(MANIFEST);
        files::replace(temporary, self.root.join(MANIFEST), &text, &self.disk)?;
        Ok(())
    }

    fn seal_hops(&mut self, rows: &[HopRecord]) -> Result<(), DatasetError> {
        let sorted = sorted_hops(rows);
        let batches = sorted
            .chunks(BATCH_ROWS)
            .map(|rows| hops_batch(rows, &self.constants));
        let part = self.write_part(&self.hops, rows.len(), batches)?;
        self.hops.parts.push(part);
        Ok(())
    }

    fn seal_traces(&mut self, rows: &[TraceRecord]) -> Result<(), DatasetError> {
        let sorted = sorted_traces(rows);
        let batches = sorted
            .chunks(BATCH_ROWS)
            .map(|rows| traces_batch(rows, &self.meta, self.targets.as_ref()));
        let part = self.write_part(&self.traces, rows.len(), batches)?;
        self.traces.parts.push(part);
        Ok(())
    }

    /// Writes the table's next part.
    fn write_part(
        &self,
        TableParts { table, parts }: &TableParts,
        rows: usize,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<Part, DatasetError> {
        let run = manifest::path_safe(&self.meta.run_id);
        let name = format!("part-{run}-{:05}.parquet", parts.len());
        let relative = Path::new(table.as_str()).join(&self.partition).join(&name);
        let destination = self.root.join(&relative);
        if let Some(parent) = destination.parent() {
            files::create_directories(parent)?;
        }
        let temporary = self
            .root
            .join(PARTIAL)
            .join(format!("{}-{name}.tmp", table.as_str()));
        let encode =
            |error: &(dyn std::error::Error + 'static)| DatasetError::encode(&destination, error);
        let file = PendingFile::create(temporary, destination.clone(), &self.disk)?;
        let mut writer = ParquetFile::new(file, *table, &self.footer).map_err(|e| encode(&e))?;
        for batch in batches {
            let batch = batch.map_err(|e| encode(&e))?;
            writer.write(&batch).map_err(|e| encode(&e))?;
        }
        let sealed = writer.finish().map_err(|e| encode(&e))?.seal()?;
        Ok(Part {
            path: manifest::path_text(&relative),
            rows: rows as u64,
            bytes: sealed.bytes,
            sha256: sealed.sha256,
        })
    }
}

/// The partition of a run: the UTC day of its start, and its vantage point.
fn partition(meta: &RunMeta) -> PathBuf {
    let day = DateTime::from_timestamp_micros(meta.started_at.as_micros()).unwrap_or_default();
    let vantage = manifest::path_safe(&meta.vantage.id);
    PathBuf::from(format!("date={}", day.format("%Y-%m-%d"))).join(format!("vp={vantage}"))
}

/// Removes unfinished files. We hold the lock, so the processes that wrote them have ended.
fn clear_partial(partial: &Path) -> Result<(), DatasetError> {
    files::create_directories(partial)?;
    let entries = fs::read_dir(partial).map_err(DatasetError::file("read", partial))?;
    for entry in entries {
        let path = entry.map_err(DatasetError::file("read", partial))?.path();
        fs::remove_file(&path).map_err(DatasetError::file("remove", &path))?;
    }
    Ok(())
}

/// Renames the manifest of the previous run to `manifest-RUN.json`. Its content stays: if it still says `running`, that run was killed.
fn keep_earlier_manifest(root: &Path, run_id: &str) -> Result<(), DatasetError> {
    let named = |run: &str| root.join(format!("manifest-{}.json", manifest::path_safe(run)));
    let exists = || DatasetError::RunExists {
        directory: root.to_owned(),
        run_id: run_id.to_owned(),
    };
    if named(run_id).exists() {
        return Err(exists());
    }
    let current = root.join(MANIFEST);
    let text = match fs::read(&current) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DatasetError::file("read", &current)(error)),
    };
    let Some(earlier) = manifest::run_id_of(&text) else {
        return Err(DatasetError::ForeignManifest {
            directory: root.to_owned(),
            manifest: current,
        });
    };
    if earlier == run_id {
        return Err(exists());
    }
    let kept = named(&earlier);
    fs::rename(&current, &kept).map_err(DatasetError::file("rename to", &kept))?;
    files::sync_parent(&kept)
}

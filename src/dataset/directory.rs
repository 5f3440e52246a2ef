//! A directory of parts: opens it, seals parts into it, and keeps its manifest up to date.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::earlier;
use super::files::{self, Disk, OwnerFile, PendingFile, Sealed};
use super::manifest::{self, Part, Progress, TableParts};
use super::parquet::{Footer, ParquetFile};
use super::table::{AnyTable, Order, Rows, Run};
use super::writer::{Group, NewRun, SealedHook};
use super::{Counted, DatasetError, Ending, Finished, Remains, RunFigures, RunMeta};
use crate::model::Time;

pub(super) const LOCK: &str = ".lock";
/// The lock file, if the file system has no locks.
pub(super) const OWNER: &str = ".lock.owner";
pub(super) const PARTIAL: &str = ".partial";
pub(super) const MANIFEST: &str = "manifest.json";

/// An open dataset directory. This process holds its lock.
pub(super) struct Directory {
    root: PathBuf,
    disk: Disk,
    run: Run,
    footer: Footer,
    /// `date=…/vp=id-…`
    partition: PathBuf,
    tables: Vec<AnyTable>,
    /// By table, in the order of `tables`.
    parts: Vec<TableParts>,
    /// Counts of the rows in the parts.
    counted: Counted,
    /// The number of the current or next sealing.
    sealing: u64,
    on_sealed: Option<SealedHook>,
    /// The parts for which the hook was not called yet, as (table, index in its list).
    unannounced: Vec<(usize, usize)>,
    /// What the user should know of earlier runs here.
    told: Vec<String>,
    /// Keep the directory locked.
    _lock: (File, Option<OwnerFile>),
}

/// A sealed part of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPart {
    /// The name of the table.
    pub table: &'static str,
    /// The number of the sealing. Parts of one sealing have the same number in all tables.
    pub sealing: u64,
    /// The path of the file.
    pub path: PathBuf,
    /// The number of rows.
    pub rows: u64,
    /// The size of the file.
    pub bytes: u64,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
}

impl Directory {
    /// Creates or opens `root`, and removes unfinished files of killed runs. Renames the manifest of the previous run, marks runs that were
    /// killed, and writes a manifest that says `running`.
    pub(super) fn open(
        root: PathBuf,
        new: NewRun,
        disk: Disk,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        files::create_directories(&root, &disk)?;
        let path = root.join(LOCK);
        let lock = disk
            .open_or_create(&path, &path)
            .map_err(DatasetError::file("create", &path))?;
        let owner = files::lock(&lock, root.join(OWNER), &root, &disk)?;
        // First, because a directory that is refused is not touched.
        let previous = earlier::previous(&root, &new.meta.run_id)?;
        clear_partial(&root.join(PARTIAL), &disk)?;
        let dead = earlier::keep(&root, previous, &disk)?;
        let directory = Directory {
            partition: partition(&new.meta),
            footer: Footer {
                run_id: new.meta.run_id.clone(),
                config_sha256: manifest::config_sha256(&new.meta.config),
            },
            root,
            disk,
            parts: new.tables.iter().map(TableParts::new).collect(),
            tables: new.tables,
            run: Run {
                meta: new.meta,
                targets: new.targets,
            },
            counted: Counted::default(),
            sealing: 0,
            on_sealed: new.on_sealed,
            unannounced: Vec::new(),
            told: dead.iter().map(ToString::to_string).collect(),
            _lock: (lock, owner),
        };
        directory.write_manifest(figures, Progress::running(now))?;
        Ok(directory)
    }

    /// What the user should know: about the file system, and about earlier runs here.
    pub(super) fn notices(&self) -> Vec<String> {
        [self.disk.notices(), self.told.clone()].concat()
    }

    /// Seals a group and writes a manifest that lists its parts. Each buffer is emptied as soon as its part is whole. After an error, a second
    /// call with the same group writes the missing parts only.
    pub(super) fn seal(&mut self, group: &mut Group) -> Result<(), DatasetError> {
        self.seal_parts(group)
            .and_then(|()| self.write_manifest(&group.figures, Progress::running(group.now)))
            .map_err(|error| self.keeping(error))?;
        self.announce_parts()
    }

    /// Adds to an error that sealed parts stay, if there are any.
    fn keeping(&self, error: DatasetError) -> DatasetError {
        match self.parts.iter().any(|table| !table.parts.is_empty()) {
            true => error.leaving(Remains::Parts),
            false => error,
        }
    }

    /// Seals the last groups and writes the last manifest. After an error, the manifest says `failed` with the error, if it can still be
    /// written.
    pub(super) fn finish(
        mut self,
        mut groups: Vec<Group>,
        ending: &Ending,
    ) -> Result<Finished, DatasetError> {
        let Some(last) = groups.last() else {
            return Err(DatasetError::WriterGone(self.root));
        };
        let (figures, now) = (last.figures.clone(), last.now);
        let sealed = groups
            .iter_mut()
            .try_for_each(|group| self.seal_parts(group))
            .and_then(|()| self.add_empty_parts())
            .and_then(|()| self.write_manifest(&figures, Progress::ended(ending, now)))
            .map_err(|error| self.keeping(error));
        if let Err(error) = sealed {
            let failed = Ending::Failed(error.to_string());
            // If this fails as well, `error` is still the reason. The previous manifest stays.
            if self
                .write_manifest(&figures, Progress::ended(&failed, now))
                .is_ok()
            {
                let _ = self.announce_parts();
            }
            return Err(error);
        }
        self.announce_parts()?;
        let rows_of = |name| {
            let parts = self.parts.iter().find(|parts| parts.name == name);
            parts.map_or(0, TableParts::rows)
        };
        Ok(Finished {
            manifest: Some(self.root.join(MANIFEST)),
            parts: self.parts.iter().map(|table| table.parts.len()).sum(),
            hops: rows_of("hops"),
            traces: rows_of("traces"),
            bytes: self.parts.iter().map(TableParts::bytes).sum(),
            counted: self.counted,
        })
    }

    /// Writes the parts of a group, table by table. The number of the sealing rises when all are written.
    fn seal_parts(&mut self, group: &mut Group) -> Result<(), DatasetError> {
        let mut any = false;
        for (table, rows) in group.rows.iter_mut().enumerate() {
            any |= rows.len() > 0;
            if rows.len() > 0 {
                self.add_part(table, rows.as_ref())?;
                self.counted.add(rows.counts());
                drop(rows.take());
            }
        }
        self.sealing += u64::from(any);
        Ok(())
    }

    /// Writes an empty part for each table without parts, so that readers find the columns of all tables.
    fn add_empty_parts(&mut self) -> Result<(), DatasetError> {
        for table in 0..self.tables.len() {
            if self.parts[table].parts.is_empty() {
                let empty = self.tables[table].buffer();
                self.add_part(table, empty.as_ref())?;
            }
        }
        Ok(())
    }

    /// Replaces `manifest.json`.
    fn write_manifest(&self, figures: &RunFigures, progress: Progress) -> Result<(), DatasetError> {
        let meta = &self.run.meta;
        let figures = &figures.with_warnings(&self.disk.warnings());
        let text = manifest::render(meta, figures, &self.counted, progress, &self.parts);
        let temporary = self.root.join(PARTIAL).join(MANIFEST);
        files::replace(temporary, self.root.join(MANIFEST), &text, &self.disk)?;
        Ok(())
    }

    /// Calls the hook for every part that the manifest lists since the last call. A hook that panics is not called again.
    fn announce_parts(&mut self) -> Result<(), DatasetError> {
        let unannounced = std::mem::take(&mut self.unannounced);
        let Some(mut hook) = self.on_sealed.take() else {
            return Ok(());
        };
        for (table, at) in unannounced {
            let TableParts { name, parts, .. } = &self.parts[table];
            let part = &parts[at];
            let sealed = SealedPart {
                table: name,
                sealing: part.sealing.unwrap_or_default(),
                path: self.root.join(&part.path),
                rows: part.rows,
                bytes: part.bytes,
                sha256: part.sha256.clone(),
            };
            // The hook is code of a caller. Its faults must not cost rows.
            let called = catch_unwind(AssertUnwindSafe(|| hook(&sealed)));
            if called.is_err() {
                return Err(DatasetError::HookPanicked(sealed.path));
            }
        }
        self.on_sealed = Some(hook);
        Ok(())
    }

    /// Writes the part of `table` for the current sealing.
    fn add_part(&mut self, table: usize, rows: &dyn Rows) -> Result<(), DatasetError> {
        let schema = self.tables[table].schema();
        let run = manifest::path_safe(&self.run.meta.run_id);
        let name = format!("part-{run}-{:05}.parquet", self.sealing);
        let relative = Path::new(schema.name).join(&self.partition).join(&name);
        let destination = self.root.join(&relative);
        let sealed = self
            .write_part(table, rows, &destination, &name)
            .inspect_err(|_| {
                // The part may have its final name already, for example if its directory could not be synced. No manifest lists it, and its rows
                // are written again.
                let _ = self.disk.remove(&destination);
            })?;
        self.unannounced
            .push((table, self.parts[table].parts.len()));
        self.parts[table].parts.push(Part {
            path: manifest::path_text(&relative),
            sealing: Some(self.sealing),
            rows: rows.len() as u64,
            bytes: sealed.bytes,
            sha256: sealed.sha256,
        });
        Ok(())
    }

    /// Writes rows to a new file under a temporary name, and gives it its final name.
    fn write_part(
        &self,
        table: usize,
        rows: &dyn Rows,
        destination: &Path,
        name: &str,
    ) -> Result<Sealed, DatasetError> {
        let schema = self.tables[table].schema();
        if let Some(parent) = destination.parent() {
            files::create_directories(parent, &self.disk)?;
        }
        let temporary = self
            .root
            .join(PARTIAL)
            .join(format!("{}-{name}.tmp", schema.name));
        let encode =
            |error: &(dyn std::error::Error + 'static)| DatasetError::encode(destination, error);
        let file = PendingFile::create(temporary, destination.to_owned(), &self.disk)?;
        let mut writer = ParquetFile::new(file, schema, &self.footer).map_err(|e| encode(&e))?;
        for batch in rows.batches(&self.run, Order::Sorted) {
            let batch = batch.map_err(|e| encode(&e))?;
            writer.write(&batch).map_err(|e| encode(&e))?;
        }
        writer.finish().map_err(|e| encode(&e))?.seal()
    }
}

/// Returns the partition of a run: the UTC day of its start, then its vantage point.
fn partition(meta: &RunMeta) -> PathBuf {
    PathBuf::from(day(meta.started_at)).join(manifest::vantage_folder(&meta.vantage.id))
}

/// Returns the part of the partition that is the UTC day.
pub(super) fn day(started_at: Time) -> String {
    let day = DateTime::from_timestamp_micros(started_at.as_micros()).unwrap_or_default();
    format!("date={}", day.format("%Y-%m-%d"))
}

/// Removes unfinished files of earlier runs. This process holds the lock, so the processes that wrote them have ended. Everything else stays.
fn clear_partial(partial: &Path, disk: &Disk) -> Result<(), DatasetError> {
    files::create_directories(partial, disk)?;
    let entries = fs::read_dir(partial).map_err(DatasetError::file("read", partial))?;
    for entry in entries {
        let entry = entry.map_err(DatasetError::file("read", partial))?;
        if is_unfinished(&entry.file_name()) {
            let path = entry.path();
            disk.remove(&path)
                .map_err(DatasetError::file("remove", &path))?;
        }
    }
    Ok(())
}

/// Whether a name in `.partial/` is one that [`Directory`] gives: `manifest.json` or `TABLE-part-RUN-SEALING.parquet.tmp`.
fn is_unfinished(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let part = name.strip_suffix(".parquet.tmp");
    let sealing = part.and_then(|part| {
        let (named, sealing) = part.rsplit_once('-')?;
        named.contains("-part-").then_some(sealing)
    });
    name == MANIFEST
        || sealing.is_some_and(|number| {
            number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

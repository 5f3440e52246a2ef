//! A directory of runs: opens it for a run, seals parts into it, and keeps the manifest of the run up to date.
//!
//! | file | contents |
//! |---|---|
//! | `layout` | the names of files and folders |
//! | `lock` | one run at a time in a night |
//! | `sealing` | from rows to parts under their final names |
//! | `checkpoint` | what a later process needs if this one dies |
//! | `choice` | which run is to go on |
//! | `session` | the processes that wrote a run |
//! | `newest` | the manifest of the directory |
//! | `remove` | removes files of runs |
//! | `settle` | earlier runs, when the next run starts |
//! | `earlier` | the same, for runs of versions before the folder `runs` |
//! | `night` | what a run does if its night has data already |
//! | `unfinished` | a run that is to be resumed |
//! | `unclosed` | a finished run whose process died before it closed it |

mod checkpoint;
mod choice;
mod earlier;
mod layout;
mod lock;
mod newest;
mod night;
mod remove;
mod sealing;
mod session;
mod settle;
mod unclosed;
mod unfinished;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use self::checkpoint::{CHECKPOINT_VERSION, Checkpoint, Sealing};
use self::sealing::{PartWriter, SealingUnderWay};
use super::files::{self, Disk};
use super::manifest::{self, Part, Progress, TableParts};
use super::parquet::Footer;
use super::read::Run as ReadRun;
use super::table::{AnyTable, Run};
use super::writer::{Group, NewRun, SealedHook};
use super::{Counted, DatasetError, Ending, Finished, Remains, RunFigures, Totals};
use crate::model::Time;

pub use choice::Chosen;
pub(super) use layout::{
    COMPACTION, LOCK, MANIFEST, MANIFEST_LOCK, Night, OWNER, PARTIAL, RUNS, RunFolder, SUCCESS,
};
pub(super) use lock::NightLock;
pub(super) use newest::publish;
pub(super) use night::{folders, nights, remove_left, replaced_ids};
pub(super) use remove::remove_if_there;
use remove::remove_parts;
use sealing::store_targets;
pub(super) use session::Sessions;
pub(super) use settle::settle_run;
pub use unclosed::close_finished;
pub use unfinished::{Resumable, Unfinished};

/// A run that is written into a directory. This process holds the lock of its night.
pub(super) struct Directory {
    writer: PartWriter,
    tables: Vec<AnyTable>,
    /// By table, in the order of `tables`.
    parts: Vec<TableParts>,
    /// Counts of the rows in the parts.
    counted: Counted,
    /// The same without the rows that a resumed run drops. `None` if there are no such rows.
    kept: Option<Totals>,
    /// The number of the current or next sealing.
    sealing: u64,
    under_way: Option<SealingUnderWay>,
    /// Sealings that the manifest on disk does not list yet.
    not_in_manifest: Vec<Sealing>,
    sessions: Sessions,
    /// Runs whose files are removed when this one is complete.
    replaced: Vec<ReadRun>,
    on_sealed: Option<SealedHook>,
    /// The parts for which the hook was not called yet, as (table, index in its list).
    unannounced: Vec<(usize, usize)>,
    /// What the user should know of earlier runs here.
    told: Vec<String>,
    _lock: NightLock,
}

/// Where a run stands when a process begins to write it: see the members of [`Directory`].
struct Begun {
    parts: Vec<TableParts>,
    counted: Counted,
    sealing: u64,
    sessions: Sessions,
    replaced: Vec<ReadRun>,
    told: Vec<String>,
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
    /// Creates or opens `root` for a new run. Finishes what killed runs left, and writes a manifest that says `running`.
    pub(super) fn open(
        root: &Path,
        mut new: NewRun,
        disk: Disk,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Self, DatasetError> {
        files::create_directories(root, &disk)?;
        // A directory that is refused is not touched.
        settle::refuse(root, &new.meta.run_id)?;
        let night = Night::of(&new.meta);
        let lock = NightLock::take(root, &night, &disk)?;
        let mut told = settle::settle_all(root, &night, &disk)?;
        let (replaced, of_night) = night::enter(root, &night, new.if_exists, &disk)?;
        told.extend(of_night);
        let folder = RunFolder::new(root, night, &new.meta.run_id);
        files::create_directories(&folder.partial(), &disk)?;
        if let Some(store) = new.stored_targets.take() {
            store_targets(&folder, store, &disk)?;
        }
        let begun = Begun {
            parts: new.tables.iter().map(TableParts::new).collect(),
            counted: Counted::default(),
            sealing: 0,
            sessions: Sessions::first(now),
            replaced,
            told,
        };
        let mut directory = Directory::over(folder, new, begun, (lock, disk));
        directory.write_manifest(figures, Progress::running(now))?;
        Ok(directory)
    }

    /// The run in its folder, where it stands. No manifest is written yet.
    fn over(folder: RunFolder, new: NewRun, begun: Begun, (lock, disk): (NightLock, Disk)) -> Self {
        Directory {
            writer: PartWriter {
                footer: Footer {
                    run_id: new.meta.run_id.clone(),
                    config_sha256: manifest::config_sha256(&new.meta.config),
                },
                folder,
                disk,
                run: Run {
                    meta: new.meta,
                    targets: new.targets,
                },
            },
            tables: new.tables,
            parts: begun.parts,
            counted: begun.counted,
            kept: None,
            sealing: begun.sealing,
            under_way: None,
            not_in_manifest: Vec::new(),
            sessions: begun.sessions,
            replaced: begun.replaced,
            on_sealed: new.on_sealed,
            unannounced: Vec::new(),
            told: begun.told,
            _lock: lock,
        }
    }

    /// What the user should know: about the file system, and about earlier runs here.
    pub(super) fn notices(&self) -> Vec<String> {
        [self.writer.disk.notices(), self.told.clone()].concat()
    }

    /// Seals a group and writes a manifest that lists its parts. Each buffer is emptied as soon as its part is whole. After an error, a second
    /// call with the same group goes on where the first one failed.
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
            return Err(DatasetError::WriterGone(self.root().to_owned()));
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
            if let Some(under_way) = &self.under_way {
                under_way.give_up(&self.writer.folder, &self.writer.disk);
            }
            // If this fails as well, `error` is still the reason. The previous manifest stays.
            if self
                .write_manifest(&figures, Progress::ended(&failed, now))
                .is_ok()
            {
                let _ = self.announce_parts();
            }
            return Err(error);
        }
        // The manifest is durable. If the rest fails, it stays, and the next run in the directory does the rest.
        let closed = self.close(ending).map_err(|error| self.keeping(error));
        self.announce_parts()?;
        closed?;
        let rows_of = |name| {
            let parts = self.parts.iter().find(|parts| parts.name == name);
            parts.map_or(0, TableParts::rows)
        };
        Ok(Finished {
            manifest: Some(self.writer.folder.manifest()),
            parts: self.parts.iter().map(|table| table.parts.len()).sum(),
            hops: rows_of("hops"),
            traces: rows_of("traces"),
            bytes: self.parts.iter().map(TableParts::bytes).sum(),
            counted: self.counted,
        })
    }

    fn root(&self) -> &Path {
        self.writer.folder.root()
    }

    /// Says that a complete run is complete, and removes what only an unfinished run needs.
    fn close(&mut self, ending: &Ending) -> Result<(), DatasetError> {
        let (folder, disk) = (&self.writer.folder, &self.writer.disk);
        if matches!(ending, Ending::Complete | Ending::Incomplete(_)) {
            remove_if_there(&folder.checkpoint(), disk)?;
        }
        if *ending == Ending::Complete {
            night::remove_replaced(folder.root(), &self.replaced, disk)?;
            let temporary = folder.temporary(SUCCESS);
            files::replace(temporary, folder.success(), b"", disk)?;
        }
        // Empty by now. If it stays, nobody minds.
        let _ = disk.remove_directory(&folder.partial());
        Ok(())
    }

    /// Writes the parts of a group, enters them into the checkpoint, and gives them their final names.
    fn seal_parts(&mut self, group: &mut Group) -> Result<(), DatasetError> {
        let mut under_way = self.under_way.take().unwrap_or_default();
        let interrupted = group.interrupted;
        let written = group
            .rows
            .iter_mut()
            .enumerate()
            .try_for_each(|(at, rows)| {
                if rows.len() == 0 || under_way.has(at) {
                    return Ok(());
                }
                let table = (at, &self.tables[at]);
                let number = (self.sealing, interrupted);
                self.writer
                    .write(table, rows.as_ref(), number, &mut under_way)?;
                drop(rows.take());
                Ok(())
            });
        let sealed = written.and_then(|()| self.settle(&mut under_way, interrupted));
        match sealed {
            Ok(()) => {
                self.take_in(under_way);
                Ok(())
            }
            Err(error) => {
                self.under_way = Some(under_way);
                Err(error)
            }
        }
    }

    /// Steps 2 and 3 of a sealing.
    fn settle(
        &mut self,
        under_way: &mut SealingUnderWay,
        interrupted: bool,
    ) -> Result<(), DatasetError> {
        if under_way.is_empty() {
            return Ok(());
        }
        if interrupted && self.kept.is_none() {
            self.kept = Some(Totals::from(&self.counted));
        }
        let (folder, disk) = (&self.writer.folder, &self.writer.disk);
        let write = || {
            let counted = self.counted.totals_with(&under_way.counted);
            let listed = under_way.listed();
            let checkpoint = Checkpoint {
                checkpoint_version: CHECKPOINT_VERSION,
                run_id: self.writer.run.meta.run_id.clone(),
                sealings: self
                    .not_in_manifest
                    .iter()
                    .cloned()
                    .chain([listed])
                    .collect(),
                dropped: Vec::new(),
                kept: self.kept.clone().unwrap_or_else(|| counted.clone()),
                counted,
            };
            checkpoint.write(folder, disk)
        };
        if !under_way.is_in_checkpoint() {
            sealing::sync_temporary_names(folder, disk)?;
            write()?;
            under_way.set_in_checkpoint();
        }
        under_way.place(folder, disk)
    }

    /// Takes in a finished sealing. The next manifest lists its parts.
    fn take_in(&mut self, under_way: SealingUnderWay) {
        if under_way.is_empty() {
            return;
        }
        self.not_in_manifest.push(under_way.listed());
        self.counted.merge(&under_way.counted);
        for (table, part) in under_way.into_parts() {
            self.unannounced
                .push((table, self.parts[table].parts.len()));
            self.parts[table].parts.push(part);
        }
        self.sealing += 1;
    }

    /// Writes an empty part for each table without parts, so that readers find the columns of all tables.
    fn add_empty_parts(&mut self) -> Result<(), DatasetError> {
        let mut under_way = self.under_way.take().unwrap_or_default();
        for at in 0..self.tables.len() {
            if self.parts[at].parts.is_empty() && !under_way.has(at) {
                let empty = self.tables[at].buffer();
                let number = (self.sealing, false);
                self.writer.write(
                    (at, &self.tables[at]),
                    empty.as_ref(),
                    number,
                    &mut under_way,
                )?;
            }
        }
        let sealed = self.settle(&mut under_way, false);
        if sealed.is_ok() {
            self.take_in(under_way);
        }
        sealed
    }

    /// Replaces the manifest of the run, and that of the directory.
    fn write_manifest(
        &mut self,
        figures: &RunFigures,
        progress: Progress,
    ) -> Result<(), DatasetError> {
        let meta = &self.writer.run.meta;
        let (folder, disk) = (&self.writer.folder, &self.writer.disk);
        let figures = &figures.with_warnings(&disk.warnings());
        let facts = manifest::Facts {
            meta,
            figures,
            counted: &Totals::from(&self.counted),
            progress: &progress,
            tables: &self.parts,
            sessions: &self.sessions,
            night: Some(layout::night_of(meta)),
            replaces: night::ids_of(&self.replaced),
        };
        let text = manifest::render(&facts);
        let temporary = folder.temporary(MANIFEST);
        files::replace(temporary, folder.manifest(), &text, disk)?;
        self.not_in_manifest.clear();
        newest::publish(folder, &text, (&meta.run_id, meta.started_at), disk)
    }

    /// Calls the hook for every part that the manifest lists since the last call. A hook that panics is not called again.
    fn announce_parts(&mut self) -> Result<(), DatasetError> {
        let unannounced = std::mem::take(&mut self.unannounced);
        let Some(mut hook) = self.on_sealed.take() else {
            return Ok(());
        };
        for (table, at) in unannounced {
            let TableParts { name, parts, .. } = &self.parts[table];
            let sealed = self.sealed_part(name, &parts[at]);
            // The hook is code of a caller. Its faults must not cost rows.
            let called = catch_unwind(AssertUnwindSafe(|| hook(&sealed)));
            if called.is_err() {
                return Err(DatasetError::HookPanicked(sealed.path));
            }
        }
        self.on_sealed = Some(hook);
        Ok(())
    }

    fn sealed_part(&self, table: &'static str, part: &Part) -> SealedPart {
        SealedPart {
            table,
            sealing: part.sealing.unwrap_or_default(),
            path: self.root().join(&part.path),
            rows: part.rows,
            bytes: part.bytes,
            sha256: part.sha256.clone(),
        }
    }
}

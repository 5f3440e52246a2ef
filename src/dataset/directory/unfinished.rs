//! A run that is to be resumed.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use super::checkpoint::{CHECKPOINT_VERSION, Checkpoint};
use super::choice::{Choice, Chosen, choose, is_unfinished, refusal};
use super::layout::{Night, RunFolder};
use super::lock::{NightLock, SettlingLock};
use super::session::Sessions;
use super::{Begun, Directory, remove_parts, settle};
use crate::dataset::addresses::AddressSet;
use crate::dataset::files::{self, Disk};
use crate::dataset::manifest::{self, MANIFEST_VERSION, Manifest, Part, Progress, TableParts};
use crate::dataset::read::{Dataset, ReadError, Rows, Run as ReadRun};
use crate::dataset::writer::NewRun;
use crate::dataset::{Counted, DatasetError, RunFigures};
use crate::model::{ProbeId, Status, Time};

/// A run that can be resumed, as its manifest says. It is not locked yet, and nothing was changed.
#[derive(Clone, Debug)]
pub struct Resumable {
    folder: RunFolder,
    manifest: Manifest,
}

/// A run that is to be resumed. This process holds the lock of its night.
#[derive(Debug)]
pub struct Unfinished {
    folder: RunFolder,
    disk: Disk,
    manifest: Manifest,
    checkpoint: Checkpoint,
    told: Vec<String>,
    lock: NightLock,
}

impl Resumable {
    /// Finds the run that is meant. Reads manifests, and changes nothing.
    ///
    /// # Errors
    /// [`DatasetError::NotResumable`] says why no run can be resumed. [`DatasetError::InUse`] if a process writes into the night.
    pub fn find(root: &Path, chosen: &Chosen) -> Result<Self, DatasetError> {
        let refuse = |why: String| refusal(root, why);
        let run = match choose(root, chosen)? {
            Choice::Unfinished(run) => run,
            Choice::Finished { why, .. } => return Err(refuse(why)),
        };
        let id = run.id();
        let Some(night) = Night::of_manifest(run.manifest()) else {
            return Err(refuse(format!("the manifest of run {id} names no night")));
        };
        let folder = RunFolder::new(root, night, id);
        if run.manifest_path() != folder.manifest() {
            return Err(refuse(format!(
                "run {id} was written by a version that could not resume runs: start a new run"
            )));
        }
        let earlier = |error| DatasetError::Earlier(Box::new(error));
        if run.is_written().map_err(earlier)? {
            // Perhaps only by a process that finishes what dead runs left.
            let settling = SettlingLock::wait(root);
            if settling.is_none() || run.is_written().map_err(earlier)? {
                return Err(DatasetError::InUse(folder.night().folder(root)));
            }
        }
        let manifest = run.manifest().clone();
        check_version(&folder, &manifest)?;
        if !folder.targets().exists() {
            return Err(refuse(format!(
                "the targets of run {id} are missing ({})",
                folder.targets().display()
            )));
        }
        check_checkpoint(&folder, &manifest)?;
        Ok(Resumable { folder, manifest })
    }

    /// The run's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Opens the run's stored targets.
    ///
    /// # Errors
    /// [`DatasetError::File`].
    pub fn open_targets(&self) -> Result<File, DatasetError> {
        let path = self.folder.targets();
        let opened = files::open_regular(&path).map_err(DatasetError::file("open", &path));
        opened.map(|(file, _)| file)
    }

    /// The file of the run's stored targets.
    pub fn targets_path(&self) -> PathBuf {
        self.folder.targets()
    }

    /// The number of the next session.
    pub fn session(&self) -> u32 {
        next_session(&self.manifest).number()
    }

    /// The number of the first probe of the next session.
    pub fn first_probe(&self) -> ProbeId {
        next_session(&self.manifest).first_probe()
    }

    /// Locks the night of the run, and finishes what its last process began to write.
    ///
    /// # Errors
    /// As [`find`](Resumable::find), and errors of the file system.
    pub fn lock(self) -> Result<Unfinished, DatasetError> {
        self.lock_on(Disk::default())
    }

    pub(in crate::dataset) fn lock_on(self, disk: Disk) -> Result<Unfinished, DatasetError> {
        let folder = self.folder;
        let refuse = |why: String| refusal(folder.root(), why);
        let lock = NightLock::take(folder.root(), folder.night(), &disk)?;
        let told = settle::settle(&folder, &disk)?;
        let path = folder.manifest();
        let text = files::read_regular(&path).map_err(DatasetError::file("read", &path))?;
        let manifest = Manifest::parse(&text)
            .map_err(|error| refuse(format!("{} cannot be read: {error}", path.display())))?;
        let id = &manifest.run_id;
        // Another process may have resumed it in the meantime.
        if !is_unfinished(&manifest.state)
            || manifest.sessions.len() != self.manifest.sessions.len()
        {
            return Err(refuse(format!(
                "another process has resumed run {id} in the meantime; it is {} now",
                manifest.state.as_str()
            )));
        }
        check_checkpoint(&folder, &manifest)?;
        let checkpoint = Checkpoint::read(&folder.checkpoint())?;
        Ok(Unfinished {
            checkpoint: checkpoint.unwrap_or_default(),
            told: told.iter().map(ToString::to_string).collect(),
            folder,
            disk,
            manifest,
            lock,
        })
    }
}

fn next_session(manifest: &Manifest) -> Sessions {
    Sessions::after(manifest.sessions.clone(), Time::default())
}

/// Refuses a run that has parts and no checkpoint.
fn check_checkpoint(folder: &RunFolder, manifest: &Manifest) -> Result<(), DatasetError> {
    if folder.checkpoint().exists() || manifest.parts().next().is_none() {
        return Ok(());
    }
    let id = &manifest.run_id;
    // The parts of a run have the numbers of its sealings from 0 on. Merged parts have numbers above those of the parts before.
    let first = manifest.parts().filter_map(|part| part.sealing).min();
    let why = match first {
        Some(1..) => format!(
            "`datasets compact --unfinished` has merged the parts of run {id}, so it cannot go on, and its rows stay as they are: start a new run, and give it --if-exists append or replace for the same night"
        ),
        _ => format!(
            "the checkpoint of run {id} is missing ({}): restore it from a copy, or start a new run",
            folder.checkpoint().display()
        ),
    };
    Err(refusal(folder.root(), why))
}

/// Refuses a manifest of another version.
fn check_version(folder: &RunFolder, manifest: &Manifest) -> Result<(), DatasetError> {
    if manifest.manifest_version == MANIFEST_VERSION {
        return Ok(());
    }
    let why = format!(
        "the manifest_version of run {} is {}, and this program writes version {MANIFEST_VERSION}: resume it with pathsurvey {}",
        manifest.run_id, manifest.manifest_version, manifest.tool.version
    );
    Err(refusal(folder.root(), why))
}

impl Unfinished {
    /// The directory.
    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    /// The run's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The rows of the run that stay: those of parts without interrupted traces. Reads no rows yet.
    ///
    /// # Errors
    /// [`ReadError`] if the manifest names a part outside of the directory.
    pub fn kept_rows(&self) -> Result<Dataset, ReadError> {
        let mut kept = self.manifest.clone();
        kept.retain_parts(|part| !part.interrupted);
        Dataset::of_manifest(self.folder.root(), kept, self.folder.manifest())
    }

    /// Begins the next session: drops the rows of interrupted targets, and writes a manifest that says `running`.
    pub(in crate::dataset) fn begin(
        self,
        new: NewRun,
        now: Time,
        figures: &RunFigures,
    ) -> Result<Directory, DatasetError> {
        self.check_tables(&new)?;
        let responders = self
            .kept_rows()
            .and_then(|rows| responders(&rows))
            .map_err(|error| DatasetError::Earlier(Box::new(error)))?;
        let kept = self.checkpoint.kept.clone();
        let dropped: Vec<Part> = { self.manifest.parts() }
            .filter(|part| part.interrupted)
            .cloned()
            .collect();
        let mut sessions = Sessions::after(self.manifest.sessions.clone(), now);
        sessions.dropped_rows = dropped_rows(&self.manifest);
        let checkpoint = Checkpoint {
            checkpoint_version: CHECKPOINT_VERSION,
            run_id: self.manifest.run_id.clone(),
            sealings: Vec::new(),
            dropped: dropped.iter().map(|part| part.path.clone()).collect(),
            counted: kept.clone(),
            kept: kept.clone(),
        };
        let sealings = self.manifest.parts().filter_map(|part| part.sealing);
        let sealing = sealings.max().map_or(0, |last| last + 1);
        let parts = new.tables.iter().map(|table| {
            let mut parts = TableParts::new(table);
            let listed = self.manifest.tables.get(parts.name);
            let listed = listed.into_iter().flat_map(|section| &section.parts);
            parts.parts = listed.filter(|part| !part.interrupted).cloned().collect();
            parts
        });
        let parts: Vec<TableParts> = parts.collect();
        let (folder, disk) = (self.folder, self.disk);
        files::create_directories(&folder.partial(), &disk)?;
        checkpoint.write(&folder, &disk)?;
        let replaces = self.manifest.replaces;
        let replaced = super::night::runs_with_ids(folder.root(), folder.night(), &replaces)?;
        let begun = Begun {
            parts,
            counted: Counted::resumed(kept, responders),
            sealing,
            sessions,
            replaced,
            told: self.told,
        };
        let mut directory = Directory::over(folder, new, begun, (self.lock, disk));
        directory.write_manifest(figures, Progress::running(now))?;
        let dropped: Vec<PathBuf> = { dropped.iter() }
            .map(|part| directory.root().join(&part.path))
            .collect();
        remove_parts(&dropped, &directory.writer.disk)?;
        Ok(directory)
    }

    /// Refuses to add rows of another version of a table.
    fn check_tables(&self, new: &NewRun) -> Result<(), DatasetError> {
        for table in &new.tables {
            let (name, version) = (table.schema().name, table.schema().version);
            let there = self.manifest.tables.get(name);
            if let Some(there) = there.filter(|there| there.schema_version != version) {
                let why = format!(
                    "run {} has version {} of the table {name}, and this program writes version {version}: resume it with pathsurvey {}",
                    self.manifest.run_id, there.schema_version, self.manifest.tool.version
                );
                return Err(refusal(self.folder.root(), why));
            }
        }
        Ok(())
    }
}

/// The rows of the parts that are dropped, by table.
fn dropped_rows(manifest: &Manifest) -> manifest::Counts {
    let rows = manifest.tables.iter().filter_map(|(table, section)| {
        let dropped = section.parts.iter().filter(|part| part.interrupted);
        let rows: u64 = dropped.map(|part| part.rows).sum();
        (rows > 0).then_some((table, rows))
    });
    rows.collect()
}

/// The addresses that replied, in rows of probes.
fn responders(rows: &Dataset) -> Result<AddressSet, ReadError> {
    let columns = ["responder", "status"];
    let each = |found: &mut AddressSet, _: &ReadRun, batch: &RecordBatch| {
        for row in Rows::new(batch.clone()).iter() {
            let inferred = row.text("status")? == Some(Status::Inferred.as_str());
            found.extend(row.address("responder")?.filter(|_| !inferred));
        }
        Ok(())
    };
    let merge = |mut one: AddressSet, other: AddressSet| {
        one.merge(&other);
        one
    };
    let scan = rows.scan("hops").columns(&columns);
    scan.fold(AddressSet::default, each, merge)
}

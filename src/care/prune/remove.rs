//! Removes what was decided.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::plan::{Doomed, Kept, Plan, Why, is_lock};
use super::record::{Record, records, sync};
use super::{PruneError, RECORDS};

/// Names this command to a run that it keeps out of a night.
const COMMAND: &str = "pathsurvey datasets prune";

/// What a prune has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The number of runs.
    pub runs: u64,
    /// The bytes of their parts, by their manifests.
    pub bytes: u64,
    /// Runs that a process began to write after the plan was made. They stay.
    pub kept: Vec<Kept>,
    /// Files that are not known, in the folders of removed runs. They stay.
    pub foreign: Vec<PathBuf>,
}

impl Plan {
    /// Finishes removals that were cut short, then removes the runs of the plan. Calls `removed` after each of them.
    ///
    /// # Errors
    /// [`PruneError`]. What was removed before stays removed, and the next prune goes on.
    pub fn carry_out(self, removed: impl FnMut(&Doomed)) -> Result<Removed, PruneError> {
        self.carry_out_by(&Hand(&|_| Ok(())), removed)
    }

    pub(super) fn carry_out_by(
        self,
        hand: &Hand<'_>,
        mut removed: impl FnMut(&Doomed),
    ) -> Result<Removed, PruneError> {
        let mut all = Removed::default();
        let folder = self.root.join(RECORDS);
        // An earlier prune may have left the folder behind.
        let is_idle = self.doomed.is_empty() && self.unfinished.is_empty();
        if is_idle && !folder.exists() {
            return Ok(all);
        }
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(PruneError::file("create", &folder)(error));
            }
            Ok(()) | Err(_) => sync(&self.root)?,
        }
        let lock = folder.join(".lock");
        let Some(_only) = lock_file(&lock)? else {
            return Err(PruneError::Busy(self.root));
        };
        let mut folders = BTreeSet::new();
        for (path, record) in records(&self.root)? {
            // If a run writes into this night now, a later prune finishes the removal.
            if let Some(_night) = self.lock_night(&record)? {
                self.finish(hand, &path, &record, &mut folders)?;
                all.runs += 1;
            }
        }
        for planned in &self.doomed {
            let Some(_night) = self.lock_night(&planned.record)? else {
                all.kept.push(planned.kept(Why::Written));
                continue;
            };
            // What the plan knows may be old by now.
            let Some(doomed) = &planned.now(&self.root)? else {
                continue;
            };
            if let Some(why) = doomed.why_kept(&self.root) {
                all.kept.push(doomed.kept(why));
                continue;
            }
            hand.touch(&self.root.join(RECORDS))?;
            let path = doomed.record.write(&self.root, &doomed.name)?;
            self.finish(hand, &path, &doomed.record, &mut folders)?;
            all.runs += 1;
            all.bytes = all.bytes.saturating_add(doomed.bytes);
            removed(doomed);
        }
        for folder in folders {
            self.foreign_in(&folder, &mut all.foreign)?;
        }
        hand.remove(&lock)?;
        hand.remove_folder(&folder)?;
        Ok(all)
    }

    /// Keeps runs out of the night of a record, as long as the result lives. `None` if a run writes there.
    fn lock_night(&self, record: &Record) -> Result<Option<Option<File>>, PruneError> {
        let lock = { record.locked.as_ref() }.map(|folder| self.root.join(folder).join(".lock"));
        match lock.filter(|lock| lock.exists()) {
            Some(lock) => {
                let Some(mut file) = lock_file(&lock)? else {
                    return Ok(None);
                };
                // For the message of a run that is refused. The next process that takes the lock removes it.
                let _ = { file.set_len(0) }.and_then(|()| file.write_all(COMMAND.as_bytes()));
                Ok(Some(Some(file)))
            }
            None => Ok(Some(None)),
        }
    }

    /// Removes the files of a record, then the record. Does the rest if it was cut short before.
    fn finish(
        &self,
        hand: &Hand<'_>,
        path: &Path,
        record: &Record,
        folders: &mut BTreeSet<PathBuf>,
    ) -> Result<(), PruneError> {
        let mut changed = BTreeSet::new();
        for manifest in &record.manifests {
            let manifest = self.root.join(manifest);
            hand.remove(&manifest)?;
            changed.extend(manifest.parent().map(Path::to_owned));
        }
        // No part goes before the removal of the manifests is durable.
        changed.iter().try_for_each(|folder| sync(folder))?;
        for file in &record.files {
            let file = self.root.join(file);
            // The record may be old: what another run lists now, or what lies behind a link now, stays.
            if !self.staying.contains(&file) && !is_behind_link(&self.root, &file) {
                hand.remove(&file)?;
            }
        }
        for folder in &record.folders {
            let folder = self.root.join(folder);
            hand.remove_locks(&folder)?;
            if !hand.remove_folder(&folder)? {
                folders.insert(folder);
            }
        }
        hand.remove(path)?;
        sync(&self.root.join(RECORDS))
    }

    /// Adds the files in a folder that belong to no run.
    fn foreign_in(&self, folder: &Path, foreign: &mut Vec<PathBuf>) -> Result<(), PruneError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(PruneError::file("list", folder)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(PruneError::file("list", folder))?;
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder && !is_lock(&entry.file_name()) && !self.staying.contains(&path) {
                foreign.push(path);
            }
        }
        foreign.sort();
        Ok(())
    }
}

fn is_behind_link(root: &Path, file: &Path) -> bool {
    let above = { file.ancestors().skip(1) }.take_while(|above| *above != root);
    { above }.any(|above| fs::symlink_metadata(above).is_ok_and(|about| about.is_symlink()))
}

/// Removes files and folders. Calls its function before every change: tests cut the removal short there.
pub(super) struct Hand<'a>(pub(super) &'a dyn Fn(&Path) -> io::Result<()>);

impl Hand<'_> {
    fn touch(&self, path: &Path) -> Result<(), PruneError> {
        (self.0)(path).map_err(PruneError::file("remove", path))
    }

    /// Removes a file. It may be gone already.
    fn remove(&self, file: &Path) -> Result<(), PruneError> {
        self.touch(file)?;
        match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(PruneError::file("remove", file)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes a folder if it is empty. Returns whether it is gone.
    fn remove_folder(&self, folder: &Path) -> Result<bool, PruneError> {
        self.touch(folder)?;
        match fs::remove_dir(folder) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Ok(true),
                // A link to a folder is no folder here.
                ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => Ok(false),
                _ => Err(PruneError::file("remove", folder)(error)),
            },
        }
    }

    /// Removes the locks in a night's folder that holds nothing else.
    fn remove_locks(&self, folder: &Path) -> Result<(), PruneError> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(());
        };
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        if names.iter().all(|name| is_lock(name)) {
            for name in names {
                self.remove(&folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// Locks a file as long as the result lives. `None` if another process has the lock.
fn lock_file(path: &Path) -> Result<Option<File>, PruneError> {
    let mut options = OpenOptions::new();
    let file = { options.create(true).truncate(false).write(true) }
        .open(path)
        .map_err(PruneError::file("open", path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // A file system without locks. Runs have an owner file there, which the plan has looked at.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

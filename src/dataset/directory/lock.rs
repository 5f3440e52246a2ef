//! The locks of a directory.
//!
//! | lock | held | another process |
//! |---|---|---|
//! | of a night | while a run writes into the night, while its runs are compacted or pruned, or while another run finishes what dead runs left there | is refused, but waits for the last |
//! | of the settling | while a run finishes what dead runs of another night left | waits |
//! | of the manifest | while the manifest of the directory is replaced | waits |
//!
//! The locks are taken in this order: that of the own night, that of the settling, those of other nights, that of the manifest.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::layout::{LOCK, MANIFEST_LOCK, Night, OWNER, RUNS, SETTLING_LOCK};
use crate::dataset::DatasetError;
use crate::dataset::files::{self, Disk, OwnerFile};

/// How often a lock is taken whose file loses its name at the same time.
const MOST_TRIES: u32 = 100;

/// The lock of a night. It is held as long as this value lives.
///
/// A command that is no run leaves its name in the lock file, so that a run that is refused can name it.
#[derive(Debug)]
pub(in crate::dataset) struct NightLock {
    file: File,
    _owner: Option<OwnerFile>,
}

impl Drop for NightLock {
    fn drop(&mut self) {
        clear(&self.file);
    }
}

/// Removes the name from a lock file. If it stays, the next process that takes the lock removes it.
fn clear(file: &File) {
    if file.metadata().is_ok_and(|about| about.len() > 0) {
        let _ = file.set_len(0);
    }
}

impl NightLock {
    /// Takes the lock for a command that is no run, as [`take`](Self::take) does.
    pub fn take_for(
        command: &str,
        root: &Path,
        night: &Night,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        let mut lock = Self::take(root, night, disk)?;
        // Only a message needs the name.
        let _ = lock.file.write_all(command.as_bytes());
        Ok(lock)
    }

    /// Takes the lock. If a run has it, returns [`DatasetError::InUse`], and [`DatasetError::InUseBy`] if another command has it. Waits for a
    /// process that finishes what dead runs left.
    pub fn take(root: &Path, night: &Night, disk: &Disk) -> Result<Self, DatasetError> {
        match Self::take_at_once(root, night, disk) {
            Err(refused @ DatasetError::InUse(_)) => {
                // As long as this lock is held, only runs have locks of nights.
                match SettlingLock::wait(root) {
                    Some(_settling) => Self::take_at_once(root, night, disk),
                    None => Err(refused),
                }
            }
            taken => taken,
        }
    }

    /// Takes the lock. If another process has it, returns [`DatasetError::InUse`].
    pub(super) fn take_at_once(
        root: &Path,
        night: &Night,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        let folder = night.folder(root);
        let path = folder.join(LOCK);
        let mut tries = 0;
        loop {
            tries += 1;
            files::create_directories(&folder, disk)?;
            let file = disk
                .open_or_create(&path, &path)
                .map_err(DatasetError::file("create", &path))?;
            let owner = files::lock(&file, folder.join(OWNER), &folder, disk)
                .map_err(|error| naming(error, &path))?;
            clear(&file);
            // A process that removes a night removes the lock, too. Then this lock is on a file without a name, and keeps nobody out.
            // On some file systems a file changes its number, so the last try counts in any case.
            if files::is_at(&file, &path) || tries == MOST_TRIES {
                return Ok(NightLock {
                    file,
                    _owner: owner,
                });
            }
        }
    }
}

/// Adds to a refusal the command that holds the lock, if the lock file names one.
fn naming(refused: DatasetError, lock: &Path) -> DatasetError {
    match (refused, files::read_regular(lock)) {
        (DatasetError::InUse(night), Ok(name)) if !name.is_empty() => DatasetError::InUseBy {
            night,
            command: String::from_utf8_lossy(&name).into_owned(),
        },
        (refused, _) => refused,
    }
}

/// The lock of the settling. It is held for the time that a few manifests take, so it is waited for.
#[derive(Debug)]
pub(super) struct SettlingLock {
    _file: File,
}

impl SettlingLock {
    /// Takes the lock. On a file system without locks, a run that starts at the same instant may be refused.
    pub fn take(root: &Path, disk: &Disk) -> Result<Self, DatasetError> {
        let path = root.join(RUNS).join(SETTLING_LOCK);
        wait_for(&path, disk).map(|file| SettlingLock { _file: file })
    }

    /// Waits for a process that settles, and keeps others from it. Creates nothing: a process of root that only looks must leave no file
    /// that others cannot open. `None` if nobody has settled here yet, or if the lock cannot be had.
    pub fn wait(root: &Path) -> Option<Self> {
        let path = root.join(RUNS).join(SETTLING_LOCK);
        let (file, _) = files::open_regular(&path).ok()?;
        file.lock_shared().ok()?;
        Some(SettlingLock { _file: file })
    }
}

/// The lock of the directory's manifest. It is held for the time of one replacement, so it is waited for.
pub(super) struct ManifestLock {
    _file: File,
}

impl ManifestLock {
    /// Takes the lock. On a file system without locks, two runs that end at the same instant may leave the older manifest there.
    pub fn take(root: &Path, disk: &Disk) -> Result<Self, DatasetError> {
        wait_for(&root.join(MANIFEST_LOCK), disk).map(|file| ManifestLock { _file: file })
    }
}

/// Locks a file, if the file system has locks. Waits while another process has the lock.
fn wait_for(path: &Path, disk: &Disk) -> Result<File, DatasetError> {
    let file = disk
        .open_or_create(path, path)
        .map_err(DatasetError::file("create", path))?;
    match disk.lock(&file, path) {
        Err(error) if !files::has_no_locks(&error) => Err(DatasetError::file("lock", path)(error)),
        Ok(()) | Err(_) => Ok(file),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::thread;

    use super::*;

    /// Whether the kernel has a thread that waits for the lock of this file.
    pub(in crate::dataset::directory) fn is_waited_for(path: &Path) -> bool {
        let inode = std::fs::metadata(path).unwrap().ino();
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let mut waiting = locks.lines().filter(|line| line.contains("->"));
        waiting.any(|line| line.contains(&format!(":{inode} ")))
    }

    #[test]
    fn a_run_waits_for_a_process_that_finishes_what_dead_runs_of_its_night_left() {
        let root = tempfile::tempdir().unwrap();
        let (root, disk) = (root.path(), Disk::default());
        let night = Night::named("date=2026-03-01", "vp=id-fra").unwrap();
        // A run refuses another one of its night.
        let held = NightLock::take(root, &night, &disk).unwrap();
        let refused = NightLock::take(root, &night, &disk).unwrap_err();
        assert!(matches!(refused, DatasetError::InUse(_)), "{refused}");
        drop(held);

        let settling = SettlingLock::take(root, &disk).unwrap();
        let held = NightLock::take_at_once(root, &night, &disk).unwrap();
        thread::scope(|scope| {
            let taken = scope.spawn(|| NightLock::take(root, &night, &Disk::default()));
            while !taken.is_finished() && !is_waited_for(&root.join(RUNS).join(SETTLING_LOCK)) {
                thread::yield_now();
            }
            drop(held);
            drop(settling);
            taken.join().unwrap().unwrap();
        });
    }
    #[test]
    fn a_run_that_is_refused_names_the_command_that_has_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let (root, disk) = (root.path(), Disk::default());
        let night = Night::named("date=2026-03-01", "vp=id-fra").unwrap();
        let held = NightLock::take_for("pathsurvey datasets compact", root, &night, &disk);
        let refused = NightLock::take(root, &night, &disk)
            .unwrap_err()
            .to_string();
        for words in ["`pathsurvey datasets compact`", "--date", "vp=id-fra"] {
            assert!(refused.contains(words), "{refused}");
        }
        drop(held);
        // A process that died left its name. The next one is a run.
        std::fs::write(night.folder(root).join(LOCK), "pathsurvey datasets compact").unwrap();
        let held = NightLock::take(root, &night, &disk).unwrap();
        let refused = NightLock::take(root, &night, &disk).unwrap_err();
        assert!(matches!(refused, DatasetError::InUse(_)), "{refused}");
        drop(held);
        NightLock::take(root, &night, &disk).unwrap();
    }
}

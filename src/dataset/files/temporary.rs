//! Files that are written under a temporary name.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::notices::Notice;
use super::{Disk, OwnerFile, beside, is_at, lock, sync_parent};
use crate::dataset::DatasetError;

/// The length to which a file is cut if it is never sealed. 0, which removes the file, until a length is marked.
#[derive(Clone, Debug, Default)]
pub(in crate::dataset) struct KeptLength {
    written: Arc<AtomicU64>,
    kept: Arc<AtomicU64>,
}

impl KeptLength {
    /// Keeps everything written so far.
    pub(in crate::dataset) fn mark(&self) {
        self.mark_at(self.written());
    }

    /// Keeps the first `length` bytes.
    pub(in crate::dataset) fn mark_at(&self, length: u64) {
        self.kept.store(length, Ordering::Relaxed);
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// A file that is written under a temporary name.
///
/// | event | the file |
/// |---|---|
/// | [`seal`](TemporaryFile::seal) succeeds | has its final name |
/// | it is dropped without that | keeps its temporary name and is cut to the marked length, or is removed if no length was marked |
/// | the process is killed | keeps its temporary name |
#[derive(Debug)]
pub(in crate::dataset) struct TemporaryFile {
    file: File,
    temporary: PathBuf,
    destination: PathBuf,
    disk: Disk,
    kept_length: KeptLength,
    sealed: bool,
    /// See [`TemporaryFile::describe_by`].
    description: Option<PathBuf>,
    /// Keeps other runs out if the file system has no locks. Released after the file has its final name or is removed.
    _owner: Option<OwnerFile>,
}

impl TemporaryFile {
    /// Starts `destination` under the name `temporary`, which must be on the same file system.
    ///
    /// An existing temporary file is removed, never overwritten: after a failed fsync, the kernel may have dropped some of its pages, and a
    /// later fsync would not report that.
    pub(super) fn create(
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        let removed = match disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => disk.create_new(&temporary, &destination),
        };
        let file = removed.map_err(DatasetError::file("create", &destination))?;
        Ok(Self::over(file, temporary, destination, disk, None))
    }

    /// Like [`create`](TemporaryFile::create), for a path that other processes may use as well. Only the process with the lock on the
    /// temporary file writes; others are refused. A file of a killed run has no lock. It is kept under the name `TEMPORARY.old`.
    pub(in crate::dataset) fn create_locked(
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        let create = || DatasetError::file("create", &destination);
        loop {
            let file = disk
                .open_or_create(&temporary, &destination)
                .map_err(create())?;
            let owner = lock(
                &file,
                beside(&destination, ".", ".lock"),
                &destination,
                disk,
            )?;
            // Between opening and locking, the holder may have renamed the file to its final name. Then our handle belongs to a finished file, and the
            // temporary name is free or in use by another process.
            if !is_at(&file, &temporary) {
                continue;
            }
            if file.metadata().map_err(create())?.len() > 0 {
                // A reader may want it, and its name is needed. The next file at that name is opened and locked as this one was.
                let old = beside(&temporary, "", ".old");
                disk.rename(&temporary, &old).map_err(create())?;
                let text = format!(
                    "an earlier run did not finish {}: what it wrote is kept in {}, until a later one does not finish either",
                    destination.display(),
                    old.display()
                );
                disk.note(Notice::Unfinished, text);
                continue;
            }
            let file = Self::over(file, temporary, destination, disk, owner);
            // Here rather than at the end: a file system that cannot do this is named before the first probe.
            sync_parent(&file.destination, disk)?;
            return Ok(file);
        }
    }

    fn over(
        file: File,
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
        owner: Option<OwnerFile>,
    ) -> Self {
        TemporaryFile {
            file,
            temporary,
            destination,
            disk: disk.clone(),
            kept_length: KeptLength::default(),
            sealed: false,
            description: None,
            _owner: owner,
        }
    }

    /// The length to keep. The encoder marks it wherever a reader could stop.
    pub(in crate::dataset) fn kept_length(&self) -> KeptLength {
        self.kept_length.clone()
    }

    /// See [`Disk::notices`].
    pub(in crate::dataset) fn notices(&self) -> Vec<String> {
        self.disk.notices()
    }

    /// The final name.
    pub(in crate::dataset) fn destination(&self) -> &Path {
        &self.destination
    }

    /// Removes what was written after the first `length` bytes. The next write continues there.
    pub(in crate::dataset) fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.truncate(&self.file, &self.destination, length)?;
        self.file.seek(SeekFrom::Start(length))?;
        let written = self.kept_length.written.swap(length, Ordering::Relaxed);
        self.disk.give_back(written.saturating_sub(length));
        Ok(())
    }

    /// Says that the file at `path` describes the one that is replaced. It is removed before that, so it never stands beside another file.
    pub(in crate::dataset) fn describe_by(&mut self, path: PathBuf) {
        self.description = Some(path);
    }

    /// Syncs the content, and leaves the file under its temporary name. Returns the size in bytes.
    pub(super) fn finish(mut self) -> Result<u64, DatasetError> {
        self.disk
            .sync(&self.file, &self.destination)
            .map_err(DatasetError::file("sync", &self.destination))?;
        self.sealed = true;
        Ok(self.kept_length.written())
    }

    /// Syncs the content, gives the file its final name (replacing an existing file), and syncs the directory. Returns the size in bytes.
    pub(in crate::dataset) fn seal(mut self) -> Result<u64, DatasetError> {
        let error = |operation| DatasetError::file(operation, &self.destination);
        self.disk
            .sync(&self.file, &self.destination)
            .map_err(error("sync"))?;
        if let Some(description) = &self.description {
            match self.disk.remove(description) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DatasetError::file("remove", description)(error));
                }
                _ => {}
            }
        }
        let replaced = fs::metadata(&self.destination).map_or(0, |replaced| replaced.len());
        self.disk
            .rename(&self.temporary, &self.destination)
            .map_err(error("rename to"))?;
        self.sealed = true;
        self.disk.give_back(replaced);
        sync_parent(&self.destination, &self.disk)?;
        Ok(self.kept_length.written())
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let admitted = self.disk.admit(bytes.len())?;
        let result = self
            .disk
            .write(&self.file, &self.destination, &bytes[..admitted]);
        let written = *result.as_ref().unwrap_or(&0);
        self.disk.give_back((admitted - written) as u64);
        self.kept_length
            .written
            .fetch_add(written as u64, Ordering::Relaxed);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if self.sealed {
            return;
        }
        // Errors here cannot be reported. The next run at this path overwrites or removes the file.
        let written = self.kept_length.written();
        let kept = self.kept_length.kept.load(Ordering::Relaxed).min(written);
        let _ = match kept {
            0 => self.disk.remove(&self.temporary),
            _ => self.disk.truncate(&self.file, &self.destination, kept),
        };
        self.disk.give_back(written - kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(directory: &Path, disk: &Disk) -> TemporaryFile {
        TemporaryFile::create(directory.join(".t"), directory.join("d"), disk).unwrap()
    }

    fn create_locked(directory: &Path) -> Result<TemporaryFile, DatasetError> {
        let (temporary, destination) = (directory.join(".t"), directory.join("d"));
        TemporaryFile::create_locked(temporary, destination, &Disk::default())
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = create(dir.path(), &Disk::default());
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_file_is_cut_to_the_marked_length() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = create(dir.path(), &Disk::default());
        file.write_all(b"whole").unwrap();
        file.kept_length().mark();
        file.write_all(b", and half").unwrap();
        drop(file);
        assert_eq!(fs::read(dir.path().join(".t")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_takes_the_beginning_of_a_write() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, room) = Disk::of_size(4);
        let mut file = create(dir.path(), &disk);
        let error = file.write_all(b"abcdef").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(dir.path().join(".t")).unwrap(), b"abcd");
        file.cut(3).unwrap();
        assert_eq!(room.load(Ordering::Relaxed), 1);
        file.write_all(b"X").unwrap();
        assert_eq!(file.seal().unwrap(), 4);
        assert_eq!(fs::read(dir.path().join("d")).unwrap(), b"abcX");
    }

    #[test]
    fn a_place_in_use_is_refused_and_free_again_after() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = create_locked(dir.path()).unwrap();
        let refused = create_locked(dir.path());
        assert!(matches!(refused, Err(DatasetError::InUse(_))));
        first.write_all(b"one").unwrap();
        first.seal().unwrap();
        let second = create_locked(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("d")).unwrap(), b"one");
        drop(second);
    }

    #[test]
    fn the_file_of_a_killed_run_is_kept_under_another_name() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["left behind", "left behind later"] {
            fs::write(dir.path().join(".t"), text).unwrap();
            let file = create_locked(dir.path()).unwrap();
            let [notice] = &file.notices()[..] else {
                panic!("{:?}", file.notices());
            };
            assert!(notice.contains(".t.old"), "{notice}");
            assert_eq!(file.seal().unwrap(), 0);
            assert_eq!(fs::read_to_string(dir.path().join(".t.old")).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        // An empty one is used.
        fs::write(dir.path().join(".t"), "").unwrap();
        assert!(create_locked(dir.path()).unwrap().notices().is_empty());
    }
}

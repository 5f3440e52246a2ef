//! Files that are written under a temporary name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::{Disk, hex, is_at, lock, sync_parent};
use crate::dataset::DatasetError;

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataset) struct Sealed {
    /// The file's size.
    pub bytes: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

/// How much of a pending file is kept if it is never sealed. Nothing, until a length is marked.
#[derive(Clone, Debug, Default)]
pub(in crate::dataset) struct KeptLength {
    written: Arc<AtomicU64>,
    kept: Arc<AtomicU64>,
}

impl KeptLength {
    /// Marks everything written so far.
    pub(in crate::dataset) fn mark(&self) {
        self.kept.store(self.written(), Ordering::Relaxed);
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// A file that is written under a temporary name. If it is dropped without [`seal`](PendingFile::seal), it is cut to the marked length, or
/// removed.
#[derive(Debug)]
pub(in crate::dataset) struct PendingFile {
    file: File,
    temporary: PathBuf,
    destination: PathBuf,
    disk: Disk,
    digest: Sha256,
    worth: KeptLength,
    sealed: bool,
}

impl PendingFile {
    /// Starts `destination` under the name `temporary`, which must be on the same file system. An existing temporary file is overwritten.
    pub(in crate::dataset) fn create(
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        let file = File::create(&temporary).map_err(DatasetError::file("create", &destination))?;
        Ok(Self::over(file, temporary, destination, disk))
    }

    /// Like [`create`](PendingFile::create), for a path that other processes may use as well. Only the process with the lock on the temporary
    /// file writes; others are refused. A file of a killed run has no lock, and is taken over.
    pub(in crate::dataset) fn create_locked(
        temporary: PathBuf,
        destination: PathBuf,
        disk: &Disk,
    ) -> Result<Self, DatasetError> {
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&temporary)
                .map_err(DatasetError::file("create", &destination))?;
            lock(&file, &destination)?;
            // Between opening and locking, the holder may have renamed the file to its final name. Then our handle belongs to a finished file, and the
            // temporary name is free or in use by another process.
            if !is_at(&file, &temporary) {
                continue;
            }
            file.set_len(0)
                .map_err(DatasetError::file("create", &destination))?;
            return Ok(Self::over(file, temporary, destination, disk));
        }
    }

    fn over(file: File, temporary: PathBuf, destination: PathBuf, disk: &Disk) -> Self {
        PendingFile {
            file,
            temporary,
            destination,
            disk: disk.clone(),
            digest: Sha256::new(),
            worth: KeptLength::default(),
            sealed: false,
        }
    }

    /// The length to keep. The code that knows where a reader could stop marks it.
    pub(in crate::dataset) fn worth(&self) -> KeptLength {
        self.worth.clone()
    }

    /// The final name.
    pub(in crate::dataset) fn destination(&self) -> &Path {
        &self.destination
    }

    /// Syncs the content, gives the file its final name (replacing an existing file), and syncs the directory.
    pub(in crate::dataset) fn seal(mut self) -> Result<Sealed, DatasetError> {
        let error = |operation| DatasetError::file(operation, &self.destination);
        self.file.sync_all().map_err(error("sync"))?;
        let replaced = fs::metadata(&self.destination).map_or(0, |replaced| replaced.len());
        fs::rename(&self.temporary, &self.destination).map_err(error("rename to"))?;
        self.sealed = true;
        self.disk.give_back(replaced);
        sync_parent(&self.destination)?;
        Ok(Sealed {
            bytes: self.worth.written(),
            sha256: hex(&self.digest.finalize_reset()),
        })
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.admit(bytes.len())?;
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.worth
            .written
            .fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if self.sealed {
            return;
        }
        // Errors here cannot be reported. The next run at this path overwrites or removes the file.
        let kept = self.worth.kept.load(Ordering::Relaxed);
        let _ = match kept {
            0 => fs::remove_file(&self.temporary),
            _ => self.file.set_len(kept),
        };
        self.disk.give_back(self.worth.written() - kept);
    }
}

/// Writes `content` to `destination` in one step, by way of `temporary`.
pub(in crate::dataset) fn replace(
    temporary: PathBuf,
    destination: PathBuf,
    content: &[u8],
    disk: &Disk,
) -> Result<Sealed, DatasetError> {
    let mut file = PendingFile::create(temporary, destination, disk)?;
    file.write_all(content)
        .map_err(DatasetError::file("write", file.destination()))?;
    file.seal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, destination) = (dir.path().join(".t"), dir.path().join("d"));
        let mut file =
            PendingFile::create(temporary, destination.clone(), &Disk::default()).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_file_is_cut_down_to_what_is_worth_keeping() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, destination) = (dir.path().join(".t"), dir.path().join("d"));
        let mut file =
            PendingFile::create(temporary.clone(), destination, &Disk::default()).unwrap();
        let worth = file.worth();
        file.write_all(b"whole").unwrap();
        worth.mark();
        file.write_all(b", and half").unwrap();
        drop(file);
        assert_eq!(fs::read(temporary).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_sealed_file_is_named_and_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, destination) = (dir.path().join(".t"), dir.path().join("d"));
        let sealed = replace(temporary, destination.clone(), b"abc", &Disk::default()).unwrap();
        assert_eq!(sealed.bytes, 3);
        // The digest of "abc": FIPS 180-2, appendix B.1.
        assert_eq!(
            sealed.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(fs::read(&destination).unwrap(), b"abc");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_in_use_is_refused_and_free_again_after() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            PendingFile::create_locked(
                dir.path().join(".t"),
                dir.path().join("d"),
                &Disk::default(),
            )
        };
        let mut first = open().unwrap();
        assert!(matches!(open(), Err(DatasetError::InUse(_))));
        first.write_all(b"one").unwrap();
        first.seal().unwrap();
        let second = open().unwrap();
        assert_eq!(fs::read(dir.path().join("d")).unwrap(), b"one");
        drop(second);
    }

    #[test]
    fn a_dead_run_s_file_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".t"), b"left behind").unwrap();
        let file = PendingFile::create_locked(
            dir.path().join(".t"),
            dir.path().join("d"),
            &Disk::default(),
        )
        .unwrap();
        assert_eq!(file.seal().unwrap().bytes, 0);
    }
}

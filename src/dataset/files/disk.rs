//! The calls of the file system. Tests let them fail, and limit the size and the speed of the disk.
//!
//! Every call that a signal interrupts is repeated (EINTR). A write may take fewer bytes than it was given.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::lock::is_conflict;
use super::notices::{Notice, Notices};
use super::regular::open_ours;
use super::simulated::Simulated;
#[cfg(test)]
use super::simulated::{Change, Fault};

/// A call of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataset) enum Call {
    /// mkdir(2)
    MakeDirectory,
    /// open(2) of a file for writing.
    Open,
    /// flock(2)
    Lock,
    /// write(2)
    Write,
    /// fsync(2) of a file.
    Sync,
    /// open(2) and fsync(2) of a directory.
    SyncDirectory,
    /// rename(2)
    Rename,
    /// unlink(2) and rmdir(2)
    Remove,
    /// ftruncate(2)
    Truncate,
    /// close(2) of a stream.
    Close,
}

/// The file system as the writers see it, and what they noticed about it. Clones share both.
#[derive(Clone, Debug, Default)]
pub(in crate::dataset) struct Disk {
    simulated: Option<Arc<Simulated>>,
    notices: Arc<Notices>,
}

#[cfg(test)]
impl Disk {
    fn simulating(simulated: Simulated) -> Self {
        Disk {
            simulated: Some(Arc::new(simulated)),
            notices: Arc::default(),
        }
    }

    /// A disk that refuses the byte after `room` with ENOSPC.
    pub(in crate::dataset) fn of_size(room: u64) -> (Self, Arc<std::sync::atomic::AtomicU64>) {
        let (simulated, room) = Simulated::of_size(room);
        (Self::simulating(simulated), room)
    }

    /// A disk that writes nothing as long as the lock is held.
    pub(in crate::dataset) fn held_by(lock: &Arc<std::sync::Mutex<()>>) -> Self {
        Self::simulating(Simulated::held_by(lock))
    }

    /// A disk whose calls fail as `faults` say.
    pub(in crate::dataset) fn failing(faults: Vec<Fault>) -> Self {
        Self::simulating(Simulated::failing(faults))
    }

    /// A disk that logs what changes it.
    pub(in crate::dataset) fn logging() -> Self {
        Self::simulating(Simulated::logging())
    }

    /// The logged changes so far.
    pub(in crate::dataset) fn log(&self) -> Vec<Change> {
        let simulated = self.simulated.as_ref();
        simulated.map_or_else(Vec::new, |simulated| simulated.log())
    }

    /// How many calls were made.
    pub(in crate::dataset) fn total(&self) -> usize {
        let simulated = self.simulated.as_ref();
        simulated.map_or(0, |simulated| simulated.total())
    }

    /// The inodes of the files that were synced, in order.
    pub(in crate::dataset) fn synced(&self) -> Vec<u64> {
        let simulated = self.simulated.as_ref();
        simulated.map_or_else(Vec::new, |simulated| simulated.synced())
    }

    /// How often a call was made.
    pub(in crate::dataset) fn calls(&self, call: Call) -> usize {
        self.simulated
            .as_ref()
            .map_or(0, |simulated| simulated.calls(call))
    }
}

impl Disk {
    /// Makes a call on `path`. Repeats it if a signal interrupts it.
    pub(super) fn call<T>(
        &self,
        call: Call,
        path: &Path,
        mut real: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let fault = match &self.simulated {
                Some(simulated) => simulated.fault(call, path),
                None => None,
            };
            match fault.map_or_else(&mut real, Err) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Logs a change, if this disk logs.
    #[cfg(test)]
    fn changed(&self, change: impl FnOnce() -> Change) {
        if let Some(simulated) = &self.simulated {
            simulated.changed(change);
        }
    }

    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::MakeDirectory, path, || fs::create_dir(path))?;
        #[cfg(test)]
        self.changed(|| Change::MakeDirectory(path.to_owned()));
        Ok(())
    }

    /// Creates a file that is not there yet. Messages and tests name it `subject`.
    pub(super) fn create_new(&self, path: &Path, subject: &Path) -> io::Result<File> {
        let file = self.call(Call::Open, subject, || File::create_new(path))?;
        #[cfg(test)]
        self.changed(|| Change::Create(path.to_owned(), inode(&file)));
        Ok(file)
    }

    /// Opens a regular file for writing, and creates it if it is not there. Its content stays. Messages and tests name it `subject`. Does not
    /// follow a symbolic link, and does not wait for the reader of a FIFO.
    pub(in crate::dataset) fn open_or_create(
        &self,
        path: &Path,
        subject: &Path,
    ) -> io::Result<File> {
        let file = self.call(Call::Open, subject, || {
            let mut options = OpenOptions::new();
            open_ours(path, options.write(true).create(true).truncate(false))
        })?;
        #[cfg(test)]
        self.changed(|| Change::Open(path.to_owned(), inode(&file)));
        Ok(file)
    }

    /// Locks a file as long as its handle lives. False if another handle has the lock.
    pub(super) fn try_lock(&self, file: &File, path: &Path) -> io::Result<bool> {
        self.call(Call::Lock, path, || match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
        .or_else(|error| match is_conflict(&error) {
            true => Ok(false),
            false => Err(error),
        })
    }

    /// Locks a file as long as its handle lives. Waits while another handle has the lock.
    pub(in crate::dataset) fn lock(&self, file: &File, path: &Path) -> io::Result<()> {
        self.call(Call::Lock, path, || file.lock())
    }

    /// Writes some of `bytes`. Returns how many.
    pub(super) fn write(&self, file: &File, path: &Path, bytes: &[u8]) -> io::Result<usize> {
        let mut to = file;
        let written = self.call(Call::Write, path, || to.write(bytes))?;
        #[cfg(test)]
        self.changed(|| Change::Write(inode(file), bytes[..written].to_owned()));
        Ok(written)
    }

    pub(super) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        if let Some(simulated) = &self.simulated {
            simulated.note_sync(file);
        }
        self.call(Call::Sync, path, || file.sync_all())?;
        #[cfg(test)]
        self.changed(|| Change::Sync(inode(file)));
        Ok(())
    }

    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::SyncDirectory, path, || {
            File::open(path).and_then(|directory| directory.sync_all())
        })?;
        #[cfg(test)]
        self.changed(|| Change::SyncDirectory(path.to_owned()));
        Ok(())
    }

    pub(in crate::dataset) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, to, || fs::rename(from, to))?;
        #[cfg(test)]
        self.changed(|| Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub(in crate::dataset) fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, path, || fs::remove_file(path))?;
        #[cfg(test)]
        self.changed(|| Change::Remove(path.to_owned()));
        Ok(())
    }

    /// Removes an empty directory.
    pub(in crate::dataset) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, path, || fs::remove_dir(path))?;
        #[cfg(test)]
        self.changed(|| Change::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn truncate(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.call(Call::Truncate, path, || file.set_len(length))?;
        #[cfg(test)]
        self.changed(|| Change::Truncate(inode(file), length));
        Ok(())
    }

    /// Returns how many of `bytes` fit on the disk, and uses that room.
    pub(super) fn admit(&self, bytes: usize) -> io::Result<usize> {
        match &self.simulated {
            Some(simulated) => simulated.admit(bytes),
            None => Ok(bytes),
        }
    }

    /// Frees the room of `bytes`.
    pub(super) fn give_back(&self, bytes: u64) {
        if let Some(simulated) = &self.simulated {
            simulated.give_back(bytes);
        }
    }

    /// Keeps a notice for the user. Only the first of its kind is kept.
    pub(super) fn note(&self, kind: Notice, text: String) {
        self.notices.add(kind, text);
    }

    /// The notices so far, one sentence each.
    pub(in crate::dataset) fn notices(&self) -> Vec<String> {
        self.notices.all()
    }

    /// Those that go into the manifest as warnings.
    pub(in crate::dataset) fn warnings(&self) -> Vec<String> {
        self.notices.for_readers()
    }
}

/// The number of a file. It is used again when the file is removed and closed.
#[cfg(test)]
fn inode(file: &File) -> u64 {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map_or(0, |about| about.ino())
}

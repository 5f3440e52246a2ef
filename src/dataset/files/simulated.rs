//! A disk that fails, fills up, waits, or logs what changes it, for tests.

use std::io;
use std::path::Path;
#[cfg(test)]
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::Call;

/// What a disk does instead of the real one. By default nothing.
#[derive(Debug, Default)]
pub(super) struct Simulated {
    room: Option<Arc<AtomicU64>>,
    /// Writing waits for this lock.
    held: Option<Arc<Mutex<()>>>,
    #[cfg(test)]
    faults: Mutex<Vec<Fault>>,
    #[cfg(test)]
    calls: Mutex<Vec<Call>>,
    /// The files that were synced, kept open: so no inode is used twice.
    #[cfg(test)]
    synced: Mutex<Vec<std::fs::File>>,
    /// What changed on the disk. `None` if it is not logged.
    #[cfg(test)]
    log: Option<Mutex<Vec<Change>>>,
}

/// A change on the disk, after the call succeeded. Files are named by their inodes, because a name may move while a file is open.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataset) enum Change {
    MakeDirectory(PathBuf),
    /// A new file.
    Create(PathBuf, u64),
    /// A file that may have been there before.
    Open(PathBuf, u64),
    /// Bytes at the end of a file.
    Write(u64, Vec<u8>),
    Truncate(u64, u64),
    /// The content of a file is durable.
    Sync(u64),
    /// The names in a directory are durable.
    SyncDirectory(PathBuf),
    Rename(PathBuf, PathBuf),
    /// A file, or an empty directory.
    Remove(PathBuf),
}

/// A call that fails.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(in crate::dataset) struct Fault {
    /// The call. `None`: any.
    pub call: Option<Call>,
    /// Only calls on paths that contain this text fail.
    pub on: &'static str,
    /// The error.
    pub errno: i32,
    /// How many of these calls succeed before.
    pub after: usize,
    /// How many of them fail then.
    pub times: usize,
}

#[cfg(test)]
impl Fault {
    /// Of all calls of a run, `times` fail, the first one after `after` others.
    pub(in crate::dataset) fn any(errno: i32, after: usize, times: usize) -> Self {
        Fault {
            call: None,
            on: "",
            errno,
            after,
            times,
        }
    }

    /// Every call of this kind on paths that contain `on` fails.
    pub(in crate::dataset) fn always(call: Call, on: &'static str, errno: i32) -> Self {
        Fault {
            call: Some(call),
            on,
            errno,
            after: 0,
            times: usize::MAX,
        }
    }
}

#[cfg(test)]
impl Simulated {
    pub(super) fn of_size(room: u64) -> (Self, Arc<AtomicU64>) {
        let room = Arc::new(AtomicU64::new(room));
        let simulated = Simulated {
            room: Some(Arc::clone(&room)),
            ..Simulated::default()
        };
        (simulated, room)
    }

    pub(super) fn held_by(lock: &Arc<Mutex<()>>) -> Self {
        Simulated {
            held: Some(Arc::clone(lock)),
            ..Simulated::default()
        }
    }

    pub(super) fn failing(faults: Vec<Fault>) -> Self {
        Simulated {
            faults: Mutex::new(faults),
            ..Simulated::default()
        }
    }

    pub(super) fn logging() -> Self {
        Simulated {
            log: Some(Mutex::default()),
            ..Simulated::default()
        }
    }

    pub(super) fn changed(&self, change: impl FnOnce() -> Change) {
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(change());
        }
    }

    pub(super) fn log(&self) -> Vec<Change> {
        let log = self.log.as_ref();
        let of = |log: &Mutex<Vec<Change>>| {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.clone()
        };
        log.map_or_else(Vec::new, of)
    }

    pub(super) fn calls(&self, call: Call) -> usize {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|made| **made == call).count()
    }

    pub(super) fn total(&self) -> usize {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(super) fn note_sync(&self, file: &std::fs::File) {
        use std::os::fd::AsRawFd;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        // Not a clone of the handle, which would keep the file locked.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        synced.extend(std::fs::File::open(path));
    }

    /// The inodes of the files that were synced, in order.
    pub(super) fn synced(&self) -> Vec<u64> {
        use std::os::unix::fs::MetadataExt;
        let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = |file: &std::fs::File| file.metadata().map_or(0, |about| about.ino());
        synced.iter().map(inode).collect()
    }

    /// The error of a call, if it fails.
    pub(super) fn fault(&self, call: Call, path: &Path) -> Option<io::Error> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        if call == Call::Remove && !path.exists() {
            return None;
        }
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let path = path.to_string_lossy();
        let concerned = |fault: &&mut Fault| {
            fault.call.is_none_or(|failing| failing == call) && path.contains(fault.on)
        };
        for fault in faults.iter_mut().filter(concerned) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times = fault.times.saturating_sub(1);
                return Some(io::Error::from_raw_os_error(fault.errno));
            }
        }
        None
    }
}

#[cfg(not(test))]
impl Simulated {
    pub(super) fn fault(&self, _call: Call, _path: &Path) -> Option<io::Error> {
        None
    }
}

impl Simulated {
    pub(super) fn admit(&self, bytes: usize) -> io::Result<usize> {
        if let Some(held) = &self.held {
            drop(held.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let Some(room) = &self.room else {
            return Ok(bytes);
        };
        let bytes = bytes as u64;
        let left = room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(bytes))
            })
            .unwrap_or_else(|left| left);
        match left.min(bytes) {
            0 if bytes > 0 => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            admitted => Ok(admitted as usize),
        }
    }

    pub(super) fn give_back(&self, bytes: u64) {
        if let Some(room) = &self.room {
            room.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

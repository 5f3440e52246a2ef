//! The size and the speed of the disk, which tests limit.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The file system as the writer sees it. Tests limit its size and its speed, to simulate a full disk and a slow one.
#[derive(Clone, Debug, Default)]
pub(in crate::dataset) struct Disk {
    room: Option<Arc<AtomicU64>>,
    /// Writing waits for this lock.
    held: Option<Arc<Mutex<()>>>,
}

impl Disk {
    /// A disk that refuses the byte after `room` with ENOSPC.
    #[cfg(test)]
    pub(in crate::dataset) fn of_size(room: u64) -> (Self, Arc<AtomicU64>) {
        let room = Arc::new(AtomicU64::new(room));
        let disk = Disk {
            room: Some(Arc::clone(&room)),
            held: None,
        };
        (disk, room)
    }

    /// A disk that writes nothing as long as the lock is held.
    #[cfg(test)]
    pub(in crate::dataset) fn held_by(lock: &Arc<Mutex<()>>) -> Self {
        Disk {
            room: None,
            held: Some(Arc::clone(lock)),
        }
    }

    /// Returns how many of `bytes` fit on the disk, and uses that room.
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

    /// Frees the room of `bytes`.
    pub(super) fn give_back(&self, bytes: u64) {
        if let Some(room) = &self.room {
            room.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

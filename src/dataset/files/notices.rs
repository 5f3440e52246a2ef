//! What a run noticed about its file system, one sentence for each kind.

use std::sync::{Mutex, PoisonError};

/// A kind of notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataset) enum Notice {
    /// The file system has no locks.
    NoLocks,
    /// The file system cannot sync directories.
    NoDirectorySync,
}

/// The notices so far.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Vec<(Notice, String)>>);

impl Notices {
    /// Adds a notice. Later ones of its kind are dropped: a run has one file system and many files.
    pub(super) fn add(&self, kind: Notice, text: String) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.iter().all(|(known, _)| *known != kind) {
            notices.push((kind, text));
        }
    }

    pub(super) fn texts(&self) -> Vec<String> {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notices.iter().map(|(_, text)| text.clone()).collect()
    }
}

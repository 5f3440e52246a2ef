//! What a run noticed about its file system, one sentence for each kind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A kind of notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataset) enum Notice {
    /// The file system has no locks.
    NoLocks,
    /// The file system cannot sync directories.
    NoDirectorySync,
    /// An earlier run left a file without its final name.
    Unfinished,
}

impl Notice {
    /// Whether readers of the dataset should know. If not, only the user should.
    fn is_for_readers(self) -> bool {
        matches!(self, Notice::NoLocks | Notice::NoDirectorySync)
    }
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

    pub(super) fn all(&self) -> Vec<String> {
        self.texts(|_| true)
    }

    /// Those that readers of the dataset should know.
    pub(super) fn for_readers(&self) -> Vec<String> {
        self.texts(Notice::is_for_readers)
    }

    fn texts(&self, wanted: impl Fn(Notice) -> bool) -> Vec<String> {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = notices.iter().filter(|(kind, _)| wanted(*kind));
        wanted.map(|(_, text)| text.clone()).collect()
    }
}

/// The highest directory of the file system that holds `path`. Notices name it, so they are equal for all files there.
pub(in crate::dataset) fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).ok().map(|about| about.dev());
    let real = path
        .ancestors()
        .find_map(|place| fs::canonicalize(place).ok());
    // A relative path that does not exist yet.
    let real = real.or_else(|| std::env::current_dir().ok());
    let real = real.unwrap_or_else(|| path.to_owned());
    let ours = device(&real);
    let above = real.ancestors().take_while(|place| device(place) == ours);
    above.last().unwrap_or(&real).to_owned()
}

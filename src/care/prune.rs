//! Removes old nights from a dataset.
//!
//! [`plan`] decides, and changes nothing. [`Plan::carry_out`] removes.
//!
//! What is removed:
//! - Whole nights: all runs of a date and a vantage point, also killed runs that could be resumed. The date is that of the manifest's folder or
//!   of the parts, in UTC. Times of files are not used.
//! - Of a run: its manifests, its parts, parts that bear its id but that no manifest lists, and the files of its folder whose names are known.
//! - Folders that are empty then.
//!
//! What stays:
//! - A night with a run that a process writes.
//! - The newest night of each vantage point, and the night of the run that started last.
//! - A night with parts that another run lists, or that lie behind a link.
//! - Files that are not known. They are reported.
//! - Everything, if a manifest cannot be read: its parts are not known.
//!
//! Order, for each run:
//!
//! Before step 1, the night is locked, and the manifest is read again: a compaction may have replaced the parts since the plan was made.
//!
//! | step | after a crash behind it |
//! |---|---|
//! | 1. The record `.pruning/RUN.json` lists all files of the run. It is durable before step 2. | readers see the whole run |
//! | 2. The manifests are removed. | readers do not see the run; its parts are in no manifest |
//! | 3. Parts, other files and empty folders are removed. | the same |
//! | 4. The record is removed. | done |
//!
//! So no manifest ever lists a part that prune has removed. The next prune finishes every removal that has a record, whatever its own rule is.

mod plan;
mod record;
mod remove;

use std::io;
use std::path::PathBuf;

use chrono::NaiveDate;

pub use self::plan::{Doomed, Kept, Plan, Why, plan};
pub use self::remove::Removed;
use crate::dataset::read::ReadError;

/// Holds the records of removals that are under way.
pub(super) const RECORDS: &str = ".pruning";

/// Which nights to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Nights before this date, which itself stays.
    pub before: NaiveDate,
    /// Only the nights of this vantage point.
    pub vantage: Option<String>,
}

/// Why nothing was removed, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The dataset cannot be opened.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A manifest cannot be read.
    #[error("nothing was removed, because the parts of a damaged manifest are not known: {0}")]
    Damaged(ReadError),
    /// A single file.
    #[error("{} is no directory of runs: remove the file and its manifest yourself", .0.display())]
    NoDirectory(PathBuf),
    /// Another prune is at work.
    #[error("another process prunes {}: wait until it has ended", .0.display())]
    Busy(PathBuf),
    /// A record is damaged, or lists files elsewhere.
    #[error("{} is no record of a removal: look at it, and remove it", .0.display())]
    Record(PathBuf),
    /// The file system refused an operation.
    #[error("cannot {operation} {}: {source}{}; the next prune goes on from here", path.display(), remedy(source))]
    File {
        /// The operation, as in "cannot remove".
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// What a user can do about an error of the file system.
fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            ": a prune first writes down which files it removes, and needs some kilobytes for that: remove or move a small file there"
        }
        Some(libc::EROFS) => ": that file system cannot be written to: mount it for writing first",
        Some(libc::EACCES | libc::EPERM) => ": run this as the owner of the dataset",
        _ => "",
    }
}

impl PruneError {
    fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| PruneError::File {
            operation,
            path: path.into(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;

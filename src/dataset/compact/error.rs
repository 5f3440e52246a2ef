//! Errors of compacting, each with the run or file, and a remedy.

use std::net::IpAddr;
use std::path::PathBuf;

use arrow::error::ArrowError;

use crate::dataset::DatasetError;
use crate::dataset::read::ReadError;

/// Why a dataset could not be compacted. The rows are still there, in the old parts or in the new ones. Compacting again goes on.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A manifest or a part could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file could not be written, or another process writes into the directory.
    #[error("{}", in_words(.0))]
    Write(#[from] DatasetError),
    /// Rows could not be merged.
    #[error(
        "cannot merge rows of {table} of run {run_id}: {source}: report this, and keep the run as it is"
    )]
    Merge {
        /// The run.
        run_id: String,
        /// The table.
        table: &'static str,
        /// The reason.
        source: ArrowError,
    },
    /// The merged parts have other rows than the parts of the run.
    #[error(
        "run {run_id} has {expected} rows of {table}, and {found} were merged: the run is as before, check it with `datasets verify`"
    )]
    Rows {
        /// The run.
        run_id: String,
        /// The table.
        table: &'static str,
        /// Rows in the manifest.
        expected: u64,
        /// Rows merged.
        found: u64,
    },
    /// The stored targets of a sweep are not those of its rows.
    #[error(
        "run {run_id}: its targets.bin has another target than {destination} for trace {trace_id}: restore the file from a copy"
    )]
    OtherTargets {
        /// The run.
        run_id: String,
        /// The trace.
        trace_id: u64,
        /// The address in its rows.
        destination: IpAddr,
    },
    /// Several runs or manifests were left out. All others were compacted.
    #[error(
        "{count} runs could not be compacted, and are as before: see the lines above; the first is: {first}"
    )]
    Several {
        /// Their number.
        count: usize,
        /// The first error.
        first: Box<CompactError>,
    },
    /// The copy is to go into the dataset itself.
    #[error("{} is the dataset itself: give another directory, or leave out --to", .0.display())]
    SamePlace(PathBuf),
    /// The copy holds the run in another state.
    #[error(
        "{} is not the manifest of run {run_id} as it is now: give an empty directory with --to",
        manifest.display()
    )]
    OtherCopy {
        /// The manifest in the copy.
        manifest: PathBuf,
        /// The run.
        run_id: String,
    },
    /// Only directories have parts.
    #[error("{} is a single file, which has nothing to merge: give a directory", .0.display())]
    SingleFile(PathBuf),
    /// The record of an earlier compaction cannot be used.
    #[error("{} is not a whole record of a compaction: remove the file if no compaction runs, and compact again", .0.display())]
    Record(PathBuf),
}

impl CompactError {
    /// Whether only one run is concerned. Errors of writing would meet the next run as well.
    pub(super) fn is_of_one_run(&self) -> bool {
        match self {
            CompactError::Read(_)
            | CompactError::Merge { .. }
            | CompactError::Rows { .. }
            | CompactError::OtherTargets { .. }
            | CompactError::OtherCopy { .. }
            | CompactError::Record(_) => true,
            CompactError::Write(_)
            | CompactError::Several { .. }
            | CompactError::SamePlace(_)
            | CompactError::SingleFile(_) => false,
        }
    }

    /// All errors of a compaction as one. `None` if there is no error.
    pub(super) fn of_all(errors: Vec<CompactError>) -> Option<CompactError> {
        let count = errors.len();
        let first = errors.into_iter().next()?;
        Some(match count {
            1 => first,
            _ => CompactError::Several {
                count,
                first: Box::new(first),
            },
        })
    }
}

/// An error of writing. Its remedies are those of this command, whose place is not named with `-o`.
fn in_words(error: &DatasetError) -> String {
    let DatasetError::File {
        operation,
        path,
        source,
    } = error
    else {
        return error.to_string();
    };
    let remedy = match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            ": a compaction needs the space of the new parts before it removes the old ones: free space there, or write a copy to another disk \
             with --to"
        }
        Some(libc::EROFS | libc::EACCES) => {
            ": write a copy to a place that you may write to with --to"
        }
        _ => "",
    };
    format!("cannot {operation} {}: {source}{remedy}", path.display())
}

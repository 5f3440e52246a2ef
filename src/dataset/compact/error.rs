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
    #[error(transparent)]
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
    /// A process writes into the dataset.
    #[error("{} is being written by a run: compact it when the run has ended", .0.display())]
    Written(PathBuf),
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

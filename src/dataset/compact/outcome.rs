//! What a compaction reports.

use super::CompactError;

/// A report of [`compact`](super::compact).
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Rows were merged.
    Progress(Progress),
    /// A run is done.
    Done(&'a Compacted),
    /// A run, or a manifest that cannot be read, is left out because of an error. The others go on.
    Failed(&'a CompactError),
}

/// The progress of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows merged so far. Rows of a run with many parts are merged several times.
    pub rows: u64,
    /// Rows to merge in all.
    pub all_rows: u64,
}

/// What happened to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The run.
    pub run_id: String,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its parts were merged.
    Merged {
        /// The files before.
        before: Size,
        /// The files after.
        after: Size,
        /// The traces of a sweep that had none. `None` for any other run.
        traces: Option<SweepTraces>,
    },
    /// It stays as it is.
    Kept(Reason),
}

/// The traces of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepTraces {
    /// So many were written.
    Written(u64),
    /// They could not be computed, for this reason.
    Missing(String),
}

/// The files of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The number of parts of all tables.
    pub parts: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a run stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It has few parts for its rows.
    #[error("it has no more parts than it needs")]
    Compact,
    /// It has few parts for its rows. It is a sweep whose traces cannot be computed.
    #[error("it has no more parts than it needs, and its traces cannot be computed: {0}")]
    NoTraces(String),
    /// The copy has the run already.
    #[error("the copy has it already")]
    Copied,
    /// It has not finished.
    #[error("it is {0} and may be resumed")]
    Unfinished(String),
    /// A table has another version of its schema.
    #[error(
        "its table {table} has schema version {found}, and this program writes version {known}"
    )]
    Version {
        /// The table.
        table: String,
        /// The version in the manifest.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// This program does not know a table.
    #[error("its table {0} is not known to this program")]
    UnknownTable(String),
    /// A process writes into its night.
    #[error("a process writes into its night, so compact it when that has ended")]
    Written,
    /// Another command is at work in its night.
    #[error("`{0}` is at work in its night, so compact it when that has ended")]
    Busy(String),
    /// The file system has no locks, and a process on another host may write into its night.
    #[error("{0}")]
    Owned(String),
    /// Another process has removed it.
    #[error("another process has removed it")]
    Gone,
    /// It has no folder of its own.
    #[error("an earlier version wrote it")]
    Earlier,
}

impl Reason {
    /// Whether the run stays only because of another process. A later compaction may change it.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Reason::Written | Reason::Busy(_) | Reason::Owned(_))
    }
}

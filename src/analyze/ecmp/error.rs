//! Why a dataset has no answer about multipath.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::dataset::read::{ReadError, RowError};

/// Why an analysis failed. Each error names the dataset or the target, and a remedy.
#[derive(Debug, thiserror::Error)]
pub enum EcmpError {
    /// The dataset could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No run has several flows to a target.
    #[error(
        "{} has no run with several flows to a target (its runs: {}): survey with `--strategy multipath`, or with `--flows 16`",
        path.display(),
        found.join(", ")
    )]
    NoFlows {
        /// The dataset.
        path: PathBuf,
        /// The kinds of its runs, as in "a sweep".
        found: Vec<String>,
    },
    /// The dataset is a single file, which holds hops alone.
    #[error(
        "{} is a single file of hops, without traces and graphs: survey again with `-o DIRECTORY`",
        .0.display()
    )]
    SingleFile(PathBuf),
    /// The runs have no finished target.
    #[error(
        "{} has no finished target yet: wait until a part is sealed (`--seal-interval`), or resume the survey",
        .0.display()
    )]
    Empty(PathBuf),
    /// No graph has this target.
    #[error(
        "{} has no graph of the target {target:?}: give its address, or its text in the list of targets; `pathsurvey ecmp {} --csv=targets` lists both",
        path.display(),
        path.display()
    )]
    NoTarget {
        /// The dataset.
        path: PathBuf,
        /// The target asked for.
        target: String,
    },
    /// A text of the list of targets stands for several addresses.
    #[error(
        "{target:?} stands for {count} addresses: give one of them, such as {}",
        some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    SeveralAddresses {
        /// The target asked for.
        target: String,
        /// The number of its addresses in the newest run that has it.
        count: usize,
        /// Some of the addresses.
        some: Vec<IpAddr>,
    },
}

impl From<RowError> for EcmpError {
    fn from(error: RowError) -> Self {
        EcmpError::Read(error.into())
    }
}

//! Reads datasets. Resume, merge and the analyses use it.
//!
//! [`Dataset::open`] reads the manifests. Then:
//!
//! | wanted | call |
//! |---|---|
//! | the runs, their figures and their files | [`Dataset::runs`] |
//! | some runs only | [`Dataset::only`] |
//! | one run after the other | [`Dataset::into_runs`] |
//! | whether the files are as the runs wrote them | [`Dataset::verify`] |
//! | whether a process writes into the directory | [`Dataset::is_written`] |
//! | rows of a table, in order or in parallel | [`Dataset::scan`] |
//! | one trace after the other, with its hops | [`Dataset::traces`] |
//! | the traces to one destination, quickly | [`Dataset::traces_to`] |
//!
//! Guarantees:
//! - Nothing is written or removed. A run may write into the directory at the same time. Only [`Dataset::is_written`] touches a lock, and
//!   only for an instant.
//! - Only parts that a manifest lists are read. So a reader sees whole parts, and what it sees does not change after opening.
//! - Every part is compared with its manifest when it is opened: its size, its rows, and that it holds the table. A part that is missing, cut
//!   off or damaged is an error that names the file. No rows are skipped silently.
//! - Damaged bytes never cause a panic of the caller, and never an allocation larger than the file says its pages are. The decoder does not
//!   notice every changed byte, though: [`Dataset::verify`] with checksums does.
//! - Memory is bounded by batches and pages, not by the dataset. The manifests are held whole.
//! - Files of different schema versions can be read together. Columns are found by name. A column that a file lacks is null there.
//! - No order depends on threads or hashing: the same files give the same rows in the same order.
//!
//! Left out: formats other than Parquet, files without a manifest, and writing.
//!
//! ```no_run
//! use pathsurvey::dataset::read::{Dataset, Filter, Rows};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dataset = Dataset::open("nightly")?.only(|run| run.manifest().vantage.id == "fra-1");
//! let slow = Filter::at_least("rtt_us", 500_000).and(Filter::equals("ttl", 1));
//! for batch in dataset.scan("hops").columns(&["responder", "rtt_us"]).filter(slow).batches()? {
//!     for row in Rows::new(batch?).iter() {
//!         println!("{:?} {:?}", row.address("responder")?, row.int("rtt_us")?);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;

mod bound;
mod destination;
mod error;
mod file;
mod filter;
mod group;
mod hops;
mod lookup;
mod open;
mod part;
mod prune;
mod readable;
mod row;
mod run;
mod scan;
mod schema;
mod strays;
mod traces;
mod verify;

pub(super) use open::{earlier_manifests, is_locked, manifest_paths, of_night, read_manifest};

pub use error::ReadError;
pub use filter::{Filter, Value};
pub(super) use hops::trace_ids;
pub(super) use part::PartRows;
pub use row::{Row, RowError, Rows};
pub use run::{Part, Run};
pub use scan::{Batches, Scan};
pub use traces::{STRAY_BUDGET, Trace, TraceScan, Traces};
pub use verify::{Checks, Fault, Progress};

/// A dataset: a directory of runs, or a single Parquet file of hops.
#[derive(Clone, Debug)]
pub struct Dataset {
    path: PathBuf,
    runs: Vec<Run>,
    /// Runs that were not chosen. Their parts are known to [`Dataset::verify`].
    others: Vec<Run>,
}

impl Dataset {
    /// Opens the directory or the single Parquet file at `path`. Reads manifests and no rows. Links are followed.
    ///
    /// # Errors
    /// [`ReadError::NotFound`], [`ReadError::NoManifest`], [`ReadError::NotADataset`], [`ReadError::Manifest`], [`ReadError::PartPath`], and
    /// [`ReadError::File`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let (path, runs) = open::runs_at(path.as_ref())?;
        Ok(Dataset {
            path,
            runs,
            others: Vec::new(),
        })
    }

    /// The dataset of one run, whose parts are below `directory`.
    pub(super) fn of_manifest(
        directory: &Path,
        manifest: Manifest,
        manifest_path: PathBuf,
    ) -> Result<Self, ReadError> {
        Ok(Dataset {
            path: directory.to_owned(),
            runs: vec![Run::new(manifest, directory, manifest_path)?],
            others: Vec::new(),
        })
    }

    /// The directory or file, as given. For a link to a file, the file behind it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The runs by their start, then by id.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The run with this id, if it was chosen.
    pub fn run(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id() == id)
    }

    /// Whether a process writes into the directory now. If a run is in the state `running` and no process writes, the run was killed. See
    /// also [`Run::is_written`].
    ///
    /// This asks for a shared lock of every night and releases it at once. A run that starts in that instant is refused, as if another one
    /// was writing. False for a single file.
    ///
    /// # Errors
    /// [`ReadError::File`].
    pub fn is_written(&self) -> Result<bool, ReadError> {
        open::is_written(&self.path)
    }

    /// Keeps only some runs: by date, vantage point, id, state and so on.
    #[must_use]
    pub fn only(mut self, mut choose: impl FnMut(&Run) -> bool) -> Self {
        let (kept, others) = self.runs.into_iter().partition(|run| choose(run));
        self.runs = kept;
        self.others.extend::<Vec<Run>>(others);
        self
    }

    /// Splits the dataset into datasets of one run each, in the order of the runs. Runs that were not chosen are left out, so
    /// [`verify`](Dataset::verify) would take their parts for parts that no manifest lists.
    pub fn into_runs(self) -> impl ExactSizeIterator<Item = Dataset> {
        let path = self.path;
        self.runs.into_iter().map(move |run| Dataset {
            path: path.clone(),
            runs: vec![run],
            others: Vec::new(),
        })
    }

    /// Compares the files of the runs with the manifests, in parallel. Returns every fault. The list is empty if there is no fault.
    /// `progress` is called after every part, from several threads.
    ///
    /// Parts that no manifest lists are faults, too. If a run writes at the same time, its latest part may be one of them:
    /// see [`is_written`](Dataset::is_written).
    ///
    /// # Errors
    /// Errors of listing the directory. What is wrong with a part is a fault, not an error.
    pub fn verify(
        &self,
        checks: Checks,
        progress: impl Fn(Progress) + Sync,
    ) -> Result<Vec<Fault>, ReadError> {
        verify::verify(self, checks, &progress)
    }

    /// Reads a table, such as `hops`. Reads nothing yet.
    pub fn scan(&self, table: &str) -> Scan<'_> {
        Scan::new(self, table)
    }

    /// Reads traces with their hops. Reads nothing yet.
    pub fn traces(&self) -> TraceScan<'_> {
        TraceScan::new(self)
    }

    /// The traces to one destination with their hops, by run and part. Late replies in later parts are among the hops.
    ///
    /// This looks at the Bloom filters of all parts, in parallel, then at the pages of `hops` that may hold the traces. Parts without Bloom
    /// filters have dictionaries of `destination` instead, which takes longer. A sweep has no traces before it is compacted: [`scan`](Dataset::scan) its hops with a
    /// filter on `destination`.
    ///
    /// # Errors
    /// Errors of the files.
    pub fn traces_to(&self, destination: IpAddr) -> Result<Vec<Trace<'_>>, ReadError> {
        // No survey probes an IPv4-mapped address as such.
        destination::traces_to(self, destination.to_canonical())
    }

    /// The chosen runs and the others.
    fn all_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().chain(&self.others)
    }
}

//! Load balancing: figures over the graphs of all targets, and the graph of one target.
//!
//! | file | holds |
//! |---|---|
//! | `runs` | which runs are read: those of multipath tracing, or else those of several flows |
//! | `walk` | all graphs, one after the other |
//! | `flows` | a graph from the paths of several flows |
//! | `summary`, `counts`, `shared` | figures, distributions, diamonds that many targets share |
//! | `target` | the graph of one target |
//! | `draw` | that graph as DOT, GraphML and SVG |
//!
//! Guarantees:
//! - Memory does not grow with the rows of the tables. `summary`, `walk` and `shared` say what is held for each target and for each diamond.
//! - The result does not depend on threads: equal datasets give equal results.
//! - A damaged or unusual dataset is an error that names the file or the column, never a panic.

mod counts;
pub mod draw;
mod error;
mod flows;
mod rows;
mod runs;
mod shared;
mod summary;
mod target;
mod walk;

use std::path::Path;

use crate::dataset::read::Dataset;

pub use counts::{Bin, Spread};
pub use error::EcmpError;
pub use runs::{RunFacts, Source};
pub use shared::{BalancerFigures, DiamondFigures, SharedDiamond};
pub use summary::{Bound, Summary};
pub use target::{Found, TargetGraph};
pub use walk::{GraphFacts, Progress};

use walk::Meter;

/// The graphs of a dataset.
pub struct Graphs(runs::Chosen);

impl Graphs {
    /// Chooses the runs of `dataset` that have graphs. Reads no rows.
    ///
    /// # Errors
    /// [`EcmpError::NoFlows`], [`EcmpError::SingleFile`], [`EcmpError::Empty`].
    pub fn of(dataset: Dataset) -> Result<Self, EcmpError> {
        runs::choose(dataset).map(Graphs)
    }

    /// The path of the dataset.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where the graphs come from.
    pub fn source(&self) -> Source {
        self.0.source
    }

    /// The ids of runs with several flows that are left out because there are runs of multipath tracing.
    pub fn left_out(&self) -> &[String] {
        &self.0.left_out
    }

    /// Figures over all graphs. `progress` is called after every batch of rows, from several threads.
    ///
    /// # Errors
    /// Errors of the files.
    pub fn summary(&self, progress: impl Fn(Progress) + Sync) -> Result<Summary, EcmpError> {
        let meter = Meter::new(&self.0, summary::tables(self.0.source), &progress);
        summary::summarise(&self.0, &meter)
    }

    /// Calls `each` with the facts of every graph: by run, oldest first, and in a run in the order of its files.
    ///
    /// # Errors
    /// Errors of the files, and the first error of `each`.
    pub fn each<E: From<EcmpError>>(
        &self,
        progress: impl Fn(Progress) + Sync,
        mut each: impl FnMut(&GraphFacts) -> Result<(), E>,
    ) -> Result<(), E> {
        let tables: &[&str] = match self.0.source {
            Source::Multipath => &["traces", "graphs"],
            Source::Flows => &["traces"],
        };
        let meter = Meter::new(&self.0, tables, &progress);
        for run in &self.0.runs {
            walk::graphs(run, self.0.source, &meter, |seen| each(seen.facts))?;
        }
        Ok(())
    }

    /// The newest graph of a target. `target` is its address, or its text in the list of targets.
    ///
    /// # Errors
    /// [`EcmpError::NoTarget`], [`EcmpError::SeveralAddresses`], and errors of the files.
    pub fn target(&self, target: &str) -> Result<Found, EcmpError> {
        target::find(&self.0, target)
    }
}

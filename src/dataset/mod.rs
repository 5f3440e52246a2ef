//! The dataset: what a run leaves behind, and how it is kept whole.
//!
//! [`DatasetWriter`] takes [`HopRecord`](crate::model::HopRecord)s and [`TraceRecord`](crate::model::TraceRecord)s
//! and writes either a directory of Parquet parts with a manifest, or a single stream of hops (Parquet, CSV,
//! JSON Lines or Arrow IPC).
//!
//! Guarantees:
//! - A file under its final name is whole: it is written under another name, synced, then renamed. Killing the
//!   process at any moment leaves only whole parts; what a dead run
//!   left in `.partial/` is removed when the directory is opened again.
//! - A single file that could not be finished leaves its rows in `.NAME.partial`, up to the last whole batch, where its format can
//!   be read without its end: CSV, JSON Lines, and Arrow (a stream behind the first 64 bytes). Of Parquet nothing is left.
//! - Only regular files are replaced. A link is followed and stays; a FIFO, a character device or a descriptor that we were
//!   started with is written in place, as a stream, and has no manifest.
//! - The manifest lists a part only once it is whole. A run killed in between leaves a whole part that its manifest,
//!   which then says `running` for good, does not list.
//! - A trace's row is never on disk before its hops are: both tables are sealed together, hops first.
//! - Nothing here reads a clock or draws a number: the same rows at the same times give the same bytes.
//! - What is absent is null; never 0, never "".
//!
//! Left out: reading datasets (`analyze`), and resuming a run.
//!
//! A directory:
//! ```text
//! DIR/manifest.json                                              the latest run: see `manifest`
//! DIR/manifest-RUN.json                                          earlier runs into the same directory
//! DIR/hops/date=2026-03-01/vp=ID/part-RUN-00000.parquet          one row a probe
//! DIR/traces/date=2026-03-01/vp=ID/part-RUN-00000.parquet        one row a (target, flow)
//! DIR/.lock, DIR/.partial/                                       the writer's own
//! ```
//! `date` is the UTC day on which the run started. The partition key of the vantage point is called `vp` because the
//! files themselves hold a column `vantage`: pyarrow refuses a key that is also a column, and DuckDB would take the
//! key's type, a number for an id such as `17`, instead of the column's. Temporary files stay out of `hops/` and
//! `traces/`, because polars refuses a directory that holds files with other suffixes.

mod arrow_ipc;
mod cells;
mod columns;
mod csv;
mod directory;
mod error;
mod files;
mod hops_batch;
mod jsonl;
mod manifest;
mod meta;
mod output;
mod parquet;
mod pcap;
mod place;
mod schema;
mod single;
mod sink;
mod sort;
mod sys;
mod traces_batch;
mod writer;

pub use error::{DatasetError, Left};
pub use meta::{Ending, RunFacts, RunMeta, Vantage};
pub use output::{Format, Output, OutputError};
pub use pcap::{Kept, PcapFile};
pub(crate) use place::home;
pub use schema::{Table, schema_text};
pub use writer::{DatasetWriter, Finished, PartLimits};

#[cfg(test)]
mod full_disk_tests;

//! The dataset: the files of a run, and the guarantees about them.
//!
//! [`DatasetWriter`] takes [`HopRecord`](crate::model::HopRecord)s and [`TraceRecord`](crate::model::TraceRecord)s
//! and writes either a directory of Parquet parts with a manifest, or a single stream of hops (Parquet, CSV,
//! JSON Lines or Arrow IPC).
//!
//! Guarantees:
//! - A file under its final name is whole. It is written under another name, synced, then renamed. If the process is killed, only whole
//!   parts remain. Opening the directory again removes what a killed run left in `.partial/`.
//! - A single file that cannot be finished leaves its rows in `.NAME.partial`, up to the last whole batch. This holds for formats that
//!   can be read without their end: CSV, JSON Lines, and Arrow (a stream after the first 64 bytes). Parquet leaves nothing.
//! - Only regular files are replaced. If the path is a link, the file behind it is replaced. A FIFO, a character device or an inherited
//!   descriptor is written in place, as a stream without a manifest.
//! - The manifest lists a part only once it is whole. If a run is killed in between, its manifest stays at `running` and does not list
//!   the last part.
//! - A trace's row is never on disk before its hops. Both tables are sealed together, hops first.
//! - This module reads no clock and draws no random number. The same rows at the same times give the same bytes.
//! - Absent values are null; never 0, never "".
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
//! `date` is the UTC day on which the run started. The partition key of the vantage point is `vp`, because the files hold a column
//! `vantage`. Pyarrow refuses a key that is also a column. DuckDB would use the key's type, which is a number for an id such as `17`.
//! Temporary files are not in `hops/` and `traces/`, because polars refuses a directory with files of other suffixes.

mod arrow_ipc;
mod cells;
mod csv;
mod directory;
mod error;
mod files;
mod jsonl;
pub mod manifest;
mod meta;
mod output;
mod parquet;
mod pcap;
mod place;
pub mod read;
mod single;
mod sink;
mod sys;
pub mod table;
mod tables;
mod writer;

pub use directory::SealedPart;
pub use error::{DatasetError, Remains};
pub use manifest::not_sent;
pub use meta::{Ending, RunFigures, RunMeta, Vantage};
pub use output::{Format, Output, OutputError};
pub use pcap::{Kept, PcapFile};
pub(crate) use place::home;
pub use tables::{Hops, Traces, all as all_tables, named as table_named};
pub use writer::{Counted, DatasetWriter, Finished, NewRun, PartLimits, SealedHook};

#[cfg(test)]
mod full_disk_tests;

//! The dataset: the files of a run, and the guarantees about them.
//!
//! | item | purpose |
//! |---|---|
//! | [`DatasetWriter`] | writes a directory of Parquet parts with a manifest, or one file or stream of hops in a [`Format`] |
//! | [`read`] | reads a directory or a single Parquet file |
//! | [`table`] | declares tables: a strategy can add its own |
//! | [`manifest`] | the manifest as a type, to write and to read |
//! | [`PcapFile`] | writes the packets of a run |
//!
//! Guarantees of files:
//! - A file under its final name is whole. It is written under another name, synced, then renamed.
//! - If the process is killed, only whole parts remain. Opening the directory again empties `.partial/`.
//! - A single file that cannot be finished leaves its rows in `.NAME.partial`, up to the last whole batch. This holds for formats that
//!   can be read without their end: CSV, JSON Lines, and Arrow (a stream after the first 64 bytes). Parquet leaves nothing. The next run to
//!   the same name keeps it as `.NAME.partial.old`.
//! - Two processes never write to one place, also if the file system has no locks: see `files::lock`.
//! - Only regular files are replaced. If the path is a link, the file behind it is replaced. A FIFO, a character device or an inherited
//!   descriptor is written in place, as a stream without a manifest.
//!
//! Guarantees of a directory:
//! - All tables are sealed together. The parts of one sealing have the number of that sealing in their names, in every table. A table
//!   without rows in a sealing gets no part for it. At the end of the run, a table without any part gets an empty one.
//! - Tables are sealed in the order of the run's list. By default this is hops, then traces, so a trace's row is never on disk before
//!   its hops.
//! - The manifest lists a part only once it is whole. The manifest's counts of probes, replies, traces and responders are those of the
//!   parts that it lists, also while the run writes.
//! - If a run is killed between a part and its manifest, the manifest stays at `running` and does not list that part. The next run in the
//!   directory sets the state `killed`, and moves the part to `.unlisted/`.
//! - The hook of a run ([`NewRun::on_sealed`]) is called for a part after the manifest lists it.
//!
//! Guarantees of the writer:
//! - A thread of its own encodes and seals. The caller waits only if a part is due while an earlier one is still being sealed.
//! - It reads no clock and draws no random number. The same rows at the same times give the same bytes.
//! - Absent values are null; never 0, never "".
//!
//! Left out: resuming a run, and everything that is computed from several rows (`analyze`).
//!
//! A directory:
//! ```text
//! DIR/manifest.json                                              the latest run: see `manifest`
//! DIR/manifest-RUN.json                                          earlier runs into the same directory
//! DIR/hops/date=2026-03-01/vp=id-ID/part-RUN-00000.parquet       one row per probe
//! DIR/traces/date=2026-03-01/vp=id-ID/part-RUN-00000.parquet     one row per (target, flow)
//! DIR/.unlisted/hops/date=2026-03-01/…                           whole parts of killed runs that no manifest lists
//! DIR/.lock, DIR/.lock.owner, DIR/.partial/                      used by the writer only
//! ```
//! `00000` is the number of the sealing. `date` is the UTC day on which the run started. The partition key of the vantage point is `vp`,
//! because the files hold a column `vantage`. Pyarrow refuses a key that is also a column. DuckDB would use the key's type, which is a
//! number for an id such as `17`. The value of `vp` starts with `id-`, so that no reader takes it for a number, a date or null. Runs of
//! earlier versions lack this prefix. The column `vantage` holds the id as it is.
//! Temporary files are not in `hops/` and `traces/`, because polars refuses a directory with files of other suffixes.

mod arrow_ipc;
mod cells;
pub mod compact;
mod counted;
mod csv;
mod directory;
mod error;
mod files;
mod json;
mod jsonl;
pub mod manifest;
mod meta;
mod occupied;
mod output;
mod parquet;
mod pcap;
mod place;
pub mod read;
mod recent;
mod remedy;
mod single;
mod sink;
mod sys;
pub mod table;
mod tables;
mod totals;
mod writer;

pub use counted::{Counted, RowCounts};
pub use directory::{Chosen, Resumable, SealedPart, Unfinished};
pub use error::{DatasetError, Remains};
pub use manifest::not_sent;
pub use meta::{Ending, RunFigures, RunMeta, Vantage};
pub use occupied::Occupied;
pub use output::{Format, Output, OutputError};
pub use pcap::{Kept, PcapFile};
pub(crate) use place::home;
pub use tables::{Hops, Traces, all as all_tables, named as table_named};
use totals::Totals;
pub use writer::{DatasetWriter, Finished, NewRun, PartLimits, SealedHook, StoreTargets};

#[cfg(test)]
use crate::model;

/// Rows for tests.
#[cfg(test)]
#[path = "../../benches/rows/mod.rs"]
pub(crate) mod rows;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod full_disk_tests;

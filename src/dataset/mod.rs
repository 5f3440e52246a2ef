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
//! - If the process is killed, only whole parts remain. The next run in the directory removes unfinished files.
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
//! - Tables are sealed in the order of the run's list ([`tables_of`]). By default this is hops, then traces, so a trace's row is never on
//!   disk before its hops. Multipath tracing adds graphs, nodes, links and diamonds.
//! - The manifest lists a part only once it is whole. The manifest's counts of probes, replies, traces and responders are those of the
//!   parts that it lists, also while the run writes.
//! - A part gets its final name only when the run's checkpoint lists it. So if a run is killed before its manifest lists the part, the next
//!   process finishes that, and sets the state `killed`: see `directory::settle`.
//! - An unfinished run can be resumed ([`Resumable`]). All rows of a target are sealed together, so what is sealed is finished. Rows of
//!   targets that an interrupt cut short are in parts of their own, which a resumed run drops.
//! - One process at a time writes into a night (date and vantage point). Nights share a directory and do not wait for each other.
//! - The hook of a run ([`NewRun::on_sealed`]) is called for a part after the manifest lists it.
//!
//! Guarantees of the writer:
//! - A thread of its own encodes and seals. The caller waits only if a part is due while an earlier one is still being sealed.
//! - It reads no clock and draws no random number. The same rows at the same times give the same bytes.
//! - Absent values are null; never 0, never "".
//!
//! Left out: everything that is computed from several rows (`analyze`).
//!
//! A directory:
//! ```text
//! DIR/manifest.json                                              a copy of the manifest of the run that started last
//! DIR/hops/date=2026-03-01/vp=id-ID/part-RUN-00000.parquet       one row per probe
//! DIR/traces/date=2026-03-01/vp=id-ID/part-RUN-00000.parquet     one row per (target, flow)
//! DIR/graphs/…, nodes/…, links/…, diamonds/…                     of multipath tracing
//! DIR/runs/date=2026-03-01/vp=id-ID/RUN/manifest.json            see `manifest`
//! DIR/runs/date=2026-03-01/vp=id-ID/RUN/targets.bin              the loaded targets
//! DIR/runs/date=2026-03-01/vp=id-ID/RUN/checkpoint.json          of an unfinished run: parts that the manifest may lack, and counts
//! DIR/runs/date=2026-03-01/vp=id-ID/RUN/_SUCCESS                 of a complete run: empty
//! DIR/runs/date=2026-03-01/vp=id-ID/RUN/.partial/                unfinished files
//! DIR/runs/date=2026-03-01/vp=id-ID/.lock                        locked while a run writes into the night
//! DIR/.manifest.lock                                             locked while DIR/manifest.json is replaced
//! ```
//! Versions before the folder `runs` had one lock and one `.partial/` for the directory, and kept earlier manifests as
//! `DIR/manifest-RUN.json`. Such directories can be read, and runs can be added to them.
//!
//! `00000` is the number of the sealing. `date` is the night: the one asked for, or the UTC day on which the run started. The partition key of the vantage point is `vp`,
//! because the files hold a column `vantage`. Pyarrow refuses a key that is also a column. DuckDB would use the key's type, which is a
//! number for an id such as `17`. The value of `vp` starts with `id-`, so that no reader takes it for a number, a date or null. Runs of
//! earlier versions lack this prefix. The column `vantage` holds the id as it is.
//! Temporary files are not in the folders of tables, because polars refuses a directory with files of other suffixes.

mod addresses;
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
pub use directory::{Chosen, Resumable, SealedPart, Unfinished, close_finished};
pub use error::{DatasetError, Remains};
pub use manifest::not_sent;
pub use meta::{Ending, RunFigures, RunMeta, Vantage};
pub use occupied::Occupied;
pub use output::{Format, Output, OutputError};
pub use pcap::{Kept, PcapFile};
pub(crate) use place::home;
pub use tables::{
    Diamonds, Graphs, Hops, Links, Nodes, Traces, all as all_tables, named as table_named,
    of as tables_of,
};
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

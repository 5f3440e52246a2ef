//! What the rows of a trace show: its path, its anomalies and its row in `traces`.
//!
//! | file | holds |
//! |---|---|
//! | `hop_rows` | the rows whose responder is the hop at the TTL of the row |
//! | `path_rows` | the row that stands for each TTL of the path |
//! | `anomalies` | the anomalies of the rows |
//! | `record` | the row of the trace |
//! | `graph_record` | the row of a trace of many flows |
//! | `sweep` | the end, the path and the row of a (target, flow) of a sweep |
//!
//! Everything here is a pure function of the rows and of the end of the trace. The engine calls it when a trace ends, and the dataset when
//! it compacts a sweep. So both give the same row for the same hops.

pub mod anomalies;
mod graph_record;
pub mod hop_rows;
pub mod path_rows;
mod record;
pub mod sweep;

pub use graph_record::graph_record;
pub use record::trace_record;

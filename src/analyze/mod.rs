//! Analyses of datasets.
//!
//! | module | answers |
//! |---|---|
//! | [`ecmp`] | how widely the paths to the targets are balanced, and what the graph of one target looks like |
//!
//! Guarantees:
//! - Only datasets are read. No analysis probes, and none changes a file.
//! - No function reads a clock: the same dataset gives the same result, byte for byte.

pub mod ecmp;

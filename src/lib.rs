//! pathsurvey surveys the network paths to many targets and writes structured datasets.
//!
//! Data flows one way: targets → strategy → limiter → ledger → wire → transport → network, and replies back through
//! wire → matcher → records → dataset. [`dataset::read`] reads datasets back. README.md, "How it works", leads through the files.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::too_many_lines, reason = "tests may be tables"))]

pub mod analyze;
pub mod care;
pub mod config;
pub mod dataset;
pub mod engine;
pub mod lab;
pub mod model;
pub mod paths;
pub mod strategy;
pub mod survey;
pub mod targets;
pub mod transport;
pub mod wire;

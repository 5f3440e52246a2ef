//! Whole surveys over simulated networks in virtual time: no socket, no privilege, no clock, and therefore exact.
//!
//! `experiment` runs the engine over a network that records what it did with each packet; `oracle` says from that record alone
//! what every row must be; `truth` says what the network could have shown. The rest are surveys that are compared
//! with one or both. `rewriting` reckons by itself what each rewriting leaves to know a probe by.

mod anomalies;
mod blocked;
mod clean;
mod columns;
mod costs;
mod drivers;
mod ends;
mod experiment;
mod faults;
mod golden;
mod lengths;
mod limits;
mod multipath;
mod nat;
mod odd_packets;
mod oracle;
mod order;
mod parquet_rows;
mod paths_column;
mod paths_truth;
mod properties;
mod repeatable;
mod resumed;
mod rewriting;
mod second_pass;
mod services;
mod sizes;
mod sweep;
mod tcp;
mod traces;
mod truth;

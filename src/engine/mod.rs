//! The engine: sends what a strategy asks for at a steady rate, matches what comes back, and accounts for every probe.
//!
//! The [`core`] joins strategy, limiter, ledger and matcher without clock, socket or thread. Two drivers lend it time and a
//! network: `live` and `virtual_time`. Both send through an `outbox`, receive through an `inbox` and write through a `collector`.
//!
//! | file | what it does | reads a clock, owns threads |
//! |---|---|---|
//! | `core` | the run itself: probes, replies and time in, events out | no |
//! | `limiter` | when the next probe may go | no |
//! | `deferred` | probes that this host had no room for | no |
//! | `format` | from a probe to a packet, and from a quote to open facts | no |
//! | `ledger` | every live probe, found by open facts and by IP ID | no |
//! | `matcher` | which probe a quote answers, and how sure that is | no |
//! | `nat` | learns what a 1:1 NAT before us does to checksums | no |
//! | `tracker` | how every probe ends: rows and outcomes | no |
//! | `outbox` | a batch of probes on its way to the kernel | no |
//! | `inbox` | packets on their way to the core | no |
//! | `assembler` | rows of a target together | no |
//! | `collector` | events to finished rows, and these to the sink | no |
//! | `report` | the run's figures | no |
//! | `sink` | where rows go | no |
//! | `stop` | how a run is asked to end | no |
//! | `clock` | the run's time scale | yes |
//! | `live` | the driver for a real network: sender, receiver and collector threads | yes |
//! | `virtual_time` | the driver for the lab in-process, jumping from event to event | no |

pub mod assembler;
pub mod clock;
pub mod collector;
pub mod core;
mod deferred;
pub mod format;
pub mod inbox;
pub mod ledger;
pub mod limiter;
pub mod live;
pub mod matcher;
pub mod nat;
pub mod outbox;
pub mod report;
pub mod sink;
pub mod stop;
pub mod tracker;
pub mod virtual_time;

//! The engine: sends what a strategy asks for at a steady rate, matches what comes back, and accounts for every probe.
//!
//! | file | what it does | reads a clock, owns threads |
//! |---|---|---|
//! | `pacer` | when the next probe may go | no |
//! | `format` | from a probe to a packet, and from a quote to open facts | no |
//! | `ledger` | every live probe, found by open facts and by IP ID | no |
//! | `matcher` | which probe a quote answers, and how sure that is | no |
//! | `nat` | learns what a 1:1 NAT before us does to checksums | no |
//! | `tracker` | ledger and matcher together: replies and time in, rows and outcomes out | no |
//! | `hop_rows` | which rows of a trace tell who stands at their TTL | no |
//! | `anomalies` | what a trace's rows show out of the ordinary | no |
//! | `assembler` | rows of a trace together | no |
//! | `dispatch` | what leaves next: the strategy's wishes at the pacer's speed | no |
//! | `report` | the run's figures | no |
//! | `sink` | where rows go | no |
//! | `stop` | how a run is asked to end | no |
//! | `clock` | the run's time scale | yes |
//! | `live` | a real run: sender, receiver and collector threads | yes |
//! | `virtual_time` | the same pieces over the lab in-process, jumping from event to event | no |

pub mod anomalies;
pub mod assembler;
pub mod clock;
pub mod dispatch;
pub mod format;
pub mod hop_rows;
pub mod ledger;
pub mod live;
pub mod matcher;
pub mod nat;
pub mod pacer;
pub mod report;
pub mod sink;
pub mod stop;
pub mod tracker;
pub mod virtual_time;

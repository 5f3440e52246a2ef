//! Whole surveys over real sockets. Every case enters a network namespace of its own first, and fails if it cannot: no
//! packet of these tests can leave it.

mod live {
    pub mod account;
    pub mod clean;
    pub mod lab;
    pub mod truth;
}
#[path = "support/rows.rs"]
mod rows;
mod support;

use std::process::ExitCode;

use live::clean;
use support::{Case, User};

fn main() -> ExitCode {
    let case = |name, user, run| Case { name, user, run };
    support::main(&[
        case(
            "a_clean_network_is_surveyed_row_for_row",
            User::Caller,
            clean::thousands_of_targets,
        ),
        case(
            "a_sweep_shows_every_ttl_once",
            User::Caller,
            clean::every_ttl_of_a_sweep,
        ),
    ])
}

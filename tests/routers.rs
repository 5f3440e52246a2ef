//! Surveys along a chain of real Linux routers with two balancers, in network namespaces: the same responders and the same paths
//! as other people's programs find there, for every protocol and both families.
//!
//! The chain, and why each of its settings is there: `routers/build.sh`. Nothing leads out of it, and it vanishes with the case.

#![allow(
    clippy::disallowed_methods,
    reason = "tests may read clocks and open sockets"
)]

mod routers {
    pub mod agree;
    pub mod chain;
    pub mod listener;
    pub mod nowhere;
    pub mod others;
    pub mod paths;
    pub mod survey;
    pub mod translation;
}
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::process::ExitCode;

use routers::chain::Family::{V4, V6};
use routers::{agree, listener, nowhere, translation};
use support::{Case, Outcome, User};

/// A case as it is shown, and what it runs.
type Named = (&'static str, fn() -> Outcome);

fn main() -> ExitCode {
    if let Some(ended) = listener::if_asked() {
        return ended;
    }
    let cases: &[Named] = &[
        ("udp_over_ipv4_agrees", || agree::udp(V4)),
        ("tcp_over_ipv4_agrees", || agree::tcp(V4)),
        ("icmp_over_ipv4_agrees", || agree::icmp(V4)),
        ("udp_over_ipv6_agrees", || agree::udp(V6)),
        ("tcp_over_ipv6_agrees", || agree::tcp(V6)),
        ("icmp_over_ipv6_agrees", || agree::icmp(V6)),
        ("tcp_acknowledgements_over_ipv4_agree", || {
            agree::tcp_ack(V4)
        }),
        ("tcp_acknowledgements_over_ipv6_agree", || {
            agree::tcp_ack(V6)
        }),
        ("a_closed_tcp_port_over_ipv4_agrees", || {
            agree::closed_tcp(V4)
        }),
        ("a_closed_tcp_port_over_ipv6_agrees", || {
            agree::closed_tcp(V6)
        }),
        ("an_unreachable_target_over_ipv4_agrees", || {
            nowhere::unreachable(V4)
        }),
        ("an_unreachable_target_over_ipv6_agrees", || {
            nowhere::unreachable(V6)
        }),
        ("a_translator_over_ipv4_shows_nowhere", || {
            translation::restores_all(V4)
        }),
        ("a_translator_over_ipv6_shows_nowhere", || {
            translation::restores_all(V6)
        }),
        ("a_silent_target_over_ipv4_agrees", || nowhere::silent(V4)),
        ("a_silent_target_over_ipv6_agrees", || nowhere::silent(V6)),
    ];
    let cases: Vec<Case> = cases
        .iter()
        .map(|(name, run)| Case {
            name,
            user: User::Root,
            run: *run,
        })
        .collect();
    support::main(&cases)
}

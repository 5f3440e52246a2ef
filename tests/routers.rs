//! Surveys along a chain of real Linux routers with two balancers, in network namespaces: the same responders and the same paths
//! as other people's programs find there, for every protocol and both families. Multipath surveys of fabrics of such routers: all branches
//! of every target, and nothing else.
//!
//! `routers/build.sh` builds the chain and says why each of its settings is there; `routers/ecmp/fabric.sh` builds the fabrics. Nothing
//! leads out of them, and they vanish with the case.

#![allow(
    clippy::disallowed_methods,
    reason = "tests may read clocks and open sockets"
)]

mod routers {
    pub mod agree;
    pub mod chain;
    pub mod ecmp;
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
use routers::ecmp::fabric::Shape::{Mesh, Tree};
use routers::ecmp::{branches, peculiar};
use routers::{agree, listener, nowhere, translation};
use support::{Case, Outcome, User};

/// A case as it is shown, and what it runs.
type Named = (&'static str, fn() -> Outcome);

/// The cases of multipath tracing.
const ECMP: &[Named] = &[
    ("udp_under_policy_1_finds_all_branches_over_ipv4", || {
        branches::udp_under_policy_1(Tree, V4)
    }),
    ("udp_under_policy_1_finds_all_branches_over_ipv6", || {
        branches::udp_under_policy_1(Mesh, V6)
    }),
    ("tcp_under_policy_1_finds_all_branches_over_ipv4", || {
        branches::tcp_under_policy_1(Mesh, V4)
    }),
    ("tcp_under_policy_1_finds_all_branches_over_ipv6", || {
        branches::tcp_under_policy_1(Tree, V6)
    }),
    ("icmp_under_policy_1_finds_one_branch_over_ipv4", || {
        branches::icmp_under_policy_1(V4)
    }),
    ("icmp_under_policy_1_finds_one_branch_over_ipv6", || {
        branches::icmp_under_policy_1(V6)
    }),
    ("udp_under_policy_0_finds_one_branch_over_ipv4", || {
        branches::udp_under_policy_0(V4)
    }),
    ("udp_under_policy_0_finds_one_branch_over_ipv6", || {
        branches::udp_under_policy_0(V6)
    }),
    (
        "source_ports_under_policy_3_find_all_branches_over_ipv4",
        || branches::source_ports_under_policy_3(V4),
    ),
    (
        "source_ports_under_policy_3_find_all_branches_over_ipv6",
        || branches::source_ports_under_policy_3(V6),
    ),
    ("destination_ports_under_policy_3_find_all_branches", || {
        branches::destination_ports_under_policy_3(V4)
    }),
    (
        "flow_labels_of_udp_under_policy_0_find_all_branches",
        || branches::flow_labels_under_policy_0("udp"),
    ),
    (
        "flow_labels_of_tcp_under_policy_0_find_all_branches",
        || branches::flow_labels_under_policy_0("tcp"),
    ),
    (
        "flow_labels_of_icmp_under_policy_0_find_all_branches",
        || branches::flow_labels_under_policy_0("icmp"),
    ),
    (
        "flow_labels_of_udp_under_policy_3_find_all_branches",
        || branches::flow_labels_under_policy_3("udp"),
    ),
    (
        "flow_labels_of_tcp_under_policy_3_find_all_branches",
        || branches::flow_labels_under_policy_3("tcp"),
    ),
    (
        "flow_labels_of_icmp_under_policy_3_find_all_branches",
        || branches::flow_labels_under_policy_3("icmp"),
    ),
    ("flow_labels_under_policy_1_find_one_branch", || {
        branches::flow_labels_under_policy_1("tcp")
    }),
    ("icmp_checksums_under_policy_1_find_one_branch", || {
        branches::icmp_checksums_under_policy_1(V4)
    }),
    ("incomplete_graphs_are_as_few_as_the_bound_says", || {
        branches::misses_keep_the_bound(V4)
    }),
    (
        "a_lighter_next_hop_is_missed_as_often_as_its_weight_says",
        || peculiar::unequal_weights(V4),
    ),
    ("a_resilient_group_shows_its_next_hops_over_ipv4", || {
        peculiar::resilient_groups(V4)
    }),
    ("a_resilient_group_shows_its_next_hops_over_ipv6", || {
        peculiar::resilient_groups(V6)
    }),
    ("a_silent_next_hop_is_no_node_and_no_link", || {
        peculiar::a_silent_next_hop(V4)
    }),
    ("a_stateful_router_shows_all_branches_over_ipv4", || {
        peculiar::a_stateful_router(V4)
    }),
    ("a_stateful_router_shows_all_branches_over_ipv6", || {
        peculiar::a_stateful_router(V6)
    }),
    (
        "packets_balanced_one_by_one_show_no_links_over_ipv4",
        || peculiar::packets_balanced_one_by_one(V4),
    ),
    (
        "packets_balanced_one_by_one_show_no_links_over_ipv6",
        || peculiar::packets_balanced_one_by_one(V6),
    ),
    ("halves_drawn_for_each_packet_show_no_false_link", || {
        peculiar::halves_drawn_for_each_packet(V4)
    }),
    (
        "silent_halves_drawn_for_each_packet_show_no_false_link",
        || peculiar::silent_halves_drawn_for_each_packet(V4),
    ),
    (
        "uplinks_of_the_vantage_point_show_one_by_one_over_ipv4",
        || peculiar::uplinks(V4),
    ),
    (
        "uplinks_of_the_vantage_point_show_one_by_one_over_ipv6",
        || peculiar::uplinks(V6),
    ),
];

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
    let [cases, fabrics] = [cases, ECMP].map(|named| -> Vec<Case> {
        let of_root = named.iter().map(|(name, run)| Case {
            name,
            user: User::Root,
            run: *run,
        });
        of_root.collect()
    });
    support::main_of(&cases, &fabrics)
}

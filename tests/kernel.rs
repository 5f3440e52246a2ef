//! Namespaces, the lab's devices and the raw transport on the real kernel. Every case enters a namespace of its own first and
//! fails if it cannot: no packet of these tests can leave it.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests may read clocks, open sockets and be tables"
)]

mod kernel {
    pub mod echo;
    pub mod errors;
    pub mod filters;
    pub mod ipv6;
    pub mod loopback;
    pub mod namespaces;
    pub mod neighbours;
    pub mod order;
    pub mod sources;
    pub mod tcp;
}
mod support;

use std::process::ExitCode;

use kernel::{echo, errors, filters, ipv6, loopback, namespaces, neighbours, order, sources, tcp};
use support::{Case, User};

fn main() -> ExitCode {
    let case = |name, user, run| Case { name, user, run };
    support::main(&[
        case(
            "root_enters_a_network_namespace",
            User::Root,
            namespaces::as_root,
        ),
        case(
            "an_ordinary_user_enters_a_user_namespace",
            User::Ordinary,
            namespaces::as_ordinary_user,
        ),
        case(
            "a_user_namespace_is_refused_to_a_process_of_several_threads",
            User::Caller,
            namespaces::with_threads,
        ),
        case(
            "the_limit_on_namespaces_is_named",
            User::Caller,
            namespaces::none_left,
        ),
        case(
            "a_program_runs_inside_and_its_exit_code_comes_back",
            User::Caller,
            namespaces::program,
        ),
        case(
            "signals_reach_the_program_inside",
            User::Caller,
            namespaces::signals,
        ),
        case(
            "every_reply_comes_back_over_tun",
            User::Root,
            echo::over_tun,
        ),
        case(
            "every_reply_comes_back_over_tun_in_a_user_namespace",
            User::Root,
            echo::over_tun_in_user_namespace,
        ),
        case(
            "every_reply_comes_back_over_veth",
            User::Root,
            echo::over_veth,
        ),
        case(
            "every_reply_comes_back_to_an_ordinary_user",
            User::Ordinary,
            echo::as_ordinary_user,
        ),
        case("ipv6_works_over_tun", User::Root, ipv6::over_tun),
        case("ipv6_works_over_veth", User::Root, ipv6::over_veth),
        case(
            "ipv6_works_for_an_ordinary_user",
            User::Ordinary,
            ipv6::over_veth,
        ),
        case(
            "tcp_hosts_and_our_kernel_understand_each_other",
            User::Caller,
            tcp::connections,
        ),
        case("at_full_speed_nothing_is_lost", User::Root, echo::at_speed),
        case(
            "send_errors_are_told_apart_and_stop_nothing",
            User::Caller,
            errors::send_errors,
        ),
        case(
            "sources_are_those_of_the_routes",
            User::Caller,
            errors::sources,
        ),
        case(
            "no_probe_leaves_from_a_link_local_address",
            User::Root,
            sources::link_local_only,
        ),
        case(
            "addresses_that_come_and_go_are_known_as_ours",
            User::Root,
            sources::own_addresses,
        ),
        case(
            "a_full_neighbour_table_holds_up_its_own_packets_alone",
            User::Root,
            neighbours::table_full,
        ),
        case(
            "packets_that_wait_for_neighbours_leave_room_for_others",
            User::Root,
            neighbours::buffer_full,
        ),
        case(
            "a_full_device_queue_is_no_matter_of_neighbours",
            User::Root,
            neighbours::device_full,
        ),
        case(
            "drops_of_a_full_socket_are_counted",
            User::Caller,
            errors::socket_drops,
        ),
        case(
            "drops_of_a_full_ring_are_counted",
            User::Caller,
            errors::ring_drops,
        ),
        case(
            "a_dropping_namespace_takes_everything",
            User::Caller,
            errors::dropping,
        ),
        case(
            "an_interface_that_is_down_is_named",
            User::Caller,
            errors::interface_down,
        ),
        case(
            "port_blocks_do_not_collide",
            User::Caller,
            errors::port_blocks,
        ),
        case(
            "ping_sockets_share_no_identifier_with_another_run",
            User::Caller,
            errors::ping_blocks,
        ),
        case(
            "raw_sockets_without_privilege_name_the_remedy",
            User::Ordinary,
            errors::privilege,
        ),
        case(
            "only_icmp_errors_pass_the_socket",
            User::Caller,
            filters::of_the_socket,
        ),
        case(
            "only_icmp_errors_pass_the_ring",
            User::Caller,
            filters::of_the_ring,
        ),
        case(
            "the_test_over_loopback_shows_which_replies_are_received",
            User::Caller,
            loopback::shows_which_replies_are_received,
        ),
        case(
            "the_test_over_loopback_is_made_with_our_own_addresses",
            User::Caller,
            loopback::is_made_with_our_own_addresses,
        ),
        case(
            "long_packets_are_cut_off_not_lost",
            User::Caller,
            filters::long_packets,
        ),
        case(
            "packets_of_several_sockets_come_in_the_order_of_their_stamps",
            User::Caller,
            order::of_packets,
        ),
        case(
            "datagrams_of_several_sockets_come_in_the_order_of_their_stamps",
            User::Caller,
            order::of_datagrams,
        ),
        case(
            "what_the_lab_device_drops_is_counted",
            User::Root,
            filters::full_device,
        ),
    ])
}

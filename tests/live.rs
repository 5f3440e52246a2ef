//! Whole surveys over real sockets. Every case enters a network namespace of its own first, and fails if it cannot: no
//! packet of these tests can leave it.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests may read clocks, open sockets and be tables"
)]

mod live {
    pub mod accidents;
    pub mod account;
    pub mod clean;
    pub mod ending;
    pub mod errnos;
    pub mod firewall;
    pub mod grants;
    pub mod host;
    pub mod kept;
    pub mod lab;
    pub mod names;
    pub mod neighbours;
    pub mod ordinary;
    pub mod origin;
    pub mod outage;
    pub mod paths;
    pub mod places;
    pub mod privileges;
    pub mod program;
    pub mod protocols;
    pub mod refused;
    pub mod remedies;
    pub mod timing;
    pub mod together;
    pub mod tools;
    pub mod translation;
    pub mod truth;
    pub mod unprivileged;
}
#[path = "support/dns.rs"]
mod dns;
#[path = "support/tools.rs"]
mod others;
#[path = "support/rows.rs"]
mod rows;
mod support;

use std::process::ExitCode;

use live::{
    accidents, clean, ending, errnos, firewall, grants, kept, names, neighbours, ordinary, origin,
    outage, paths, places, privileges, protocols, refused, remedies, timing, together, tools,
    translation, unprivileged,
};
use support::{Case, Outcome, User};

/// A case as it is shown, and what it runs.
type Named = (&'static str, fn() -> Outcome);

fn main() -> ExitCode {
    let cases: &[Named] = &[
        (
            "a_clean_network_is_surveyed_row_for_row",
            clean::thousands_of_targets,
        ),
        ("a_sweep_shows_every_ttl_once", clean::every_ttl_of_a_sweep),
        (
            "loss_and_duplicates_are_told_probe_by_probe",
            accidents::loss,
        ),
        ("late_replies_are_told_apart", accidents::late),
        (
            "per_packet_balancers_show_what_they_chose",
            accidents::per_packet,
        ),
        ("rate_limits_are_told_from_loss", accidents::rate_limits),
        (
            "all_accidents_at_once_are_accounted_for",
            accidents::everything,
        ),
        ("udp_over_ipv4_equals_the_truth", protocols::udp_ipv4),
        ("udp_over_ipv6_equals_the_truth", protocols::udp_ipv6),
        ("icmp_over_ipv4_equals_the_truth", protocols::icmp_ipv4),
        ("icmp_over_ipv6_equals_the_truth", protocols::icmp_ipv6),
        ("tcp_over_ipv4_equals_the_truth", protocols::tcp_ipv4),
        ("tcp_over_ipv6_equals_the_truth", protocols::tcp_ipv6),
        ("tcp_ack_equals_the_truth", protocols::tcp_ack),
        ("tcp_psh_equals_the_truth", protocols::tcp_psh),
        ("udp_services_equal_the_truth", protocols::udp_service),
        ("probes_of_one_size_equal_the_truth", protocols::one_size),
        (
            "probes_leave_from_the_address_asked_for",
            origin::our_own_addresses,
        ),
        (
            "a_source_for_one_family_tells_of_the_other",
            origin::the_other_family_is_told,
        ),
        (
            "origins_that_are_not_there_are_named",
            origin::refusals_are_named,
        ),
        (
            "what_is_too_large_is_a_send_error",
            origin::too_large_is_a_send_error,
        ),
        ("the_path_mtu_is_found", protocols::path_mtu),
        (
            "what_the_kernel_knows_of_a_path_s_mtu_keeps_no_probe_back",
            protocols::larger_than_the_path,
        ),
        ("hops_answer_as_often_as_wanted", protocols::probes_per_hop),
        ("tcp_leaves_nothing_half_open", protocols::no_half_open),
        ("silence_ends_traces_at_the_gap_limit", paths::silence),
        ("loops_end_traces", paths::looping),
        (
            "unreachables_end_traces_with_their_code",
            paths::unreachable,
        ),
        ("zero_ttl_forwarding_is_no_loop", paths::zero_ttl),
        ("label_stacks_are_kept", paths::mpls),
        ("every_flow_has_its_own_path", paths::diamond),
        (
            "long_quotes_are_sure_behind_nat",
            translation::nat_with_long_quotes,
        ),
        (
            "nat_is_learned_from_short_quotes",
            translation::nat_is_learned,
        ),
        (
            "nat_shows_in_the_quoted_source",
            translation::nat_that_restores_nothing,
        ),
        (
            "nat_that_restores_all_is_not_seen",
            translation::nat_that_restores_all,
        ),
        ("rewritten_destinations_are_told", translation::rewriting),
        (
            "rewritten_destinations_are_found_by_short_quotes",
            translation::rewriting_with_short_quotes,
        ),
        (
            "two_surveys_side_by_side_exchange_nothing",
            together::side_by_side,
        ),
        ("round_trips_are_the_networks", timing::round_trips),
        ("a_killed_survey_leaves_whole_parts", ending::killed),
        ("sigint_ends_a_survey_in_order", ending::by_sigint),
        (
            "several_sigints_together_are_one",
            ending::by_several_sigints_together,
        ),
        (
            "two_signals_to_the_process_group_are_one",
            ending::by_two_signals_to_the_group,
        ),
        ("timeout_ends_a_survey_in_order", ending::by_timeout),
        ("sigterm_ends_a_survey_in_order", ending::by_sigterm),
        ("sighup_ends_a_survey_in_order", ending::by_sighup),
        (
            "the_longest_duration_ends_a_survey_in_order",
            ending::by_its_longest_duration,
        ),
        (
            "a_sighup_that_is_ignored_ends_nothing",
            ending::ignoring_sighup,
        ),
        (
            "a_second_signal_ends_a_survey_at_once_and_in_order",
            ending::at_once,
        ),
        (
            "a_hanging_writer_does_not_keep_a_survey_from_ending",
            ending::in_spite_of_a_hanging_writer,
        ),
        ("every_packet_received_is_kept", kept::every_packet),
        ("an_interrupted_survey_keeps_its_packets", kept::interrupted),
        ("refused_destinations_are_send_errors", refused::send_errors),
        ("an_ordinary_user_surveys_the_lab", ordinary::lab_survey),
        (
            "without_privilege_the_remedy_is_named",
            ordinary::without_privilege,
        ),
        (
            "without_namespaces_the_remedy_is_named",
            ordinary::without_namespaces,
        ),
        ("names_are_asked_of_the_server_named", names::by_a_server),
        (
            "names_are_asked_of_a_server_in_a_zone",
            names::by_a_server_in_a_zone,
        ),
        ("names_in_the_lab_stay_in_it", names::in_the_lab),
        (
            "privileges_are_given_up_by_every_thread",
            privileges::given_up,
        ),
        (
            "programs_in_the_lab_keep_privileges",
            privileges::lab_exec_keeps_them,
        ),
        ("traceroute_sees_the_true_paths", tools::traceroute),
        (
            "traceroute_sees_the_true_paths_in_ipv6",
            tools::traceroute_in_ipv6,
        ),
    ];
    let case = |(name, run): &Named| Case {
        name,
        user: User::Caller,
        run: *run,
    };
    let mut cases: Vec<Case> = cases.iter().map(case).collect();
    for (name, run) in [
        (
            "without_privilege_ipv4_is_surveyed_row_for_row",
            unprivileged::udp::ipv4 as fn() -> Outcome,
        ),
        (
            "without_privilege_ipv6_is_surveyed_row_for_row",
            unprivileged::udp::ipv6,
        ),
        (
            "without_privilege_short_quotes_are_told_one_by_one",
            unprivileged::udp::short_quotes,
        ),
        (
            "without_privilege_silence_is_no_reply",
            unprivileged::udp::silence,
        ),
        (
            "without_privilege_loss_is_accounted_for",
            unprivileged::udp::loss,
        ),
        (
            "without_privilege_label_stacks_are_kept",
            unprivileged::udp::mpls,
        ),
        (
            "without_privilege_copies_shift_no_hop",
            unprivileged::udp::copies,
        ),
        (
            "without_privilege_ipv4_is_pinged_row_for_row",
            unprivileged::ping::ipv4,
        ),
        (
            "without_privilege_ipv6_is_pinged_row_for_row",
            unprivileged::ping::ipv6,
        ),
        (
            "without_privilege_short_quotes_of_pings_are_told_apart",
            unprivileged::ping::short_quotes,
        ),
        (
            "without_privilege_a_sweep_of_pings_shows_every_ttl",
            unprivileged::ping::sweep,
        ),
    ] {
        cases.push(Case {
            name,
            user: User::Ordinary,
            run,
        });
    }
    for (name, user, run) in [
        (
            "an_ordinary_user_s_privileges_are_given_up_too",
            User::Ordinary,
            privileges::given_up_in_a_user_namespace as fn() -> Outcome,
        ),
        (
            "one_right_permitted_is_enough_and_given_up",
            User::Root,
            grants::permitted,
        ),
        (
            "one_right_in_effect_is_enough_and_given_up",
            User::Root,
            grants::permitted_and_effective,
        ),
        (
            "a_container_without_the_right_surveys_with_ordinary_sockets",
            User::Root,
            grants::in_a_container,
        ),
        (
            "without_a_firewall_nothing_is_told_of_one",
            User::Root,
            firewall::without_rules,
        ),
        (
            "a_firewall_that_lets_answers_in_is_not_told_of",
            User::Root,
            firewall::answers_let_in,
        ),
        (
            "what_a_firewall_drops_is_told_before_the_first_probe",
            User::Root,
            firewall::what_is_dropped,
        ),
        (
            "what_a_firewall_drops_of_ipv6_is_told_too",
            User::Root,
            firewall::what_is_dropped_in_ipv6,
        ),
        (
            "connection_tracking_is_told_where_there_is_some",
            User::Root,
            firewall::tracking,
        ),
        ("connection_tracking_is_found_over_ipv6", User::Root, || {
            firewall::tracking_is_found(&["-6"])
        }),
        ("connection_tracking_is_found_with_tcp", User::Root, || {
            firewall::tracking_is_found(&["-4", "--protocol", "tcp"])
        }),
        (
            "connection_tracking_is_found_without_privilege",
            User::Root,
            || firewall::tracking_is_found(&["--transport", "dgram"]),
        ),
        (
            "connection_tracking_is_found_by_ping_sockets",
            User::Root,
            || firewall::tracking_is_found(&["--transport", "dgram", "--protocol", "icmp"]),
        ),
        (
            "a_table_of_connections_too_small_is_told_with_its_figures",
            User::Root,
            firewall::table_too_small,
        ),
        (
            "what_our_own_kernel_says_is_no_hop",
            User::Root,
            neighbours::our_own_kernel,
        ),
        (
            "hosts_that_are_not_there_hold_nobody_up",
            User::Root,
            neighbours::absent_hosts_with_raw_sockets,
        ),
        (
            "hosts_that_are_not_there_hold_nobody_up_without_privilege",
            User::Root,
            neighbours::absent_hosts_with_ordinary_sockets,
        ),
        (
            "ipv6_without_an_address_is_told_before_the_first_probe",
            User::Root,
            neighbours::no_ipv6_address,
        ),
        (
            "an_interface_that_goes_down_makes_a_survey_incomplete",
            User::Root,
            outage::down,
        ),
        (
            "an_interface_that_is_deleted_makes_a_survey_incomplete",
            User::Root,
            outage::deleted,
        ),
        (
            "a_route_that_goes_makes_a_survey_incomplete",
            User::Root,
            outage::half_of_the_targets,
        ),
        (
            "targets_without_a_route_at_the_start_leave_a_survey_complete",
            User::Root,
            outage::no_route_at_the_start,
        ),
        (
            "every_error_of_sending_has_its_effect_with_raw_sockets",
            User::Root,
            errnos::sending_raw,
        ),
        (
            "every_error_of_sending_has_its_effect_with_ordinary_sockets",
            User::Root,
            errnos::sending_dgram,
        ),
        (
            "every_error_of_receiving_has_its_effect_with_raw_sockets",
            User::Root,
            errnos::receiving_raw,
        ),
        (
            "every_error_of_receiving_has_its_effect_with_ordinary_sockets",
            User::Root,
            errnos::receiving_dgram,
        ),
        (
            "every_error_of_opening_has_its_effect_with_raw_sockets",
            User::Root,
            errnos::opening_raw,
        ),
        (
            "every_error_of_opening_has_its_effect_with_ordinary_sockets",
            User::Root,
            errnos::opening_dgram,
        ),
        (
            "no_single_refused_socket_or_thread_is_a_panic",
            User::Root,
            errnos::any_single_refusal,
        ),
        (
            "the_table_of_errors_is_documented",
            User::Caller,
            errnos::documented,
        ),
        ("remedies_fit_the_cause", User::Root, remedies::of_refusals),
        ("a_survey_needs_no_proc", User::Root, remedies::without_proc),
        (
            "our_own_addresses_are_surveyed",
            User::Root,
            neighbours::our_own_addresses,
        ),
        (
            "a_full_disk_for_packets_ends_the_survey_in_order",
            User::Root,
            kept::full_disk,
        ),
        (
            "a_group_without_ping_sockets_is_told_the_ways_out",
            User::Root,
            unprivileged::ping::refused,
        ),
        (
            "root_goes_on_as_the_owner_of_the_place",
            User::Root,
            privileges::root_writes_as_the_owner,
        ),
        (
            "a_place_closed_to_everybody_is_refused_at_once",
            User::Root,
            privileges::a_closed_place_is_refused_at_once,
        ),
        (
            "places_that_are_devices_stay_devices",
            User::Root,
            places::devices_stay_devices,
        ),
        (
            "a_fifo_s_owner_is_whom_root_goes_on_as",
            User::Root,
            places::a_fifo_is_opened_as_its_owner,
        ),
        (
            "the_owner_of_a_link_s_end_is_whom_root_goes_on_as",
            User::Root,
            places::a_link_s_file_is_its_owner_s,
        ),
        (
            "a_full_disk_leaves_the_rows_of_a_single_file",
            User::Root,
            places::a_full_disk_leaves_rows,
        ),
        (
            "a_closed_place_is_no_matter_of_privileges_to_an_ordinary_user",
            User::Caller,
            places::an_ordinary_user_is_told_of_permissions_alone,
        ),
    ] {
        cases.push(Case { name, user, run });
    }
    // It gives up its privileges on the way, and has none to give up in a user namespace.
    cases.push(Case {
        name: "scamper_sees_the_true_paths",
        user: User::Root,
        run: tools::scamper,
    });
    support::main(&cases)
}

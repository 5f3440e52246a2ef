//! The cases by name.

use super::special::{self, by_ring};
use super::survey::{RAW, Way, all_ways, shows};
use super::world::enter;
use crate::support::{Case, Outcome, User};

/// A case as it is shown, and what it runs.
type Named = (&'static str, fn() -> Outcome);

const CASES: &[Named] = &[
    ("nothing_odd_is_shown_as_nothing_odd", || {
        everywhere("plain")
    }),
    ("labels_are_found_whatever_length_is_stated", || {
        everywhere("labels")
    }),
    ("no_labels_are_found_in_long_quotes", || {
        sized("no-labels", "500")
    }),
    ("extension_headers_in_any_legal_order_are_read", || {
        everywhere("headers")
    }),
    ("ip_options_are_stepped_over", || everywhere("ip-options")),
    ("what_cannot_be_read_is_counted", || raw("unreadable")),
    (
        "read_or_not_all_is_in_the_capture",
        special::kept_in_the_capture,
    ),
    ("fragmented_answers_are_put_together", || {
        sized("fragmented", "1400")
    }),
    ("one_router_that_quotes_rising_ttls_is_no_tunnel", || {
        everywhere("rising")
    }),
    ("an_answer_from_another_address_ends_the_path", || {
        everywhere("other-address")
    }),
    ("a_service_that_repeats_the_probe_ends_the_path", || {
        by("udp", "services", &[])
    }),
    ("a_complaint_on_the_way_ends_no_path_that_goes_on", || {
        everywhere("complaints")
    }),
    ("a_rejection_of_all_behind_ends_the_path", || {
        everywhere("rejections")
    }),
    (
        "a_complaint_before_other_hops_and_silence_is_no_end",
        || raw("complaints-then-silence"),
    ),
    ("an_address_at_two_hops_is_a_cycle", || everywhere("again")),
    ("a_loop_ends_the_path_when_it_is_sure", || {
        everywhere("loops")
    }),
    ("a_target_that_answers_second_is_reached", || {
        raw("second-answer")
    }),
    ("further_answers_stand_in_order_of_arrival", || {
        raw("both-answers")
    }),
    ("neighbours_with_routes_of_their_own_leave_by_them", || {
        everywhere("specific-routes")
    }),
    ("their_order_does_not_matter", || {
        everywhere("in-another-order")
    }),
    ("a_route_that_names_its_source_is_followed", || {
        everywhere("preferred-source")
    }),
    ("an_interface_asked_for_is_left_by_from_its_address", || {
        everywhere("interface")
    }),
    ("a_rule_for_the_source_asked_for_is_followed", || {
        everywhere("source-rule")
    }),
    ("a_table_for_the_source_asked_for_is_enough", || {
        everywhere("source-table-only")
    }),
    ("a_source_without_a_rule_leaves_by_the_route", || {
        everywhere("source-of-the-other-uplink")
    }),
    ("a_rule_for_a_source_not_asked_for_is_the_kernels", || {
        everywhere("rule-not-asked-for")
    }),
    ("a_rule_for_the_type_of_service_is_followed", || {
        everywhere("service-rule")
    }),
    ("flows_of_a_target_leave_together_and_that_is_told", || {
        everywhere("flows-over-two-default-routes")
    }),
    ("a_flow_leaves_by_one_of_two_default_routes", || {
        everywhere("two-default-routes")
    }),
    ("targets_after_a_route_change_leave_by_the_new_way", || {
        everywhere("route-change")
    }),
    (
        "a_routing_domain_is_left_by_its_devices",
        special::routing_domain,
    ),
    (
        "absent_neighbours_are_no_hop",
        special::absent_neighbours_are_no_hop,
    ),
    (
        "a_thousand_targets_over_three_routes_by_raw_sockets",
        special::many_targets_over_raw_sockets,
    ),
    (
        "a_thousand_targets_over_three_routes_by_ordinary_sockets",
        special::many_targets_over_ordinary_sockets,
    ),
    (
        "raw_sockets_are_refused_without_privilege",
        special::raw_is_refused_to_nobody,
    ),
    ("nothing_odd_comes_through_a_packet_ring", || {
        by_ring("plain", &["udp", "icmp", "tcp"], &[])
    }),
    ("fragments_come_through_a_packet_ring", || {
        by_ring("fragmented", &["udp", "icmp"], &["--packet-size", "1400"])
    }),
    ("extension_headers_come_through_a_packet_ring", || {
        by_ring("headers", &["udp"], &[])
    }),
    ("a_packet_ring_keeps_the_order_of_arrival", || {
        by_ring("both-answers", &["udp", "tcp"], &[])
    }),
];

/// A case of the script, by every protocol and transport.
fn everywhere(case: &str) -> Outcome {
    enter()?;
    shows(case, &all_ways(), &[]);
    Ok(())
}

/// A case of the script that takes raw sockets.
fn raw(case: &str) -> Outcome {
    enter()?;
    shows(case, RAW, &[]);
    Ok(())
}

/// A case of the script with probes of this size. Of TCP all are short.
fn sized(case: &str, size: &str) -> Outcome {
    let options = ["--packet-size", size];
    over(|way| way.protocol != "tcp", case, &options)
}

/// A case of the script by one protocol, by every transport.
fn by(protocol: &str, case: &str, options: &[&str]) -> Outcome {
    over(|way| way.protocol == protocol, case, options)
}

fn over(wanted: impl Fn(&Way) -> bool, case: &str, options: &[&str]) -> Outcome {
    enter()?;
    let ways: Vec<Way> = all_ways().into_iter().filter(|way| wanted(way)).collect();
    shows(case, &ways, options);
    Ok(())
}

pub fn all() -> Vec<Case> {
    let case = |(name, run): &Named| Case {
        name,
        user: User::Root,
        run: *run,
    };
    CASES.iter().map(case).collect()
}

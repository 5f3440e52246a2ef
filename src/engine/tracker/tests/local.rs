//! ICMP errors from this host about probes that its kernel could not send.

use super::*;

/// Another address of this host.
const OTHER: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);

fn reasons(bench: &Bench) -> Vec<(Status, Option<UnsentReason>)> {
    let rows = bench.rows().into_iter();
    rows.map(|row| (row.status, row.reason)).collect()
}

const NOT_SENT: (Status, Option<UnsentReason>) =
    (Status::SendError, Some(UnsentReason::HostUnreachable));

#[test]
fn an_unreachable_from_this_host_is_a_send_error_and_no_hop() {
    for responder in [SOURCE, OTHER, Ipv4Addr::LOCALHOST] {
        let mut bench = Bench::new();
        bench.send(1, ms(0));
        let packet = bench.packets[0].clone();
        let refused = bench.unreachable(responder, true, &packet, ms(50));
        assert_eq!(refused, Some(DiscardReason::Local), "{responder}");
        assert_eq!(reasons(&bench), [NOT_SENT], "{responder}");
        assert_eq!(bench.out.outcomes[0].result, ProbeResult::NotSent);
        assert_eq!(bench.tracker.counts().discarded(DiscardReason::Local), 1);
        bench.advance(ms(20_000));
        assert_eq!(bench.rows().len(), 1);
    }
}

#[test]
fn an_unreachable_from_this_host_may_arrive_before_the_send_call_returns() {
    let mut bench = Bench::new();
    let id = bench.enter(1, ms(0));
    let packet = bench.packets[0].clone();
    let refused = bench.unreachable(OTHER, true, &packet, ms(0));
    assert_eq!(refused, Some(DiscardReason::Local));
    bench.tracker.stamp(id, ms(1), &mut bench.out);
    bench.advance(ms(20_000));
    assert_eq!(reasons(&bench), [NOT_SENT]);
}

#[test]
fn an_unreachable_from_this_host_after_the_timeout_is_a_second_row() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    bench.advance(ms(3_001));
    let packet = bench.packets[0].clone();
    let refused = bench.unreachable(OTHER, true, &packet, ms(3_050));
    assert_eq!(refused, Some(DiscardReason::Local));
    assert_eq!(reasons(&bench), [(Status::Timeout, None), NOT_SENT]);
    assert_eq!(bench.rows()[1].reply_index, 1);
    let told = bench.out.outcomes.last().unwrap();
    assert_eq!((told.result, told.late), (ProbeResult::NotSent, true));
    // A second error adds no row.
    bench.unreachable(OTHER, true, &packet, ms(3_060));
    assert_eq!(bench.rows().len(), 2);
}

#[test]
fn an_answered_probe_stays_answered() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    assert_eq!(bench.arrive(ROUTER, &packet, ms(10)), None);
    let refused = bench.unreachable(OTHER, true, &packet, ms(50));
    assert_eq!(refused, Some(DiscardReason::Local));
    assert_eq!(bench.statuses(), [(0, Status::Replied)]);
}

#[test]
fn a_router_with_an_address_of_this_host_is_a_hop() {
    // Many networks use the same private addresses. The quoted TTL is lower than the TTL sent, so a router forwarded the probe.
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let mut on_the_way = bench.packets[0].clone();
    on_the_way[8] = 1;
    assert_eq!(bench.unreachable(OTHER, true, &on_the_way, ms(50)), None);
    assert_eq!(bench.statuses(), [(0, Status::Replied)]);
    // A Time Exceeded also shows that a router forwarded the probe.
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    assert_eq!(bench.arrive(OTHER, &on_the_way, ms(50)), None);
    assert_eq!(bench.statuses(), [(0, Status::Replied)]);
}

#[test]
fn another_host_s_unreachable_is_an_answer() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    assert_eq!(bench.unreachable(OTHER, false, &packet, ms(50)), None);
    assert_eq!(bench.statuses(), [(0, Status::Replied)]);
}

#[test]
fn a_time_exceeded_from_the_probe_s_source_is_no_hop() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    let refused = bench.arrive(SOURCE, &packet, ms(50));
    assert_eq!(refused, Some(DiscardReason::Local));
    bench.advance(ms(20_000));
    assert_eq!(bench.statuses(), [(0, Status::Timeout)]);
}

#[test]
fn a_target_that_is_this_host_is_answered() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    assert_eq!(bench.unreachable(TARGET, true, &packet, ms(1)), None);
    assert_eq!(bench.statuses(), [(0, Status::Replied)]);
}

//! Replies beyond a probe's first.

use super::*;

impl Bench {
    /// Passes an ICMP error of any type from `responder` that quotes `quote`.
    pub(super) fn error(
        &mut self,
        [icmp_type, code]: [u8; 2],
        responder: Ipv4Addr,
        quote: &[u8],
        at: Time,
    ) -> Option<DiscardReason> {
        let mut message = vec![icmp_type, code, 0, 0, 0, 0, 0, 0];
        message.extend(quote);
        let packet = packet_from(responder, message);
        let reply = wire::decode(&packet, at).expect("a reply");
        self.tracker.reply(Box::new(reply), false, &mut self.out)
    }

    fn indices(&self) -> Vec<(u64, u16)> {
        let rows = self.rows().into_iter();
        let number = |row: &HopRecord| row.probe_id.expect("a probe").0;
        rows.map(|row| (number(&row), row.reply_index)).collect()
    }
}

/// A weak reply settles the probe at its timeout. Then a strong reply comes.
#[test]
fn a_strong_reply_after_a_weak_answer_is_reported_to_the_strategy() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &weakened(&packet), ms(6));
    bench.advance(ms(3_001));
    bench.arrive(ROUTER, &packet, ms(3_100));
    let settled = [(0, Status::Replied), (0, Status::Late)];
    assert_eq!(bench.statuses(), settled);
    let told: Vec<bool> = bench.out.outcomes.iter().map(|told| told.late).collect();
    assert_eq!(told, [false, true]);
    assert_eq!(bench.rows()[1].evidence, Some(Evidence::Full));
    // A copy is not reported again.
    bench.arrive(ROUTER, &packet, ms(3_200));
    assert_eq!(bench.statuses()[2], (0, Status::Duplicate));
    assert_eq!(bench.out.outcomes.len(), 2);
}

/// A probe causes a router's complaint and then another answer. Both are reported to the strategy, their copies are not.
#[test]
fn a_second_answer_of_another_kind_is_reported_to_the_strategy() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.error([3, 10], ROUTER, &packet, ms(6));
    bench.error([3, 10], ROUTER, &packet, ms(7));
    bench.arrive(Ipv4Addr::new(10, 0, 0, 2), &packet, ms(20));
    bench.error([3, 10], ROUTER, &weakened(&packet), ms(30));
    let told: Vec<_> = bench.out.outcomes.iter().map(|told| told.late).collect();
    assert_eq!(told, [false, true]);
    assert_eq!(bench.statuses().len(), 4);
    // A reply of the same kind is reported if it comes from the target.
    bench.send(2, ms(40));
    let packet = bench.packets[1].clone();
    bench.error([3, 3], ROUTER, &packet, ms(41));
    bench.error([3, 3], TARGET, &packet, ms(42));
    bench.error([3, 3], TARGET, &weakened(&packet), ms(43));
    let told: Vec<_> = bench.out.outcomes.iter().map(|told| told.late).collect();
    assert_eq!(told, [false, true, false, true]);
}

#[test]
fn a_reply_that_quotes_the_probe_replaces_a_datagram_of_the_target() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    assert_eq!(bench.datagram(ms(20)), None);
    assert!(
        bench.rows().is_empty(),
        "it may be an answer to another probe"
    );
    let quote = bench.packets[0].clone();
    assert_eq!(bench.arrive(ROUTER, &quote, ms(50)), None);
    let rows = bench.rows().into_iter();
    let shown: Vec<_> = rows.map(|row| (row.status, row.responder())).collect();
    let expected = [
        (Status::Replied, Some(ROUTER.into())),
        (Status::Duplicate, Some(TARGET.into())),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn extra_rows_come_after_the_probe_s_own_row() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    for n in 0..3 {
        assert_eq!(bench.datagram(ms(20 + n)), None);
    }
    assert_eq!(bench.indices(), [], "the first is held");
    bench.advance(ms(3_001));
    assert_eq!(bench.indices(), [(0, 0), (0, 1), (0, 2)]);
    let came: Vec<_> = bench.rows().into_iter().map(|row| row.rtt_us).collect();
    assert_eq!(came, [Some(20_000), Some(21_000), Some(22_000)]);
}

#[test]
fn a_reply_to_one_of_several_probes_comes_after_the_probe_s_own_row() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    bench.send(2, ms(100));
    assert_eq!(bench.datagram(ms(120)), None);
    assert_eq!(bench.indices(), []);
    bench.advance(ms(3_200));
    // The reply is recorded with the newer of the two pending probes. It is not known which one it answers.
    assert_eq!(bench.indices(), [(0, 0), (1, 0), (1, 1)]);
    let extra = &bench.rows()[2];
    assert_eq!(
        (extra.status, extra.ttl, extra.rtt_us),
        (Status::Duplicate, None, None)
    );
    assert_eq!(bench.datagram(ms(3_300)), None);
    assert_eq!(bench.indices()[3..], [(1, 2)], "a row of its own at once");
}

#[test]
fn extra_rows_are_numbered_in_the_order_of_arrival() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.advance(ms(3_001));
    for n in 0..3 {
        bench.arrive(ROUTER, &packet, ms(3_500 + n));
    }
    assert_eq!(bench.indices(), [(0, 0), (0, 1), (0, 2), (0, 3)]);
    assert_eq!(bench.rows()[1].status, Status::Late);
}

#[test]
fn a_reply_to_a_probe_that_the_kernel_refused_is_unknown() {
    let mut bench = Bench::new();
    let id = bench.enter(1, ms(0));
    let packet = bench.packets[0].clone();
    bench.arrive(ROUTER, &weakened(&packet), ms(1));
    bench.arrive(ROUTER, &weakened(&packet), ms(1));
    let reason = UnsentReason::TooLarge;
    bench.tracker.refuse(id, reason, &mut bench.out);
    bench.advance(ms(2));
    assert_eq!(bench.statuses(), [(0, Status::SendError)]);
    let counts = bench.tracker.counts();
    assert_eq!(counts.discarded(DiscardReason::Unknown), 2);
    assert_eq!(
        bench.datagram(ms(3)),
        Some(DiscardReason::Unknown),
        "nor does a datagram answer it"
    );
}

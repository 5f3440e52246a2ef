//! Probes that are pending when a run ends at once.

use super::*;

#[test]
fn pending_probes_are_counted_and_have_no_row() {
    let mut bench = Bench::new();
    bench.send(1, ms(0));
    bench.send(2, ms(10));
    bench.send(3, ms(20));
    bench.enter(4, ms(30));
    let packets = bench.packets.clone();
    bench.arrive(ROUTER, &packets[0], ms(25));
    // A weak reply is the best that there will be.
    bench.arrive(ROUTER, &weakened(&packets[1]), ms(26));
    assert_eq!(bench.tracker.abandon(&mut bench.out), 2);
    assert_eq!(
        bench.statuses(),
        [(0, Status::Replied), (1, Status::Replied)]
    );
    assert_eq!(bench.rows()[1].evidence, Some(Evidence::Weak));
    assert!(bench.tracker.is_settled());
    assert_eq!(bench.tracker.abandon(&mut bench.out), 0);
}

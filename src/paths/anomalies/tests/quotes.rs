//! Changes on the way that quotes show: address translation, rewriting, and a changed type of service.

use super::*;

/// Returns the anomalies of a trace whose second hop quotes a changed field. Checks that weak evidence causes no anomaly.
fn quoted(change: impl Fn(&mut QuotedProbe)) -> Vec<Anomaly> {
    let weak = changed(|rows| {
        change(quote(&mut rows[1]));
        rows[1].evidence = Some(Evidence::Weak);
    });
    assert_eq!(weak, []);
    changed(|rows| change(quote(&mut rows[1])))
}

#[test]
fn nat_is_a_quoted_source_that_was_not_sent() {
    assert_eq!(quoted(|quote| quote.source = Some(OTHER.into())), [Nat]);
    assert_eq!(quoted(|quote| udp(quote).src_port = Some(24_001)), [Nat]);
    assert_eq!(
        quoted(|quote| (quote.source, udp(quote).src_port) = (None, None)),
        []
    );
    let unknown_source = changed(|rows| {
        rows[1].source = None;
        quote(&mut rows[1]).source = Some(OTHER.into());
    });
    assert_eq!(unknown_source, []);
    let echo = |quoted_id| {
        changed(|rows| {
            (rows[1].protocol, rows[1].icmp_id) = (Protocol::Icmp.into(), Some(7));
            quote(&mut rows[1]).transport = QuotedTransport::Echo(QuotedEcho {
                identifier: quoted_id,
                ..QuotedEcho::default()
            });
        })
    };
    assert_eq!(echo(Some(8)), [Nat]);
    assert_eq!(echo(Some(7)), []);
    assert_eq!(echo(None), []);
}

#[test]
fn nat_is_also_a_changed_checksum_from_one_hop_to_the_last() {
    let checksums = |at: [u16; 3]| {
        changed(|rows| {
            for (row, checksum) in rows.iter_mut().zip(at) {
                udp(quote(row)).checksum = Some(checksum);
            }
        })
    };
    const SENT: u16 = 0x4321;
    assert_eq!(checksums([SENT, 0x5000, 0x5000]), [Nat]);
    assert_eq!(checksums([0x5000, 0x6000, 0x6000]), [Nat]);
    assert_eq!(checksums([SENT, SENT, SENT]), []);
    assert_eq!(
        checksums([SENT, 0x5000, SENT]),
        [],
        "one router that quotes wrongly"
    );
    assert_eq!(checksums([SENT, SENT, 0]), [], "no checksum");
    assert_eq!(
        checksums([0x5000, 0, 0x5000]),
        [Nat],
        "no checksum says nothing"
    );
    let last = |change: &dyn Fn(&mut HopRecord)| {
        changed(|rows| {
            udp(quote(&mut rows[2])).checksum = Some(0x5000);
            change(&mut rows[2]);
        })
    };
    assert_eq!(last(&|_| ()), [Nat]);
    assert_eq!(last(&|row| row.evidence = Some(Evidence::Rewritten)), [Nat]);
    assert_eq!(last(&|row| row.evidence = Some(Evidence::Weak)), []);
    assert_eq!(last(&|row| row.probe_checksum = None), []);
    assert_eq!(
        last(&|row| row.protocol = Protocol::Icmp.into()),
        [],
        "covers no address"
    );
    // If the destination was changed, a changed checksum is correct.
    let rewritten = last(&|row| quote(row).destination = OTHER.into());
    assert_eq!(rewritten, [Rewriting]);
    // 0x0000 and 0xffff are the same checksum.
    let zero = changed(|rows| {
        rows[2].probe_checksum = Some(0);
        udp(quote(&mut rows[2])).checksum = Some(0xffff);
    });
    assert_eq!(zero, []);
}

#[test]
fn rewriting_is_a_changed_destination_ip_id_or_flow_label() {
    assert_eq!(
        quoted(|quote| quote.destination = OTHER.into()),
        [Rewriting]
    );
    assert_eq!(quoted(|quote| udp(quote).dst_port = Some(53)), [Rewriting]);
    assert_eq!(quoted(|quote| quote.ip_id = Some(0)), [Rewriting]);
    assert_eq!(
        quoted(|quote| quote.ip_id = Some(0x3412)),
        [],
        "quoted byte-swapped"
    );
    assert_eq!(
        quoted(|quote| (udp(quote).dst_port, quote.ip_id) = (None, None)),
        []
    );
    assert_eq!(quoted(|quote| quote.length = Some(7)), []);
    let label = |sent| {
        changed(|rows| {
            rows[1].flow_label = sent;
            quote(&mut rows[1]).flow_label = Some(0);
        })
    };
    assert_eq!(label(Some(5)), [Rewriting]);
    assert_eq!(label(Some(0)), []);
    assert_eq!(label(None), [], "what was sent is not known");
}

#[test]
fn the_quote_in_an_answer_to_the_distance_probe_counts() {
    let (mut rows, end) = trace("A B * * =T");
    udp(quote(&mut rows[4])).dst_port = Some(53);
    let found: Vec<_> = find(&rows, &end).iter().collect();
    assert_eq!(found, [Rewriting]);
}

#[test]
fn a_changed_type_of_service_is_an_anomaly_of_its_own() {
    let tos = |sent: u8, shown: Option<u8>| {
        changed(|rows| {
            rows[1].probe_tos = sent;
            quote(&mut rows[1]).tos = shown;
        })
    };
    assert_eq!(tos(0x20, Some(0)), [TosRewritten]);
    assert_eq!(tos(0, Some(0x48)), [TosRewritten]);
    assert_eq!(tos(0x22, Some(0x20)), [TosRewritten], "bleached");
    assert_eq!(
        tos(0x20, Some(0x23)),
        [TosRewritten],
        "a mark on what allows none"
    );
    assert_eq!(tos(0x22, Some(0x23)), [], "congestion");
    assert_eq!(tos(0x21, Some(0x23)), [], "congestion");
    assert_eq!(tos(0x20, Some(0x20)), []);
    assert_eq!(tos(0x20, None), []);
    assert_eq!(quoted(|quote| quote.tos = Some(4)), [TosRewritten]);
}

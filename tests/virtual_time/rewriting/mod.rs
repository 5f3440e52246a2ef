//! What routers and boxes do to quotes, each thing alone and in pairs, over all protocols and both families: every answer is
//! attributed to the probe that brought it, with the evidence that is left, or is discarded for the right reason.
//!
//! What is left is reckoned in `reckoning`, without the engine's matching.

mod reckoning;

use std::net::IpAddr;

use pathsurvey::config::SurveyConfig;
use pathsurvey::lab::{LabNetwork, Recorded, TruthFlow};
use pathsurvey::model::{DiscardReason, Evidence, ProbeId, Protocol, Status, Ttl};
use pathsurvey::targets::{Families, TargetSpec};

use super::experiment::{Observed, config, inline, lab, observe, rate};
use reckoning::{BOXES, Case};

/// How everybody quotes: keys that leave what is known of a probe as it is.
const QUOTINGS: [&str; 6] = [
    "",
    r#"quote_length = "zeroed""#,
    r#"quote_length = "swapped""#,
    r#"interfaces = [{ role = "incoming", ifindex = 7 }]"#,
    r#"
    interfaces = [{ role = "incoming", name = "eth0" }]
    extensions = "legacy"
    "#,
    r#"
    interfaces = [{ role = "outgoing", mtu = 9000 }]
    extensions = "legacy"
    quote_length = "zeroed"
    "#,
];

impl Case {
    /// home, box, middle, box, last, target.
    fn network(&self) -> LabNetwork {
        let (from, to) = match self.ipv6 {
            false => ("198.18.0.0/24", "198.19.0.0/24"),
            true => ("2001:db8:1000::/48", "2001:db8:1009::/48"),
        };
        let bytes = if self.short { "8" } else { "\"all\"" };
        let quoting = format!("quote_bytes = {bytes}\n{}", self.quoting);
        let [first, second] = self.boxes.map(|b| b.keys);
        let mut text = String::new();
        let next = [
            r#"next = ["r2"]"#,
            r#"next = ["r3"]"#,
            r#"next = ["r4"]"#,
            r#"next = ["r5"]"#,
            "",
        ];
        for (number, (next, keys)) in (1..).zip(next.into_iter().zip(["", first, "", second, ""])) {
            text += &format!(
                "[[router]]\nname = \"r{number}\"\naddress = \"10.0.{number}.1\"\n\
                 address6 = \"2001:db8:f00{number}::1\"\n{next}\n{keys}\n{quoting}\n"
            );
        }
        for prefix in [from, to] {
            text += &format!(
                "[[target]]\nprefix = \"{prefix}\"\nat = \"r5\"\nunlimited = true\nquote_bytes = {bytes}\n"
            );
        }
        inline(
            &text
                .replace("FROM", from)
                .replace("\"TO\"", &format!("\"{to}\"")),
        )
    }

    fn config(&self) -> SurveyConfig {
        let targets = match self.ipv6 {
            false => ["198.18.0.5", "198.18.0.77", "198.18.0.200"],
            true => ["2001:db8:1000::5", "2001:db8:1000::77", "2001:db8:1000::c8"],
        };
        let config = config(&targets, 11);
        SurveyConfig {
            targets: TargetSpec {
                families: Families::Both,
                ..config.targets
            },
            window: 8,
            rate: rate(500.0),
            protocol: self.protocol,
            max_ttl: Ttl(16),
            tos: 0x20,
            ..config
        }
    }

    fn check(&self) {
        let run = observe(self.config(), self.network());
        let mut discarded = std::collections::BTreeMap::new();
        let mut rows = 0;
        for (number, recorded) in run.recorded.iter().enumerate() {
            let mut found = run
                .hops
                .iter()
                .filter(|row| row.probe_id == Some(ProbeId(number as u64)));
            let row = found.next().expect("a row");
            assert!(found.next().is_none(), "{self:?}: {row:?} is not alone");
            let [delivery] = &recorded.deliveries[..] else {
                panic!("{self:?}: {} answers", recorded.deliveries.len());
            };
            let expected = match quotes(&delivery.packet) {
                true => self.expected(&self.quote(boxes_before(ttl_of(recorded)))),
                false => Ok(Evidence::Full),
            };
            match expected {
                Ok(evidence) => {
                    let reply = row
                        .reply
                        .as_ref()
                        .unwrap_or_else(|| panic!("{self:?}: no reply in {row:?}"));
                    assert_eq!(row.status, Status::Replied, "{self:?}");
                    assert_eq!(row.evidence, Some(evidence), "{self:?}: {row:?}");
                    assert_eq!(reply.responder, responder(&delivery.packet), "{self:?}");
                    assert_eq!(
                        Some(reply.responder),
                        truth(&run, row.destination, self.protocol, ttl_of(recorded))
                    );
                    rows += 1;
                }
                Err(reason) => {
                    assert_eq!(row.status, Status::Timeout, "{self:?}: {row:?}");
                    assert_eq!(row.reply, None);
                    *discarded.entry(reason as usize).or_insert(0) += 1;
                }
            }
        }
        for reason in DiscardReason::ALL {
            let expected = discarded.get(&(reason as usize)).copied().unwrap_or(0);
            assert_eq!(
                run.tally.statistics.discarded(reason),
                expected,
                "{self:?}: {}",
                reason.as_str()
            );
        }
        // The routers up to the first box are always seen, by each of three targets.
        assert!(rows >= 6, "{self:?}: {rows}");
    }
}

/// How many boxes a probe has passed where it ends: they stand at 2 and 4.
fn boxes_before(ttl: u8) -> usize {
    match ttl {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    }
}

fn is_v4(packet: &[u8]) -> bool {
    packet[0] >> 4 == 4
}

fn ttl_of(recorded: &Recorded) -> u8 {
    recorded.packet[if is_v4(&recorded.packet) { 8 } else { 7 }]
}

/// Whether an answer is an ICMP error.
fn quotes(packet: &[u8]) -> bool {
    match is_v4(packet) {
        true => packet[9] == 1 && packet[20] != 0,
        false => packet[6] == 58 && packet[40] != 129,
    }
}

fn responder(packet: &[u8]) -> IpAddr {
    let bytes = |from: usize, length: usize| &packet[from..from + length];
    match is_v4(packet) {
        true => IpAddr::from(<[u8; 4]>::try_from(bytes(12, 4)).expect("4")),
        false => IpAddr::from(<[u8; 16]>::try_from(bytes(8, 16)).expect("16")),
    }
}

/// Who is at this TTL; no balancer makes the ports matter.
fn truth(run: &Observed, to: IpAddr, protocol: Protocol, ttl: u8) -> Option<IpAddr> {
    let flow = match protocol {
        Protocol::Udp => TruthFlow::udp(to, 24_000, 33_434),
        Protocol::Tcp => TruthFlow::tcp(to, 24_000, 33_434),
        Protocol::Icmp => TruthFlow::echo(to, 24_000, 1),
    };
    run.network
        .truth_of_every_ttl(flow, Ttl(ttl))
        .hop(Ttl(ttl))?
        .responder()
}

/// All surveys of one protocol in one family.
fn check_all(protocol: Protocol, ipv6: bool) {
    let none = BOXES[BOXES.len() - 1];
    let case = Case {
        protocol,
        ipv6,
        short: false,
        quoting: "",
        boxes: [none; 2],
    };
    for short in [false, true] {
        for first in BOXES {
            for quoting in QUOTINGS {
                let boxes = [first, none];
                Case {
                    short,
                    quoting,
                    boxes,
                    ..case
                }
                .check();
            }
        }
        // Where all is quoted the tag decides, and one order of each two shows it.
        let pairs = BOXES.iter().flat_map(|first| {
            let seconds = BOXES.iter().filter(move |second| match short {
                true => second.kind != first.kind,
                false => second.kind > first.kind,
            });
            seconds.map(|second| [*first, *second])
        });
        for (boxes, quoting) in pairs.zip(QUOTINGS.into_iter().cycle()) {
            Case {
                short,
                quoting,
                boxes,
                ..case
            }
            .check();
        }
    }
}

#[test]
fn udp_over_ipv4() {
    check_all(Protocol::Udp, false);
}

#[test]
fn udp_over_ipv6() {
    check_all(Protocol::Udp, true);
}

#[test]
fn tcp_over_ipv4() {
    check_all(Protocol::Tcp, false);
}

#[test]
fn tcp_over_ipv6() {
    check_all(Protocol::Tcp, true);
}

#[test]
fn echo_over_ipv4() {
    check_all(Protocol::Icmp, false);
}

#[test]
fn echo_over_ipv6() {
    check_all(Protocol::Icmp, true);
}

/// The example of a router for each way to quote: labels and interfaces are what truth has, and no quote costs a hop.
#[test]
fn the_examples_of_quoting_are_read_whole() {
    for (targets, short_v6) in [
        (["198.18.0.5", "198.18.0.6"], false),
        (["2001:db8:1000::5", "2001:db8:1000::6"], true),
    ] {
        let mut config = config(&targets, 3);
        config.targets.families = Families::Both;
        let run = observe(config, lab("quoting", 3));
        for row in &run.hops {
            let ttl = row.ttl.expect("a TTL");
            let reply = row.reply.as_ref().expect("a reply");
            let flow = TruthFlow::udp(row.destination, 24_000, 33_434);
            let truth = run.network.truth_of_every_ttl(flow, ttl);
            let told = truth
                .hop(ttl)
                .and_then(|hop| hop.answer())
                .expect("an answer");
            assert_eq!(reply.responder, told.responder);
            assert_eq!(
                (&reply.mpls, &reply.interface_info),
                (&told.mpls, &told.interfaces)
            );
            // 8 bytes of IPv6 hold one secret.
            let weak = short_v6 && matches!(ttl.0, 2 | 5);
            let expected = if weak { Evidence::Weak } else { Evidence::Full };
            assert_eq!(row.evidence, Some(expected), "{row:?}");
        }
    }
}

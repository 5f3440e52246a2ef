//! The warning about a reply that was not received.

use std::ops::RangeInclusive;

use super::{TestReply, TestReplyKind};
use crate::model::Protocol;

/// The warning that `reply` was not received. `None` if it was received. The run uses `protocol`, and its probes come from
/// `ports`.
pub(in crate::survey::preflight) fn warning(
    reply: &TestReply,
    protocol: Protocol,
    ports: &RangeInclusive<u16>,
) -> Option<String> {
    if reply.received {
        return None;
    }
    let (icmp, ip) = match reply.ipv6 {
        false => ("ICMP", "IPv4"),
        true => ("ICMPv6", "IPv6"),
    };
    let errors = match reply.ipv6 {
        false => "ICMP errors in (types 3, 11 and 12)",
        true => "ICMPv6 errors in (types 1 to 4)",
    };
    let to_ports = |what: &str| match (ports.start(), ports.end()) {
        (first, last) if first == last => format!("{what} over {ip} to port {first} in"),
        (first, last) => format!("{what} over {ip} to ports {first} to {last} in"),
    };
    let (what, silent, remedy) = match reply.kind {
        TestReplyKind::Unreachable => (
            format!("an {icmp} destination unreachable"),
            match protocol {
                Protocol::Udp => "every target",
                Protocol::Icmp | Protocol::Tcp => "every host that refuses probes",
            },
            errors.to_owned(),
        ),
        TestReplyKind::TimeExceeded => (
            format!("an {icmp} time exceeded"),
            "every router",
            errors.to_owned(),
        ),
        TestReplyKind::EchoReply => (
            format!("an {icmp} echo reply"),
            "every target",
            match reply.ipv6 {
                false => "ICMP echo replies in (type 0)".to_owned(),
                true => "ICMPv6 echo replies in (type 129)".to_owned(),
            },
        ),
        TestReplyKind::Reset => (
            format!("a TCP reset over {ip}"),
            "every target",
            to_ports("TCP"),
        ),
        TestReplyKind::Datagram => (
            format!("a UDP datagram over {ip} to a port of the run"),
            "every target that answers with one",
            to_ports("UDP"),
        ),
    };
    Some(format!(
        "{what}, sent over loopback as a test, was not received: a firewall rule on input may be dropping such replies, \
         and {silent} would look silent; let {remedy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        ipv6: bool,
        kind: TestReplyKind,
        protocol: Protocol,
        ports: RangeInclusive<u16>,
    ) -> String {
        let reply = TestReply {
            ipv6,
            kind,
            received: false,
        };
        let received = TestReply {
            received: true,
            ..reply
        };
        assert_eq!(warning(&received, protocol, &ports), None);
        warning(&reply, protocol, &ports).unwrap()
    }

    #[test]
    fn each_warning_names_the_hosts_that_look_silent_and_the_packets_to_let_in() {
        for (ipv6, kind, protocol, parts) in [
            (
                false,
                TestReplyKind::Unreachable,
                Protocol::Udp,
                ["an ICMP destination", "every target", "types 3, 11"],
            ),
            (
                true,
                TestReplyKind::Unreachable,
                Protocol::Tcp,
                ["an ICMPv6 destination", "refuses probes", "types 1 to 4"],
            ),
            (
                false,
                TestReplyKind::TimeExceeded,
                Protocol::Icmp,
                ["an ICMP time exceeded", "every router", "types 3, 11"],
            ),
            (
                true,
                TestReplyKind::EchoReply,
                Protocol::Icmp,
                ["an ICMPv6 echo reply", "every target", "type 129"],
            ),
            (
                false,
                TestReplyKind::Reset,
                Protocol::Tcp,
                ["reset over IPv4", "every target", "port 24000 in"],
            ),
            (
                true,
                TestReplyKind::Datagram,
                Protocol::Udp,
                ["datagram over IPv6", "answers with one", "port 24000 in"],
            ),
        ] {
            let told = told(ipv6, kind, protocol, 24_000..=24_000);
            for part in parts {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        let several = told(false, TestReplyKind::Reset, Protocol::Tcp, 24_000..=24_003);
        assert!(
            several.contains("let TCP over IPv4 to ports 24000 to 24003 in"),
            "{several}"
        );
    }
}

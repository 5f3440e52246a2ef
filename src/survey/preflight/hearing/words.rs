//! What to tell of an answer that was not heard.

use std::ops::RangeInclusive;

use super::{Heard, Kind};
use crate::model::Protocol;

/// One warning of what was not `heard` in a run of `protocol` whose probes come from `ports`; `None` where it was.
pub(in crate::survey::preflight) fn warning(
    heard: &Heard,
    protocol: Protocol,
    ports: &RangeInclusive<u16>,
) -> Option<String> {
    if heard.heard {
        return None;
    }
    let (icmp, ip) = match heard.ipv6 {
        false => ("ICMP", "IPv4"),
        true => ("ICMPv6", "IPv6"),
    };
    let errors = match heard.ipv6 {
        false => "ICMP errors in (types 3, 11 and 12)",
        true => "ICMPv6 errors in (types 1 to 4)",
    };
    let to_ports = |what: &str| match (ports.start(), ports.end()) {
        (first, last) if first == last => format!("{what} over {ip} to port {first} in"),
        (first, last) => format!("{what} over {ip} to ports {first} to {last} in"),
    };
    let (what, silent, remedy) = match heard.kind {
        Kind::Unreachable => (
            format!("an {icmp} destination unreachable"),
            match protocol {
                Protocol::Udp => "every target",
                Protocol::Icmp | Protocol::Tcp => "whoever refuses probes",
            },
            errors.to_owned(),
        ),
        Kind::TimeExceeded => (
            format!("an {icmp} time exceeded"),
            "every router",
            errors.to_owned(),
        ),
        Kind::EchoReply => (
            format!("an {icmp} echo reply"),
            "every target",
            match heard.ipv6 {
                false => "ICMP echo replies in (type 0)".to_owned(),
                true => "ICMPv6 echo replies in (type 129)".to_owned(),
            },
        ),
        Kind::Segment => (
            format!("a TCP reset over {ip}"),
            "every target",
            to_ports("TCP"),
        ),
        Kind::Datagram => (
            format!("a UDP datagram over {ip} to a port of the run"),
            "every target that answers with one",
            to_ports("UDP"),
        ),
    };
    Some(format!(
        "{what}, sent over loopback as a test, did not reach the receiver: a firewall rule on input may be dropping such answers, \
         and {silent} would look silent; let {remedy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ipv6: bool, kind: Kind, protocol: Protocol, ports: RangeInclusive<u16>) -> String {
        let heard = Heard {
            ipv6,
            kind,
            heard: false,
        };
        let silenced = Heard {
            heard: true,
            ..heard
        };
        assert_eq!(warning(&silenced, protocol, &ports), None);
        warning(&heard, protocol, &ports).unwrap()
    }

    #[test]
    fn each_kind_says_who_would_look_silent_and_what_to_let_in() {
        for (ipv6, kind, protocol, parts) in [
            (
                false,
                Kind::Unreachable,
                Protocol::Udp,
                ["an ICMP destination", "every target", "types 3, 11"],
            ),
            (
                true,
                Kind::Unreachable,
                Protocol::Tcp,
                ["an ICMPv6 destination", "refuses probes", "types 1 to 4"],
            ),
            (
                false,
                Kind::TimeExceeded,
                Protocol::Icmp,
                ["an ICMP time exceeded", "every router", "types 3, 11"],
            ),
            (
                true,
                Kind::EchoReply,
                Protocol::Icmp,
                ["an ICMPv6 echo reply", "every target", "type 129"],
            ),
            (
                false,
                Kind::Segment,
                Protocol::Tcp,
                ["reset over IPv4", "every target", "port 24000 in"],
            ),
            (
                true,
                Kind::Datagram,
                Protocol::Udp,
                ["datagram over IPv6", "answers with one", "port 24000 in"],
            ),
        ] {
            let told = told(ipv6, kind, protocol, 24_000..=24_000);
            for part in parts {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        let several = told(false, Kind::Segment, Protocol::Tcp, 24_000..=24_003);
        assert!(
            several.contains("let TCP over IPv4 to ports 24000 to 24003 in"),
            "{several}"
        );
    }
}

//! The reasons why probes were not sent, each with a remedy.

use crate::model::{Statistics, UnsentReason};

use super::grouped;

/// The facts that a remedy depends on, besides the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// The run is in the lab, so no packet leaves this machine.
    pub in_lab: bool,
    /// The targets include IPv4 and IPv6 addresses.
    pub both_families: bool,
    /// The path MTU is searched for, so some probes are too large on purpose.
    pub mtu: bool,
}

/// One line per reason, with the number of probes.
pub(super) fn in_words(counts: &Statistics, about: Circumstances) -> Vec<String> {
    counts
        .unsent()
        .map(|(reason, ipv6, count)| {
            let family_sent = counts.probes_sent_of(ipv6) > 0;
            format!(
                "{}, {}",
                grouped(count),
                why(reason, ipv6, family_sent, about)
            )
        })
        .collect()
}

/// The text if there is no route to any target of a family. `other` probes the other family.
fn no_route(family: &str, other: &str, about: Circumstances) -> String {
    let other = match about.both_families {
        true => format!("{other}, or "),
        false => String::new(),
    };
    match about.in_lab {
        true => format!(
            "the lab's network has no {family}: {other}choose a network with {family} (--lab)"
        ),
        false => {
            format!("no route to {family} targets: {other}give this machine an {family} route")
        }
    }
}

/// The reason why probes of a family were not sent, with a remedy if there is one. `family_sent`: other probes of the family
/// were sent.
fn why(reason: UnsentReason, ipv6: bool, family_sent: bool, about: Circumstances) -> String {
    let (family, other) = match ipv6 {
        false => ("IPv4", "probe with -6"),
        true => ("IPv6", "probe with -4"),
    };
    match reason {
        UnsentReason::NoRoute if family_sent => format!(
            "no route to these {family} targets: give this machine one, or leave them out with --blocklist-file"
        ),
        UnsentReason::NoRoute => no_route(family, other, about),
        UnsentReason::HostUnreachable => format!(
            "{family} targets that a route calls unreachable, or whose next hop does not answer: see `ip route get ADDRESS`"
        ),
        UnsentReason::Prohibited => format!(
            "{family} targets that a route prohibits, or broadcast addresses: leave them out with --blocklist-file"
        ),
        UnsentReason::Invalid => format!(
            "{family} targets that the kernel refuses, for example because of a blackhole route: see `ip route get ADDRESS`"
        ),
        UnsentReason::TooLarge if about.mtu => "larger than the interface takes".to_owned(),
        UnsentReason::TooLarge => {
            "larger than the interface takes: lower --packet-size, or find the largest size that passes with --mtu".to_owned()
        }
        UnsentReason::Firewall => {
            format!("a firewall rule of this machine drops {family} probes: let them out")
        }
        UnsentReason::QueueFull => {
            "the interface took nothing for seconds: lower --rate".to_owned()
        }
        UnsentReason::NoInterface => {
            format!("the interface of {family} probes went during the run: see `ip link`")
        }
        UnsentReason::InterfaceDown => {
            format!("the interface of {family} probes is down: see `ip link`")
        }
        UnsentReason::NoMemory => "the kernel had no memory for them: lower --rate".to_owned(),
        UnsentReason::NoSourceAddress => {
            let instead = if about.both_families { format!(", or {other}") } else { String::new() };
            match ipv6 {
                true => format!(
                    "no address of this machine to probe IPv6 targets from (link-local ones lead nowhere): give it a global IPv6 address{instead}"
                ),
                false => format!("no address of this machine to probe IPv4 targets from: give it one{instead}"),
            }
        }
        UnsentReason::NeighbourTableFull => {
            let version = if ipv6 { "ipv6" } else { "ipv4" };
            format!(
                "the kernel's neighbour table was full of hosts on the link that do not answer: raise it with `sysctl \
                 net.{version}.neigh.default.gc_thresh3=65536`, lower --rate, or leave those hosts out with --blocklist-file"
            )
        }
        UnsentReason::NeighbourQueueFull => format!(
            "the socket's send buffer was full of {family} probes to next hops (a gateway, or hosts on the link) that do not answer: raise \
             net.core.wmem_max, lower --rate, or leave those hosts out with --blocklist-file"
        ),
        UnsentReason::PrefixLimit => format!(
            "held back by the limit of probes to one {family} prefix: lower --rate"
        ),
        UnsentReason::NearHopLimit => format!(
            "held back by the limit of {family} probes to routers near this machine: lower --rate"
        ),
        UnsentReason::Blocklisted => format!("{family} targets that a blocklist excluded during the run"),
        UnsentReason::Interrupted => "the run ended first".to_owned(),
        UnsentReason::Stopped => "the trace ended first".to_owned(),
        UnsentReason::Ambiguous => "traces that pass there disagree".to_owned(),
        UnsentReason::Errno(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: Circumstances = Circumstances {
        in_lab: false,
        both_families: true,
        mtu: false,
    };

    #[test]
    fn a_remedy_fits_the_targets_and_the_network() {
        let no_route = |ipv6, sent, about| why(UnsentReason::NoRoute, ipv6, sent, about);
        assert_eq!(
            no_route(true, false, REAL),
            "no route to IPv6 targets: probe with -4, or give this machine an IPv6 route"
        );
        let alone = Circumstances {
            both_families: false,
            ..REAL
        };
        assert_eq!(
            no_route(true, false, alone),
            "no route to IPv6 targets: give this machine an IPv6 route"
        );
        let some = no_route(false, true, REAL);
        assert!(
            some.contains("these IPv4 targets") && !some.contains("-6"),
            "{some}"
        );
        let lab = Circumstances {
            in_lab: true,
            ..REAL
        };
        assert!(
            no_route(true, false, lab).contains("the lab's network has no IPv6: probe with -4")
        );
        let large = |about| why(UnsentReason::TooLarge, false, true, about);
        assert!(large(REAL).contains("--packet-size"));
        assert!(!large(Circumstances { mtu: true, ..REAL }).contains("--packet-size"));
        let other = why(UnsentReason::Errno(libc::EIO), false, true, REAL);
        assert!(other.contains("nput/output"), "{other}");
    }
}

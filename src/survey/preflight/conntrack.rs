//! Connection tracking: each flow of a survey uses an entry of its table. A full table drops packets of this and other
//! programs.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::model::{Protocol, TcpFlags};

/// The directory of its settings. It exists only if connection tracking is loaded.
const FILES: &str = "/proc/sys/net/netfilter";

/// The state of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(in crate::survey) struct Conntrack {
    /// Entries in this network namespace.
    pub entries: u64,
    /// The most entries that it can hold.
    pub most: u64,
    /// How long an entry stays that has seen only a probe, in seconds.
    pub timeout_s: u64,
}

impl Conntrack {
    /// Reads the table of this network namespace. `None` if connections are not tracked.
    ///
    /// Call it after packets like the run's probes were sent over loopback.
    ///
    /// | the table | conclusion |
    /// |---|---|
    /// | does not exist | connections are not tracked |
    /// | is empty | no firewall rule uses it, or the run's packets are exempt |
    /// | holds entries | the run uses it; entries of other programs are not told apart |
    pub fn read(protocol: Protocol, tcp_flags: TcpFlags) -> Option<Self> {
        let file = |name: &str| fs::read_to_string(format!("{FILES}/{name}")).unwrap_or_default();
        Self::parse(
            &file("nf_conntrack_count"),
            &file("nf_conntrack_max"),
            &file(timeout_file(protocol, tcp_flags)),
        )
    }

    fn parse(entries: &str, most: &str, timeout: &str) -> Option<Self> {
        let table = Conntrack {
            entries: entries.trim().parse().ok()?,
            most: most.trim().parse().ok()?,
            timeout_s: timeout.trim().parse().ok()?,
        };
        (table.entries > 0).then_some(table)
    }

    /// The most entries that probes will hold at a time. That is the smaller of two numbers: `tuples`, the different addresses and
    /// ports, and the probes within one timeout at `rate` probes a second.
    pub fn expected(&self, tuples: u64, rate: f64) -> u64 {
        let timeout = Duration::from_secs(self.timeout_s).as_secs_f64();
        tuples.min((rate * timeout).ceil() as u64)
    }

    /// The warning that the table has no room for `expected` more entries; `None` if it has.
    pub fn warning(&self, expected: u64) -> Option<String> {
        let wanted = self.entries.saturating_add(expected);
        (wanted > self.most).then(|| {
            format!(
                "connection tracking holds {} entries of at most {}, and this survey would add up to {expected}: a full table \
                 drops probes, replies and other programs' packets; raise it (sysctl net.netfilter.nf_conntrack_max={}), keep \
                 probes out of it (a notrack rule in raw/OUTPUT for the run's source ports, and a rule that accepts ICMP errors, \
                 which then belong to no connection), or lower --rate",
                self.entries,
                self.most,
                wanted.next_power_of_two()
            )
        })
    }
}

/// The file that states how long an entry stays that has seen only a probe. Echo requests over IPv6 have a separate file with
/// the same default.
const fn timeout_file(protocol: Protocol, tcp_flags: TcpFlags) -> &'static str {
    match (protocol, tcp_flags) {
        (Protocol::Udp, _) => "nf_conntrack_udp_timeout",
        (Protocol::Icmp, _) => "nf_conntrack_icmp_timeout",
        (Protocol::Tcp, TcpFlags::Syn) => "nf_conntrack_tcp_timeout_syn_sent",
        // Connection tracking takes these segments for the middle of a connection that it has not seen.
        (Protocol::Tcp, TcpFlags::Ack | TcpFlags::Psh) => "nf_conntrack_tcp_timeout_unacknowledged",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_absent_table_tracks_nothing() {
        assert_eq!(Conntrack::parse("", "", ""), None);
        assert_eq!(Conntrack::parse("0\n", "262144\n", "30\n"), None);
        assert_eq!(Conntrack::parse("x", "262144", "30"), None);
        let table = Conntrack {
            entries: 17,
            most: 262_144,
            timeout_s: 30,
        };
        assert_eq!(Conntrack::parse("17\n", "262144\n", "30\n"), Some(table));
    }

    #[test]
    fn no_more_entries_are_expected_than_probes_within_one_timeout() {
        let table = Conntrack {
            entries: 1,
            most: 65_536,
            timeout_s: 30,
        };
        assert_eq!(table.expected(6_144, 1_000.0), 6_144);
        assert_eq!(table.expected(1_000_000, 1_000.0), 30_000);
        assert_eq!(table.expected(u64::MAX, 100_000.0), 3_000_000);
        assert_eq!(table.expected(10, 0.1), 3);
    }

    #[test]
    fn the_warning_about_a_small_table_names_a_sufficient_size() {
        let table = Conntrack {
            entries: 5_536,
            most: 65_536,
            timeout_s: 30,
        };
        assert_eq!(table.warning(60_000), None);
        let told = table.warning(60_001).unwrap();
        assert!(told.contains("5536 entries of at most 65536"), "{told}");
        assert!(told.contains("nf_conntrack_max=131072"), "{told}");
        assert!(told.contains("notrack"), "{told}");
    }
}

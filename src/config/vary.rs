//! Whether the probes of a survey have the field in which its flows differ.

use super::{ConfigError, SurveyConfig};
use crate::model::{Protocol, Vary};
use crate::targets::Families;

/// How many flows can have a checksum of their own: 0 and 65,535 denote the same sum, and are not used.
const MOST_CHECKSUMS: u16 = 65_534;

impl SurveyConfig {
    /// How many source ports (ICMP: identifiers) the run needs.
    pub fn source_ports(&self) -> u16 {
        self.vary.source_ports(self.flow_pool())
    }

    /// How many destination ports the flows of a target have, at one TTL.
    pub fn destination_ports(&self) -> u16 {
        self.vary.destination_ports(self.flow_pool())
    }

    pub(super) fn validate_vary(&self) -> Result<(), ConfigError> {
        let is_icmp = self.protocol == Protocol::Icmp;
        let lacks = [
            (
                self.vary == Vary::DestPort && is_icmp,
                "dest-port",
                "ICMP echo requests have no ports; use icmp-checksum, or --protocol udp or tcp",
            ),
            (
                self.vary == Vary::DestPort && self.port_per_ttl,
                "dest-port",
                "with --port-per-ttl the destination port is that of a TTL; leave one of them out",
            ),
            (
                self.vary == Vary::IcmpChecksum && !is_icmp,
                "icmp-checksum",
                "only ICMP echo requests go by their checksum; add --protocol icmp",
            ),
            (
                self.vary == Vary::IcmpChecksum && self.flow_pool() > MOST_CHECKSUMS,
                "icmp-checksum",
                "there are 65,534 checksums; give fewer flows (--flows, --max-flows)",
            ),
            (
                self.vary == Vary::FlowLabel && self.targets.families != Families::Ipv6,
                "flow-label",
                "IPv4 has no flow label; add -6 (--ipv6), which leaves IPv4 targets out",
            ),
        ];
        match lacks.into_iter().find(|(holds, ..)| *holds) {
            Some((_, vary, lack)) => Err(ConfigError::Vary { vary, lack }),
            None => Ok(()),
        }
    }
}

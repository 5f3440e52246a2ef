//! A packet under way, as far as the network looks at it.

use std::net::IpAddr;

use super::address::Family;
use super::checksum;
use super::packet::{ICMP, ICMPV6, TCP, UDP};

/// The fields of a packet that change on the way or that decide where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// See [`super::packet::Packet::ports`].
    pub(super) ports: [u16; 2],
    pub(super) ttl: u8,
    /// The TOS, or traffic class.
    pub(super) tos: u8,
    /// IPv4 only; 0 in IPv6.
    pub(super) ip_id: u16,
    /// TTL of the MPLS label on top, within a tunnel.
    pub(super) label_ttl: Option<u8>,
    /// The transport checksum, which boxes adjust with what they rewrite.
    pub(super) checksum: Option<u16>,
    /// The IPv6 flow label; 0 for none.
    pub(super) flow_label: u32,
    /// Bytes of a packet that must not be cut into fragments; 0 for one that may.
    pub(super) uncut_length: u16,
}

/// What address translators look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Source port, or ICMP identifier.
    pub(super) source_port: u16,
    /// Destination port; 0 in ICMP.
    pub(super) destination_port: u16,
}

impl Flight {
    pub(super) fn new(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        ports: [u16; 2],
        ttl: u8,
    ) -> Self {
        Flight {
            source,
            destination,
            protocol,
            ports,
            ttl,
            tos: 0,
            ip_id: 0,
            label_ttl: None,
            checksum: None,
            flow_label: 0,
            uncut_length: 0,
        }
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// Whether it has a destination port.
    pub(super) fn has_ports(&self) -> bool {
        matches!(self.protocol, UDP | TCP)
    }

    /// Whether it has what tells flows of one host apart: a source port, or an identifier.
    pub(super) fn has_flow_number(&self) -> bool {
        self.has_ports() || matches!(self.protocol, ICMP | ICMPV6)
    }

    pub(super) fn ends(&self) -> Ends {
        Ends {
            source: self.source,
            destination: self.destination,
            source_port: self.ports[0],
            destination_port: if self.has_ports() { self.ports[1] } else { 0 },
        }
    }

    /// Puts other ends in place of its own and leaves the checksum as it is.
    pub(super) fn set_ends(&mut self, ends: Ends) {
        self.source = ends.source;
        self.destination = ends.destination;
        self.ports[0] = ends.source_port;
        if self.has_ports() {
            self.ports[1] = ends.destination_port;
        }
    }

    /// The checksum when the ends have become `ends` (RFC 1624). UDP's 0 means "none" and stays.
    pub(super) fn checksum_with(&self, ends: &Ends) -> Option<u16> {
        let (old, new) = (self.covered(&self.ends()), self.covered(ends));
        self.checksum.map(|sum| match self.protocol {
            _ if old == new => sum,
            UDP => checksum::adjusted_udp(sum, old, new),
            _ => checksum::adjusted(sum, old, new),
        })
    }

    pub(super) fn set_checksum(&mut self, checksum: Option<u16>) {
        self.checksum = checksum;
        if let (ICMP | ICMPV6, Some(sum)) = (self.protocol, checksum) {
            // Balancers see it there.
            self.ports[1] = sum;
        }
    }

    /// The sum of that part of `ends` which the checksum covers: of ICMPv4 the identifier alone.
    fn covered(&self, ends: &Ends) -> u16 {
        let addresses = match self.protocol {
            ICMP => 0,
            _ => checksum::address_sum(ends.source, checksum::address_sum(ends.destination, 0)),
        };
        let [from, to] = [ends.source_port, ends.destination_port].map(u16::to_be_bytes);
        match self.has_flow_number() {
            true => checksum::sum(&[from[0], from[1], to[0], to[1]], addresses),
            false => addresses,
        }
    }
}

//! A packet under way: the fields that the network looks at.

use std::net::IpAddr;

use crate::lab::packet::address::Family;
use crate::lab::packet::checksum;
use crate::lab::packet::{ICMP, ICMPV6, TCP, UDP};

/// The fields of a packet that may change on the way, or that decide its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Flight {
    pub(in crate::lab) source: IpAddr,
    pub(in crate::lab) destination: IpAddr,
    pub(in crate::lab) protocol: u8,
    /// See [`crate::lab::packet::Packet::ports`].
    pub(in crate::lab) ports: [u16; 2],
    pub(in crate::lab) ttl: u8,
    /// The TOS, or traffic class.
    pub(in crate::lab) tos: u8,
    /// IPv4 only; 0 in IPv6.
    pub(in crate::lab) ip_id: u16,
    /// TTL of the top MPLS label inside a tunnel.
    pub(in crate::lab) label_ttl: Option<u8>,
    /// The transport checksum. Boxes adjust it when they rewrite fields.
    pub(in crate::lab) checksum: Option<u16>,
    /// The IPv6 flow label; 0 if there is none.
    pub(in crate::lab) flow_label: u32,
    /// The size of a packet that must not be fragmented; 0 if it may be.
    pub(in crate::lab) uncut_length: u16,
}

/// The fields that address translators look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Ends {
    pub(in crate::lab) source: IpAddr,
    pub(in crate::lab) destination: IpAddr,
    /// Source port, or ICMP identifier.
    pub(in crate::lab) source_port: u16,
    /// Destination port; 0 in ICMP.
    pub(in crate::lab) destination_port: u16,
}

impl Flight {
    pub(in crate::lab) fn new(
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

    pub(in crate::lab) fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// Whether it has a destination port.
    pub(in crate::lab) fn has_ports(&self) -> bool {
        matches!(self.protocol, UDP | TCP)
    }

    /// Whether it has a field that distinguishes flows of one host: a source port, or an identifier.
    pub(in crate::lab) fn has_source_number(&self) -> bool {
        self.has_ports() || matches!(self.protocol, ICMP | ICMPV6)
    }

    pub(in crate::lab) fn ends(&self) -> Ends {
        Ends {
            source: self.source,
            destination: self.destination,
            source_port: self.ports[0],
            destination_port: if self.has_ports() { self.ports[1] } else { 0 },
        }
    }

    /// Replaces the ends. The checksum stays as it is.
    pub(in crate::lab) fn set_ends(&mut self, ends: Ends) {
        self.source = ends.source;
        self.destination = ends.destination;
        self.ports[0] = ends.source_port;
        if self.has_ports() {
            self.ports[1] = ends.destination_port;
        }
    }

    /// Returns the checksum after the ends have become `ends` (RFC 1624). In UDP, 0 means "no checksum" and stays.
    pub(in crate::lab) fn checksum_with(&self, ends: &Ends) -> Option<u16> {
        let (old, new) = (self.covered(&self.ends()), self.covered(ends));
        self.checksum.map(|sum| match self.protocol {
            _ if old == new => sum,
            UDP => checksum::adjusted_udp(sum, old, new),
            _ => checksum::adjusted(sum, old, new),
        })
    }

    pub(in crate::lab) fn set_checksum(&mut self, checksum: Option<u16>) {
        self.checksum = checksum;
        if let (ICMP | ICMPV6, Some(sum)) = (self.protocol, checksum) {
            // For ICMP, balancers see the checksum in this place.
            self.ports[1] = sum;
        }
    }

    /// The sum of the fields in `ends` that the checksum covers. In ICMPv4 that is the identifier only.
    fn covered(&self, ends: &Ends) -> u16 {
        let addresses = match self.protocol {
            ICMP => 0,
            _ => checksum::address_sum(ends.source, checksum::address_sum(ends.destination, 0)),
        };
        let [from, to] = [ends.source_port, ends.destination_port].map(u16::to_be_bytes);
        match self.has_source_number() {
            true => checksum::sum(&[from[0], from[1], to[0], to[1]], addresses),
            false => addresses,
        }
    }
}

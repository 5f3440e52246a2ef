//! From a probe to its packet, and from a quote back to the open facts that name a probe.
//!
//! What is the same for a whole run (protocol, ports, lengths) stands here once; a further protocol is one more
//! arm of each `match`.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::{FlowId, Protocol, QuotedProbe, Ttl};
use crate::transport::PacketBatch;
use crate::wire::token::Marks;
use crate::wire::{quote, udp};

/// What all probes of a run have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeFormat {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Source port of flow 0.
    pub source_port: u16,
    /// Flows a target; their source ports follow one another.
    pub flows: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Whether the destination port grows with the TTL, as in the classic traceroute.
    pub port_per_ttl: bool,
}

/// The open facts that a quote shows, as far as they can be this run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFacts {
    /// Destination as quoted.
    pub destination: IpAddr,
    /// The flow that the source port stands for.
    pub flow: FlowId,
    /// The TTL that the length stands for.
    pub ttl: Ttl,
}

/// A probe with its addresses and marks, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Marked {
    /// Our address.
    pub source: IpAddr,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow.
    pub flow: FlowId,
    /// The TTL.
    pub ttl: Ttl,
    /// IP ID.
    pub ip_id: u16,
    /// Check and tag.
    pub marks: Marks,
}

impl ProbeFormat {
    /// The source port of `flow`.
    pub fn src_port(&self, flow: FlowId) -> u16 {
        self.source_port.wrapping_add(flow.0)
    }

    /// The destination port of a probe with `ttl`.
    pub fn dst_port(&self, ttl: Ttl) -> u16 {
        match self.port_per_ttl {
            true => self.destination_port.wrapping_add(u16::from(ttl.0) - 1),
            false => self.destination_port,
        }
    }

    /// The size of a probe with `ttl`, IP header included, bytes.
    pub fn size(&self, ttl: Ttl) -> u16 {
        match self.protocol {
            Protocol::Udp => udp::packet_size(ttl) as u16,
        }
    }

    /// Writes a probe to the end of `batch`. Addresses of different families are the caller's mistake and write nothing.
    pub fn encode(&self, probe: &Marked, batch: &mut PacketBatch) {
        match (self.protocol, probe.source, probe.destination) {
            (Protocol::Udp, IpAddr::V4(source), IpAddr::V4(destination)) => {
                let buffer = batch.push(probe.destination, usize::from(self.size(probe.ttl)));
                udp::UdpProbe {
                    source,
                    destination,
                    src_port: self.src_port(probe.flow),
                    dst_port: self.dst_port(probe.ttl),
                    ttl: probe.ttl,
                    ip_id: probe.ip_id,
                    marks: probe.marks,
                }
                .encode(buffer);
            }
            (Protocol::Udp, ..) => debug_assert!(false, "UDP over IPv6 is not written yet"),
        }
    }

    /// Whether a quote is of this run's protocol at all.
    pub fn quotes_protocol(&self, quoted: &QuotedProbe) -> bool {
        match self.protocol {
            Protocol::Udp => quoted.protocol == quote::UDP,
        }
    }

    /// The flow that a quoted source port stands for.
    pub fn flow_of(&self, src_port: u16) -> Option<FlowId> {
        let flow = src_port.checked_sub(self.source_port)?;
        (flow < self.flows).then_some(FlowId(flow))
    }

    /// The TTL with which a quoted probe was sent, by its length.
    pub fn ttl_of(&self, quoted: &QuotedProbe) -> Option<Ttl> {
        match self.protocol {
            Protocol::Udp => udp::ttl_of_length(quoted.udp_length?),
        }
    }

    /// The open facts of a quote, where all of them can be this run's.
    pub fn open_facts(&self, quoted: &QuotedProbe) -> Option<OpenFacts> {
        let flow = self.flow_of(quoted.src_port?)?;
        let ttl = self.ttl_of(quoted)?;
        (quoted.dst_port? == self.dst_port(ttl)).then_some(OpenFacts {
            destination: quoted.destination,
            flow,
            ttl,
        })
    }
}

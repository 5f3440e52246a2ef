//! The properties of a network that a packet's walk needs.
//!
//! Two networks implement [`Topology`]. One is declared in a file, and holds every router in memory. The other is generated from a
//! seed, and computes a router when a packet arrives at it.

mod balancer;
pub(super) mod declared;
pub(super) mod flight;
pub(super) mod rewriting;
pub(super) mod walk;

use std::net::IpAddr;

use serde::Deserialize;

use self::rewriting::Rewriting;
use crate::lab::packet::wrapping::{Headers, Wrapping};
use crate::model::{InterfaceInfo, MplsLabel};

/// A router. Its topology assigns the number while a packet is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct NodeId(pub(in crate::lab) u32);

/// A line between two neighbours. Probes cross it outward, replies inward.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::lab) struct Line {
    /// Delay one way, in nanoseconds.
    pub(in crate::lab) delay: u64,
    /// Jitter: up to this many nanoseconds are added each way.
    pub(in crate::lab) jitter: u64,
    /// Share of probes lost.
    pub(in crate::lab) loss: f64,
    /// Share of replies lost.
    pub(in crate::lab) reply_loss: f64,
    /// Share of replies delivered twice.
    pub(in crate::lab) duplicate: f64,
    /// Share of replies that are delayed.
    pub(in crate::lab) reorder: f64,
    /// The delay of those replies, in nanoseconds.
    pub(in crate::lab) reorder_by: u64,
    /// The largest packet that the line carries, in bytes. `None`: no limit.
    pub(in crate::lab) mtu: Option<u16>,
}

/// How a router distributes packets over several next hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::lab) enum Balance {
    /// By a hash of source, destination, protocol, source port, destination port and IPv6 flow label.
    #[default]
    #[serde(rename = "per_flow")]
    Flow,
    /// By a hash of the destination.
    #[serde(rename = "per_destination")]
    Destination,
    /// At random, for each packet.
    #[serde(rename = "per_packet")]
    Packet,
}

/// The rate and size of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct RateLimit {
    /// Nanoseconds per token.
    pub(in crate::lab) interval: u64,
    /// Tokens in a full bucket.
    pub(in crate::lab) burst: u32,
}

impl RateLimit {
    /// The default of Linux for unreachables, per peer: 6 at once, then one per second.
    pub(in crate::lab) const LINUX: RateLimit = RateLimit {
        interval: 1_000_000_000,
        burst: 6,
    };
}

/// How a router treats a packet in transit.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::lab) struct Passage<'a> {
    /// If a packet arrives with TTL 1, it is forwarded with TTL 0 and not answered.
    pub(in crate::lab) zero_ttl_forwarding: bool,
    /// If packets reach the router with an MPLS label: how the ingress sets the label's TTL.
    pub(in crate::lab) labelled: Option<Propagation>,
    /// How it rewrites packets that it forwards.
    pub(in crate::lab) rewriting: Option<&'a Rewriting>,
    /// Its complaint, if it has one.
    pub(in crate::lab) complaint: Option<Complaint>,
}

/// An error that a router sends although other packets pass it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Complaint {
    /// The IPv4 code of Destination Unreachable, or its counterpart in IPv6.
    pub(in crate::lab) code: u8,
    /// The MTU in bytes, if the error says that the packet is too large.
    pub(in crate::lab) mtu: u16,
    pub(in crate::lab) about: Grievance,
}

/// The packets that a router complains about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum Grievance {
    /// Packets whose TTL runs out. The error replaces Time Exceeded.
    #[default]
    Expired,
    /// Packets that it forwards.
    Forwarded,
}

/// The TTL that the ingress of an MPLS tunnel writes into the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Propagation {
    /// The packet's TTL. The tunnel's routers are visible.
    Copied,
    /// The value 255. The tunnel's routers are hidden.
    Hidden,
}

/// What a router does with a packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) enum Next {
    /// Forwards it to one of `width` next hops. [`Topology::branch`] of `routes` returns the hop.
    Forward {
        balance: Balance,
        hash_seed: u64,
        width: usize,
        routes: usize,
    },
    /// Delivers it to the host with the packet's destination address.
    Host(Line),
    /// Drops it, and answers with this IPv4 code of Destination Unreachable, or its counterpart in IPv6.
    Unreachable {
        code: u8,
        /// The MTU, for code 4.
        mtu: u16,
        before_ttl_check: bool,
    },
    /// Drops it silently.
    Discard,
}

/// How a machine quotes a packet in an ICMP error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Quoting {
    /// Quoted bytes after the IP header. `None`: as many as fit.
    pub(in crate::lab) bytes: Option<u16>,
    /// The total length (IPv6: payload length) in the quoted header.
    pub(in crate::lab) length: QuotedLength,
    /// Where the extension structure begins.
    pub(in crate::lab) extensions: ExtensionForm,
    /// IPv6 extension headers that are inserted before the quoted transport header.
    pub(in crate::lab) headers: Headers,
}

/// The length field in a quoted IP header. The IPv4 header checksum is not updated, so it is wrong if the length changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum QuotedLength {
    #[default]
    Kept,
    Zeroed,
    /// In the machine's byte order, as some systems leave it.
    Swapped,
}

/// How a message with extensions (RFC 4884) shows where they begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum ExtensionForm {
    /// By the length of the quote in words.
    #[default]
    Compliant,
    /// It does not. The extensions follow after 128 bytes of quote (section 5.5).
    Legacy,
    /// By the length of the quote in bytes, although it should be in words. The structure has no checksum.
    InBytes,
}

/// How a router answers packets of one family.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Answering {
    /// The router's address in that family. A silent router without one has its address of the other family here.
    pub(in crate::lab) address: IpAddr,
    pub(in crate::lab) silent: bool,
    /// Share of packets that it should answer, but does not.
    pub(in crate::lab) answer_loss: f64,
    pub(in crate::lab) limit: Option<RateLimit>,
    /// Nanoseconds between a packet's arrival and its answer.
    pub(in crate::lab) delay: u64,
    /// Initial TTL of its own packets.
    pub(in crate::lab) initial_ttl: u8,
    pub(in crate::lab) quoting: Quoting,
    pub(in crate::lab) wrapping: Wrapping,
}

/// The behaviour of a TCP port that is not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum TcpPort {
    /// Resets.
    #[default]
    Closed,
    /// A firewall drops all segments.
    Filtered,
    /// A firewall answers "prohibited".
    Prohibited,
}

/// How a target answers.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Host<'a> {
    /// The address that it answers from, if that is not the probed address.
    pub(in crate::lab) answers_from: Option<IpAddr>,
    /// Whether it never answers anything.
    pub(in crate::lab) silent: bool,
    /// The code of Destination Unreachable for UDP ports without a service.
    pub(in crate::lab) code: u8,
    /// UDP ports with a service that answers.
    pub(in crate::lab) udp_services: &'a [u16],
    /// Whether it answers ICMP echo requests.
    pub(in crate::lab) echo: bool,
    /// TCP ports that are open.
    pub(in crate::lab) tcp_open: &'a [u16],
    /// The behaviour of all other TCP ports.
    pub(in crate::lab) tcp: TcpPort,
    /// The rate limit of its ICMP errors.
    pub(in crate::lab) limit: Option<RateLimit>,
    pub(in crate::lab) initial_ttl: u8,
    pub(in crate::lab) quoting: Quoting,
    pub(in crate::lab) wrapping: Wrapping,
}

/// A network that packets can walk through.
pub(in crate::lab) trait Topology {
    /// Properties about a destination that all routers need. Computed once per packet.
    type Plan;

    /// The first router and the line to it.
    fn entry(&self) -> (NodeId, Line);

    /// The plan for packets to `destination`.
    fn plan(&self, destination: IpAddr) -> Self::Plan;

    /// How `node` treats a packet that passes.
    fn passage(&self, node: NodeId, plan: &Self::Plan) -> Passage<'_>;

    /// Where `node` sends packets to `destination`.
    fn next(&self, node: NodeId, plan: &Self::Plan, destination: IpAddr) -> Next;

    /// Returns next hop number `choice` of those that [`Next::Forward`] announced.
    fn branch(
        &self,
        node: NodeId,
        plan: &Self::Plan,
        routes: usize,
        choice: usize,
    ) -> (NodeId, Line);

    /// How `node` answers.
    fn answering(&self, node: NodeId, plan: &Self::Plan) -> Answering;

    /// The labels that `node` shows for packets that reach it in a tunnel, top first. Their TTL and bottom bit are not set yet.
    /// Empty if it shows none.
    fn labels(&self, node: NodeId, plan: &Self::Plan) -> Vec<MplsLabel>;

    /// The interface information (RFC 5837) that `node` sends. Usually empty.
    fn interfaces(&self, _node: NodeId) -> &[InterfaceInfo] {
        &[]
    }

    /// How the host with this address answers.
    fn host(&self, destination: IpAddr) -> Host<'_>;
}

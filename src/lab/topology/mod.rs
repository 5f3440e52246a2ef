//! What a network must tell of itself so that packets can be walked through it.
//!
//! Two networks implement it: one declared in a file, with every router in memory, and one generated from a seed,
//! whose routers are computed when a packet comes by.

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

/// A router, as its topology names it while a packet is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct NodeId(pub(in crate::lab) u32);

/// A line between two neighbours. Probes cross it outward, replies inward.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::lab) struct Line {
    /// One way, nanoseconds.
    pub(in crate::lab) delay: u64,
    /// Added each way: 0 up to this many nanoseconds.
    pub(in crate::lab) jitter: u64,
    /// Share of probes lost.
    pub(in crate::lab) loss: f64,
    /// Share of replies lost.
    pub(in crate::lab) reply_loss: f64,
    /// Share of replies delivered twice.
    pub(in crate::lab) duplicate: f64,
    /// Share of replies held back.
    pub(in crate::lab) reorder: f64,
    /// For how long those are held back, nanoseconds.
    pub(in crate::lab) reorder_by: u64,
    /// The largest packet that it carries, in bytes; `None`: any.
    pub(in crate::lab) mtu: Option<u16>,
}

/// How a router shares packets out over several next hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::lab) enum Balance {
    /// By source, destination, protocol, source port, destination port, IPv6 flow label.
    #[default]
    #[serde(rename = "per_flow")]
    Flow,
    /// By destination.
    #[serde(rename = "per_destination")]
    Destination,
    /// Anew for each packet.
    #[serde(rename = "per_packet")]
    Packet,
}

/// A token bucket's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct RateLimit {
    /// Nanoseconds for one token.
    pub(in crate::lab) interval: u64,
    /// Tokens when full.
    pub(in crate::lab) burst: u32,
}

impl RateLimit {
    /// What Linux does by default for unreachables, for each peer: 6 at once, then one a second.
    pub(in crate::lab) const LINUX: RateLimit = RateLimit {
        interval: 1_000_000_000,
        burst: 6,
    };
}

/// How a router treats a packet that passes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::lab) struct Passage<'a> {
    /// Forwards a packet that arrives with TTL 1 with TTL 0, instead of answering.
    pub(in crate::lab) zero_ttl_forwarding: bool,
    /// Packets reach it with an MPLS label; whether the label's TTL was taken from the packet's.
    pub(in crate::lab) labelled: Option<Propagation>,
    /// What it rewrites of packets that it forwards.
    pub(in crate::lab) rewriting: Option<&'a Rewriting>,
    /// What it complains of although it forwards.
    pub(in crate::lab) complaint: Option<Complaint>,
}

/// A router's complaint that keeps no other packet from passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Complaint {
    /// The IPv4 code of Destination Unreachable, or what takes its place in IPv6.
    pub(in crate::lab) code: u8,
    /// Of a complaint that the packet is too large, bytes.
    pub(in crate::lab) mtu: u16,
    pub(in crate::lab) about: Grievance,
}

/// Which packets a router complains of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum Grievance {
    /// Those whose TTL runs out, in place of Time Exceeded.
    #[default]
    Expired,
    /// Those that it forwards.
    Forwarded,
}

/// What the ingress of an MPLS tunnel writes as the label's TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Propagation {
    /// The packet's TTL: the tunnel's routers show.
    Copied,
    /// 255: the tunnel's routers stay hidden.
    Hidden,
}

/// Where a router sends a packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) enum Next {
    /// To one of `width` next hops; [`Topology::branch`] of `routes` names them.
    Forward {
        balance: Balance,
        hash_seed: u64,
        width: usize,
        routes: usize,
    },
    /// To the host with the packet's destination address.
    Host(Line),
    /// Nowhere, and says so with this IPv4 code of Destination Unreachable, or what takes its place in IPv6.
    Unreachable {
        code: u8,
        /// Of code 4.
        mtu: u16,
        before_ttl_check: bool,
    },
    /// Nowhere, without a word.
    Discard,
}

/// How a machine quotes the packet that its ICMP error is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Quoting {
    /// How many bytes behind the IP header; `None`: as many as fit.
    pub(in crate::lab) bytes: Option<u16>,
    /// The total length (IPv6: payload length) in the quoted header.
    pub(in crate::lab) length: QuotedLength,
    /// Where extensions stand.
    pub(in crate::lab) extensions: ExtensionForm,
    /// IPv6 extension headers in front of the quoted transport header.
    pub(in crate::lab) headers: Headers,
}

/// What becomes of the length in a quoted IP header. An IPv4 header checksum stays as it was before, so that it is wrong then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum QuotedLength {
    #[default]
    Kept,
    Zeroed,
    /// In the byte order of the machine, as some systems leave it.
    Swapped,
}

/// How a message with extensions (RFC 4884) says where they begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum ExtensionForm {
    /// By the length of the quote.
    #[default]
    Compliant,
    /// Not at all: behind 128 bytes of quote (section 5.5).
    Legacy,
    /// By the length of the quote in bytes, which should count words, and the structure has no checksum.
    InBytes,
}

/// How a router answers packets of one family.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Answering {
    /// Of that family, but for a silent router that has none.
    pub(in crate::lab) address: IpAddr,
    pub(in crate::lab) silent: bool,
    /// Share of packets that it should answer and does not.
    pub(in crate::lab) answer_loss: f64,
    pub(in crate::lab) limit: Option<RateLimit>,
    /// Nanoseconds between a packet's arrival and its answer.
    pub(in crate::lab) delay: u64,
    /// TTL of its own packets when they leave.
    pub(in crate::lab) initial_ttl: u8,
    pub(in crate::lab) quoting: Quoting,
    pub(in crate::lab) wrapping: Wrapping,
}

/// What a TCP port is like that is not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum TcpPort {
    /// Resets.
    #[default]
    Closed,
    /// A firewall drops everything.
    Filtered,
    /// A firewall says that it is prohibited.
    Prohibited,
}

/// How a target answers.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Host<'a> {
    /// The address that it answers from, where that is not the one probed.
    pub(in crate::lab) answers_from: Option<IpAddr>,
    /// Whether it never answers anything.
    pub(in crate::lab) silent: bool,
    /// The code of Destination Unreachable that it answers UDP with, where no service does.
    pub(in crate::lab) code: u8,
    /// UDP ports with a service that answers.
    pub(in crate::lab) udp_services: &'a [u16],
    /// Whether it answers ICMP echo requests.
    pub(in crate::lab) echo: bool,
    /// TCP ports that are open.
    pub(in crate::lab) tcp_open: &'a [u16],
    /// All other TCP ports.
    pub(in crate::lab) tcp: TcpPort,
    /// Of its ICMP errors.
    pub(in crate::lab) limit: Option<RateLimit>,
    pub(in crate::lab) initial_ttl: u8,
    pub(in crate::lab) quoting: Quoting,
    pub(in crate::lab) wrapping: Wrapping,
}

/// A network that packets can be walked through.
pub(in crate::lab) trait Topology {
    /// What all routers need to know of a destination, worked out once for each packet.
    type Plan;

    /// The first router and the line to it.
    fn entry(&self) -> (NodeId, Line);

    /// The plan for packets to `destination`.
    fn plan(&self, destination: IpAddr) -> Self::Plan;

    /// How `node` treats a packet that passes.
    fn passage(&self, node: NodeId, plan: &Self::Plan) -> Passage<'_>;

    /// Where `node` sends packets to `destination`.
    fn next(&self, node: NodeId, plan: &Self::Plan, destination: IpAddr) -> Next;

    /// Next hop `choice` of those that [`Next::Forward`] spoke of.
    fn branch(
        &self,
        node: NodeId,
        plan: &Self::Plan,
        routes: usize,
        choice: usize,
    ) -> (NodeId, Line);

    /// How `node` answers.
    fn answering(&self, node: NodeId, plan: &Self::Plan) -> Answering;

    /// The labels (top first, TTL and bottom not yet right) that `node` shows of packets that reach it in a tunnel;
    /// empty where it shows none.
    fn labels(&self, node: NodeId, plan: &Self::Plan) -> Vec<MplsLabel>;

    /// What `node` says of its interfaces (RFC 5837); mostly nothing.
    fn interfaces(&self, _node: NodeId) -> &[InterfaceInfo] {
        &[]
    }

    /// How the host with this address answers.
    fn host(&self, destination: IpAddr) -> Host<'_>;
}

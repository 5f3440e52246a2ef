//! The rows of the tables that multipath tracing writes: what graph leads to a target.

use std::net::IpAddr;

use super::named::named;
use super::{StopReason, TargetId, Time, TraceId, Ttl};

named! {
    /// Why no more flows were sent through a node.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum StoppedBy: "a reason to stop at a node" {
        /// As many flows as the stopping point asks for have passed it.
        Points = "points",
        /// All flows of the run were used.
        MaxFlows = "max_flows",
        /// The next hop has more nodes than are followed.
        MaxWidth = "max_width",
        /// Too many of its flows were not answered at the next hop.
        Silence = "silence",
    }
}

named! {
    /// How the graph of a target is searched.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum Algorithm: "a way to search graphs" {
        /// The multipath detection algorithm (MDA): each node is completed by itself.
        #[default]
        Full = "full",
        /// MDA-Lite: whole hops are completed, as long as the graph is uniform and not meshed.
        Lite = "lite",
    }
}

named! {
    /// What a load balancer goes by.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum BalancerType: "a type of load balancer" {
        /// The packets of a flow stay together.
        PerFlow = "per_flow",
        /// The packets of a flow are spread.
        PerPacket = "per_packet",
        /// The packets to a destination stay together, whatever their flow. Written if the destination address is varied.
        PerDestination = "per_destination",
    }
}

/// One row of `graphs`: the graph of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphRow {
    /// Joins `traces`, `hops` and the other tables of multipath tracing.
    pub trace_id: TraceId,
    /// The target. Its text and labels are added when the row is written.
    pub target: TargetId,
    /// The address probed.
    pub destination: IpAddr,
    /// When its first probe was asked for.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// How it was searched in the end. MDA-Lite goes over to the full algorithm if it has to.
    pub algorithm: Algorithm,
    /// How many flows were sent.
    pub flows: u32,
    /// How many rows of `nodes` it has.
    pub nodes: u32,
    /// How many rows of `links` it has.
    pub links: u32,
    /// How many rows of `diamonds` it has.
    pub diamonds: u32,
    /// The most nodes at one TTL.
    pub max_width: u32,
    /// Nodes, or groups of flows behind a silent or varying hop, that showed several next hops.
    pub branchings: u32,
    /// The probability that the graph misses something, at most, under the assumptions of docs/multipath.md. It is larger than asked for if
    /// a search at a node was given up. What lies beyond the highest TTL, the gap limit or a loop is not counted.
    pub failure_bound: f64,
}

/// One row of `nodes`: an address at a TTL of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// Joins `graphs`.
    pub trace_id: TraceId,
    /// The address probed.
    pub destination: IpAddr,
    /// The TTL.
    pub ttl: Ttl,
    /// Who answered.
    pub address: IpAddr,
    /// How many flows it answered first at this TTL.
    pub flows: u32,
    /// How many next hops were found. `None` at the end of a path, and inside of a per-packet balancer.
    pub next_hops: Option<u32>,
    /// How many flows through it were answered at the next TTL. `None` if `next_hops` is.
    pub next_hop_flows: Option<u32>,
    /// The probability that so many flows show only so many next hops if there is one more. `None` if `next_hops` is, and if it is 0.
    pub miss_probability: Option<f64>,
    /// Why no more flows were sent through it. `None` if `next_hops` is.
    pub stopped_by: Option<StoppedBy>,
    /// Whether it stands inside of a per-packet balancer, so that flows pass it by chance; or may stand there, because too few further attempts
    /// were answered.
    pub varies: bool,
    /// Whether it is the end of its flows: the target, or a router that answered unreachable.
    pub is_end: bool,
}

/// One row of `links`: two nodes at consecutive TTLs that a flow passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Joins `graphs`.
    pub trace_id: TraceId,
    /// The address probed.
    pub destination: IpAddr,
    /// The TTL of `near`. That of `far` is one more.
    pub ttl: Ttl,
    /// The nearer node.
    pub near: IpAddr,
    /// The farther node.
    pub far: IpAddr,
    /// How many flows were seen to pass both.
    pub flows: u32,
}

/// One row of `diamonds`: consecutive TTLs with several nodes each, between two TTLs with one node each. [`diamonds`](super::diamonds) has
/// the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiamondRow {
    /// Joins `graphs`.
    pub trace_id: TraceId,
    /// The address probed.
    pub destination: IpAddr,
    /// The lowest TTL with several nodes.
    pub first_ttl: Ttl,
    /// The highest TTL with several nodes.
    pub last_ttl: Ttl,
    /// The TTL of the divergence point, one below `first_ttl`. `None` if the paths part at the source: `first_ttl` is 1.
    pub divergence_ttl: Option<Ttl>,
    /// The node where the paths part. `None` if it is silent, was not probed, or is the source.
    pub divergence: Option<IpAddr>,
    /// The TTL of the convergence point, one above `last_ttl`. `None` if the graph ends before the paths meet.
    pub convergence_ttl: Option<Ttl>,
    /// The node where the paths meet. `None` if it is silent, or if the paths do not meet.
    pub convergence: Option<IpAddr>,
    /// The most nodes at one of its TTLs.
    pub max_width: u32,
    /// The number of links of its longest path, from the divergence point (or the source) to the convergence point, or to `last_ttl` if the
    /// paths do not meet.
    pub max_length: u32,
    /// How much the numbers of links of nodes differ: the largest difference over all pairs of its TTLs that follow each other. 0 if the
    /// diamond has one TTL. `None` inside of a per-packet balancer.
    pub width_asymmetry: Option<u32>,
    /// Whether two of its TTLs are linked by more than parallel paths. `None` inside of a per-packet balancer.
    pub meshed: Option<bool>,
    /// What the balancer at the divergence point goes by. `None` if it is not known.
    pub balancer: Option<BalancerType>,
}

//! A network that a file declares router by router.

use std::net::IpAddr;

use ipnet::IpNet;

use super::rewriting::Rewriting;
use super::{
    Answering, Balance, Complaint, Host, Line, Next, NodeId, Passage, Propagation, Quoting,
    TcpPort, Topology,
};
use crate::lab::packet::address::Family;
use crate::lab::packet::wrapping::Wrapping;
use crate::model::{InterfaceInfo, MplsLabel};

/// The routers and targets of a declared network. The first router is next to the vantage point.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Declared {
    pub(in crate::lab) routers: Vec<DeclaredRouter>,
    pub(in crate::lab) hosts: Vec<(IpNet, DeclaredHost)>,
    pub(in crate::lab) first: NodeId,
    pub(in crate::lab) first_line: Line,
    /// What routers do with a packet that matches no route.
    pub(in crate::lab) unrouted: Action,
}

/// One router.
#[derive(Clone, Debug)]
pub(in crate::lab) struct DeclaredRouter {
    /// Answers in IPv4 and in IPv6.
    pub(in crate::lab) answering: [Answering; 2],
    pub(in crate::lab) zero_ttl_forwarding: bool,
    pub(in crate::lab) complaint: Option<Complaint>,
    pub(in crate::lab) tunnel: Option<Tunnel>,
    pub(in crate::lab) interfaces: Vec<InterfaceInfo>,
    pub(in crate::lab) rewriting: Option<Rewriting>,
    pub(in crate::lab) hash_seed: u64,
    /// Longest prefixes first.
    pub(in crate::lab) routes: Vec<(IpNet, Action)>,
}

/// A target, or a prefix of targets.
#[derive(Clone, Debug)]
pub(in crate::lab) struct DeclaredHost {
    pub(in crate::lab) udp_services: Vec<u16>,
    pub(in crate::lab) tcp_open: Vec<u16>,
    /// All other properties. The lists of ports in it are empty.
    pub(in crate::lab) host: Host<'static>,
}

/// How packets reach a router inside an MPLS tunnel.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Tunnel {
    pub(in crate::lab) propagation: Propagation,
    /// Whether its answers show the labels (RFC 4950).
    pub(in crate::lab) shown: bool,
    pub(in crate::lab) labels: Vec<u32>,
}

/// What a route does.
#[derive(Clone, Debug)]
pub(in crate::lab) enum Action {
    Forward {
        balance: Balance,
        hops: Vec<(NodeId, Line)>,
    },
    Deliver(Line),
    Unreachable {
        code: u8,
        mtu: u16,
        before_ttl_check: bool,
    },
    Discard,
}

impl Declared {
    fn router(&self, node: NodeId) -> &DeclaredRouter {
        &self.routers[node.0 as usize]
    }
}

impl Topology for Declared {
    type Plan = Family;

    fn entry(&self) -> (NodeId, Line) {
        (self.first, self.first_line)
    }

    fn plan(&self, destination: IpAddr) -> Family {
        Family::of(destination)
    }

    fn passage(&self, node: NodeId, _: &Family) -> Passage<'_> {
        let router = self.router(node);
        Passage {
            zero_ttl_forwarding: router.zero_ttl_forwarding,
            labelled: router.tunnel.as_ref().map(|t| t.propagation),
            rewriting: router.rewriting.as_ref(),
            complaint: router.complaint,
        }
    }

    fn next(&self, node: NodeId, _: &Family, destination: IpAddr) -> Next {
        let router = self.router(node);
        let found = router
            .routes
            .iter()
            .position(|(prefix, _)| prefix.contains(&destination));
        let action = found.map_or(&self.unrouted, |index| &router.routes[index].1);
        match action {
            Action::Forward { balance, hops } => Next::Forward {
                balance: *balance,
                hash_seed: router.hash_seed,
                width: hops.len(),
                routes: found.unwrap_or_default(),
            },
            Action::Deliver(line) => Next::Host(*line),
            Action::Unreachable {
                code,
                mtu,
                before_ttl_check,
            } => Next::Unreachable {
                code: *code,
                mtu: *mtu,
                before_ttl_check: *before_ttl_check,
            },
            Action::Discard => Next::Discard,
        }
    }

    fn branch(&self, node: NodeId, _: &Family, routes: usize, choice: usize) -> (NodeId, Line) {
        match &self.router(node).routes[routes].1 {
            Action::Forward { hops, .. } => hops[choice],
            // `routes` is the index of a forwarding route, because `next` returned it.
            _ => (node, Line::default()),
        }
    }

    fn answering(&self, node: NodeId, family: &Family) -> Answering {
        let [v4, v6] = self.router(node).answering;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    fn labels(&self, node: NodeId, _: &Family) -> Vec<MplsLabel> {
        let shown = self.router(node).tunnel.iter().filter(|t| t.shown);
        shown
            .flat_map(|tunnel| &tunnel.labels)
            .map(|label| MplsLabel {
                label: *label,
                traffic_class: 0,
                bottom: false,
                ttl: 0,
            })
            .collect()
    }

    fn interfaces(&self, node: NodeId) -> &[InterfaceInfo] {
        &self.router(node).interfaces
    }

    fn host(&self, destination: IpAddr) -> Host<'_> {
        let found = self
            .hosts
            .iter()
            .find(|(prefix, _)| prefix.contains(&destination));
        match found {
            Some((_, declared)) => Host {
                udp_services: &declared.udp_services,
                tcp_open: &declared.tcp_open,
                ..declared.host
            },
            // A box rewrote the destination to an address that is no target, but a route delivers the packet.
            None => Host {
                answers_from: None,
                silent: true,
                code: 3,
                udp_services: &[],
                echo: false,
                tcp_open: &[],
                tcp: TcpPort::Filtered,
                limit: None,
                initial_ttl: 64,
                quoting: Quoting::default(),
                wrapping: Wrapping::default(),
            },
        }
    }
}

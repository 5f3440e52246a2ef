//! The simulated internet: packets in, replies out.

mod icmp;
mod recording;
pub(super) mod state;
mod token_bucket;
mod virtual_time;

pub use self::recording::{Recorded, Recording, RecordingLog};
pub use self::virtual_time::VirtualNetwork;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use self::state::State;
use crate::lab::generated::Generated;
use crate::lab::generated::addresses::{VANTAGE_V4, VANTAGE_V6, target_prefixes};
use crate::lab::topology::declared::Declared;
use crate::lab::{Delivery, GeneratedOptions, Respond};
use crate::model::Time;

/// A simulated internet as seen from one vantage point.
///
/// The seed, the packets and their times determine everything. The same packets at the same times bring the same replies.
#[derive(Clone, Debug)]
pub struct LabNetwork {
    pub(in crate::lab) kind: NetworkKind,
    pub(in crate::lab) facts: Properties,
    state: State,
}

/// Which topology it is.
#[derive(Clone, Debug)]
pub(in crate::lab) enum NetworkKind {
    Declared(Declared),
    Generated(Generated),
}

/// The properties that every network has.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Properties {
    pub(in crate::lab) name: String,
    pub(in crate::lab) description: String,
    pub(in crate::lab) vantage_v4: Ipv4Addr,
    /// `None`: the network has no IPv6.
    pub(in crate::lab) vantage_v6: Option<Ipv6Addr>,
    pub(in crate::lab) seed: u64,
    pub(in crate::lab) targets: Vec<IpNet>,
}

impl Properties {
    /// The vantage point's address of the family of `other`.
    pub(in crate::lab) fn vantage_beside(&self, other: IpAddr) -> Option<IpAddr> {
        match other {
            IpAddr::V4(_) => Some(self.vantage_v4.into()),
            IpAddr::V6(_) => self.vantage_v6.map(IpAddr::from),
        }
    }
}

/// What a network has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabStatistics {
    /// Packets that came from the vantage point.
    pub received: u64,
    /// Replies delivered, without second copies.
    pub answered: u64,
    /// Second copies of replies.
    pub duplicated: u64,
    /// Dropped by the first router: malformed, fragments, unroutable addresses.
    pub refused: u64,
    /// Probes lost on a line.
    pub lost: u64,
    /// Replies lost on a line.
    pub replies_lost: u64,
    /// Not answered: by a silent router, by a silent target, or because a router discards packets.
    pub silent: u64,
    /// Not answered because of a rate limit.
    pub rate_limited: u64,
    /// Dropped by the target: wrong checksum or lengths.
    pub corrupt: u64,
    /// Accepted, but no reply is due: TCP resets (such as our own kernel's to an unexpected SYN-ACK), segments of no connection, and
    /// ICMP other than echo requests.
    pub absorbed: u64,
    /// TCP connections that are half open at hosts when the last packet was sent. A connection leaves this state by a reset, by the end
    /// of the handshake, or after 63 s. At most 65,536 are counted. Unlike the other figures, this is not a sum.
    pub half_open: u64,
}

impl LabNetwork {
    /// The generated network of `seed` with the default options.
    pub fn generated(seed: u64) -> Self {
        Self::generated_with(seed, GeneratedOptions::default())
    }

    /// A generated network.
    pub fn generated_with(seed: u64, options: GeneratedOptions) -> Self {
        let facts = Properties {
            name: format!("generated-{seed}"),
            description: "A generated internet of any size.".to_owned(),
            vantage_v4: VANTAGE_V4,
            vantage_v6: Some(VANTAGE_V6),
            seed,
            targets: target_prefixes(),
        };
        Self::new(facts, NetworkKind::Generated(Generated::new(seed, options)))
    }

    pub(in crate::lab) fn new(facts: Properties, kind: NetworkKind) -> Self {
        LabNetwork {
            kind,
            facts,
            state: State::default(),
        }
    }

    /// The network's name, for manifests and messages.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// What the network demonstrates, for people. May be empty.
    pub fn description(&self) -> &str {
        &self.facts.description
    }

    /// The vantage point's IPv4 address: see [`vantage_v4`](LabNetwork::vantage_v4).
    pub fn vantage(&self) -> Ipv4Addr {
        self.vantage_v4()
    }

    /// The vantage point's IPv4 address. IPv4 probes must carry it as their source; other packets are dropped.
    pub fn vantage_v4(&self) -> Ipv4Addr {
        self.facts.vantage_v4
    }

    /// The vantage point's IPv6 address, with the same rule. `None`: the network has no IPv6 and drops it.
    pub fn vantage_v6(&self) -> Option<Ipv6Addr> {
        self.facts.vantage_v6
    }

    /// The prefixes that hold targets. Other addresses belong to routers, or to no machine.
    pub fn target_prefixes(&self) -> &[IpNet] {
        &self.facts.targets
    }

    /// What it has done so far.
    pub fn statistics(&self) -> LabStatistics {
        self.state.statistics()
    }
}

impl Respond for LabNetwork {
    fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
        let state = &mut self.state;
        match &self.kind {
            NetworkKind::Declared(topology) => {
                state.respond(topology, &self.facts, packet, now, deliveries)
            }
            NetworkKind::Generated(topology) => {
                state.respond(topology, &self.facts, packet, now, deliveries)
            }
        }
    }

    fn vantage_v6(&self) -> Option<Ipv6Addr> {
        self.facts.vantage_v6
    }
}

//! A generated internet of any size. It keeps no state for targets or routers.
//!
//! The path to a target is a function of the seed, the destination, its block and the flow. A block is a /24, in IPv6 a /48.
//! Paths share their first parts, as real paths do:
//!
//! | part | routers | shared by |
//! |---|---|---|
//! | near | gateway, a two-wide diamond, its end | everything |
//! | transit | 1 to 4 hops, one of 8 carriers | an eighth of all blocks |
//! | region | 0 to 5 hops, one of 256 | the blocks of a region |
//! | site | 0 to 2 hops, one of 16 in its region | the blocks of a site |
//! | last hop | 1 | the block |
//!
//! Hops of transit, region and site may be 2 to 4 wide. Most of these balancers work per flow, a few per destination.
//! Some diamonds have a branch that is one hop shorter. Some carriers run MPLS.
//! Targets are 6 to 16 hops away. Their RTTs are 1 to 150 ms, times the delay scale.
//! [`addresses`] lists the addresses of targets and routers; [`hosts`] says what targets answer.

pub(super) mod addresses;
mod hosts;
mod options;

pub use self::options::GeneratedOptions;

use std::net::{IpAddr, Ipv4Addr};

use self::addresses::{block_of, is_target, router_address};
use crate::lab::hash::{mix2, scaled, within};
use crate::lab::packet::address::{Family, key};
use crate::lab::packet::wrapping::Wrapping;
use crate::lab::topology::{
    Answering, Balance, Host, Line, Next, NodeId, Passage, Propagation, Quoting, RateLimit,
    Topology,
};
use crate::model::MplsLabel;

/// The topology of a generated network.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Generated {
    seed: u64,
    pub(in crate::lab) options: GeneratedOptions,
}

/// The properties that all packets to one block share.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Plan {
    pub(in crate::lab) family: Family,
    /// The block's number: see [`block_of`].
    pub(in crate::lab) block: u32,
    routable: bool,
    pub(in crate::lab) region: u8,
    pub(in crate::lab) site: u8,
    /// Where transit, region, site and the last hop begin, as hop indices from 0.
    starts: [u8; 4],
}

/// The parts of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Part {
    Near,
    Transit,
    Region,
    Site,
    Last,
}

/// The properties that the routers of one hop share.
struct Level {
    width: u8,
    balance: Balance,
    /// The first branch leads around this hop.
    shortcut: bool,
}

/// The number of carriers. Each region has one.
pub(in crate::lab) const CARRIERS: u8 = 8;
const SITES: u64 = 16;
const NEAR: u8 = 3;
const ROUTER_LIMIT: RateLimit = RateLimit {
    interval: 2_000_000,
    burst: 50,
};

/// The purposes of hashes. Each purpose has its own value, so that hashes for different purposes are independent.
#[derive(Clone, Copy)]
pub(in crate::lab) enum Salt {
    Region = 1,
    Site,
    TransitLength,
    RegionLength,
    SiteLength,
    Level,
    Silent,
    Limited,
    Quote,
    Delay,
    Balancer,
    Tunnel,
    Label,
    InitialTtl,
    SilentTarget,
    TargetDelay,
    TargetTtl,
    TargetTcp,
    TargetFirewall,
    TargetEcho,
    TargetService,
}

impl Generated {
    pub(in crate::lab) fn new(seed: u64, options: GeneratedOptions) -> Self {
        Generated { seed, options }
    }

    pub(in crate::lab) fn hash(&self, salt: Salt, value: u64) -> u64 {
        mix2(self.seed ^ (salt as u64) << 56, value)
    }

    /// The part of the path that hop `level` belongs to, and its position in that part.
    fn place(plan: &Plan, level: u8) -> (Part, u8) {
        let [transit, region, site, last] = plan.starts;
        match level {
            l if l < transit => (Part::Near, l),
            l if l < region => (Part::Transit, l - transit),
            l if l < site => (Part::Region, l - region),
            l if l < last => (Part::Site, l - site),
            _ => (Part::Last, 0),
        }
    }

    fn address(plan: &Plan, node: NodeId) -> IpAddr {
        let (level, branch) = split(node);
        let (part, place) = Self::place(plan, level);
        router_address(plan, part, place * 4 + branch + 1)
    }

    pub(in crate::lab) fn router_hash(&self, salt: Salt, address: IpAddr) -> u64 {
        self.hash(salt, key(address))
    }

    fn level(&self, plan: &Plan, level: u8) -> Level {
        let (part, place) = Self::place(plan, level);
        let plain = Level {
            width: 1,
            balance: Balance::Flow,
            shortcut: false,
        };
        match part {
            Part::Near => Level {
                width: if place == 1 { 2 } else { 1 },
                ..plain
            },
            Part::Last => plain,
            Part::Transit | Part::Region | Part::Site => {
                // The first router of a hop represents the hop.
                let hash = self.router_hash(Salt::Level, Self::address(plan, node(level, 0)));
                let width = match hash & 0xff {
                    0..150 => 1,
                    150..205 => 2,
                    205..232 => 3,
                    _ => 4,
                };
                Level {
                    width,
                    balance: if (hash >> 8) & 0xff < 40 {
                        Balance::Destination
                    } else {
                        Balance::Flow
                    },
                    // At most one hop of a path can be skipped. So all distances are 6 or more.
                    shortcut: part == Part::Region
                        && place == 1
                        && width > 1
                        && (hash >> 16) & 0xff < 64,
                }
            }
        }
    }

    /// Nanoseconds from the previous hop to this router.
    fn delay(&self, plan: &Plan, node: NodeId) -> u64 {
        let (level, _) = split(node);
        let (least, most) = match Self::place(plan, level).0 {
            Part::Near => (100, 400),
            Part::Transit => (300, 9_000),
            Part::Region => (100, 5_000),
            Part::Site => (50, 1_500),
            Part::Last => (50, 1_500),
        };
        let hash = self.router_hash(Salt::Delay, Self::address(plan, node));
        self.scaled_micros(least + scaled(hash, most - least))
    }

    fn scaled_micros(&self, micros: u64) -> u64 {
        (micros as f64 * self.options.delay_scale).round() as u64 * 1_000
    }

    fn line(&self, delay: u64) -> Line {
        Line {
            delay,
            jitter: (delay as f64 * self.options.jitter) as u64,
            ..Line::default()
        }
    }

    fn in_tunnel(&self, plan: &Plan, level: u8) -> bool {
        let [transit, region, ..] = plan.starts;
        region - transit >= 3
            && level > transit
            && level < region
            && self.hash(Salt::Tunnel, u64::from(plan.region % CARRIERS)) & 1 == 0
    }
}

const fn node(level: u8, branch: u8) -> NodeId {
    NodeId((level as u32) << 8 | branch as u32)
}

const fn split(node: NodeId) -> (u8, u8) {
    ((node.0 >> 8) as u8, node.0 as u8)
}

impl Topology for Generated {
    type Plan = Plan;

    fn entry(&self) -> (NodeId, Line) {
        // Both families share one line. It has the delay that the gateway's IPv4 address gives.
        let gateway = node(0, 0);
        let delay = self.router_hash(Salt::Delay, Ipv4Addr::new(10, 224, 0, 1).into());
        let line = Line {
            loss: self.options.loss,
            reply_loss: self.options.loss,
            ..self.line(self.scaled_micros(100 + scaled(delay, 300)))
        };
        (gateway, line)
    }

    fn plan(&self, destination: IpAddr) -> Plan {
        let block = block_of(destination);
        let region = self.hash(Salt::Region, u64::from(block)) as u8;
        let in_region = self.hash(Salt::Site, u64::from(block));
        let site = scaled(in_region, SITES) as u8;
        let carrier = u64::from(region % CARRIERS);
        let site_name = u64::from(region) << 8 | u64::from(site);
        let length = |salt, name, below| scaled(self.hash(salt, name), below) as u8;
        let transit = NEAR;
        let regional = transit + 1 + length(Salt::TransitLength, carrier, 4);
        let local = regional + length(Salt::RegionLength, u64::from(region), 6);
        let last = local + length(Salt::SiteLength, site_name, 3);
        Plan {
            family: Family::of(destination),
            block,
            routable: is_target(block),
            region,
            site,
            starts: [transit, regional, local, last],
        }
    }

    fn passage(&self, node: NodeId, plan: &Plan) -> Passage<'_> {
        let (level, _) = split(node);
        Passage {
            labelled: self.in_tunnel(plan, level).then_some(Propagation::Copied),
            ..Passage::default()
        }
    }

    fn next(&self, node: NodeId, plan: &Plan, destination: IpAddr) -> Next {
        let (level, _) = split(node);
        if level + 1 == NEAR && !plan.routable {
            return Next::Unreachable {
                code: 0,
                mtu: 0,
                before_ttl_check: false,
            };
        }
        if level == plan.starts[3] {
            let hash = self.router_hash(Salt::TargetDelay, destination);
            let delay = self.scaled_micros(50 + scaled(hash, 950));
            return Next::Host(self.line(delay));
        }
        let ahead = self.level(plan, level + 1);
        let seed = if self.options.polarised {
            self.seed
        } else {
            self.router_hash(Salt::Balancer, Self::address(plan, node))
        };
        Next::Forward {
            balance: ahead.balance,
            hash_seed: seed,
            width: usize::from(ahead.width),
            routes: usize::from(ahead.shortcut),
        }
    }

    fn branch(&self, from: NodeId, plan: &Plan, routes: usize, choice: usize) -> (NodeId, Line) {
        let (level, _) = split(from);
        let around = routes == 1 && choice == 0;
        let to = if around {
            node(level + 2, 0)
        } else {
            node(level + 1, choice as u8)
        };
        (to, self.line(self.delay(plan, to)))
    }

    fn answering(&self, node: NodeId, plan: &Plan) -> Answering {
        let address = Self::address(plan, node);
        let (level, _) = split(node);
        let is = |salt, share| within(self.router_hash(salt, address), share);
        Answering {
            address,
            silent: level > 0 && is(Salt::Silent, self.options.silent_routers),
            answer_loss: 0.0,
            limit: (level >= NEAR && is(Salt::Limited, self.options.limited_routers))
                .then_some(ROUTER_LIMIT),
            delay: 0,
            initial_ttl: if is(Salt::InitialTtl, 0.3) { 64 } else { 255 },
            // ICMPv6 errors quote as much as fits (RFC 4443).
            quoting: Quoting {
                bytes: (plan.family == Family::V4 && is(Salt::Quote, self.options.short_quotes))
                    .then_some(8),
                ..Quoting::default()
            },
            wrapping: Wrapping::default(),
        }
    }

    fn labels(&self, node: NodeId, plan: &Plan) -> Vec<MplsLabel> {
        let (level, _) = split(node);
        let carrier = u64::from(plan.region % CARRIERS);
        // One carrier in four does not show the labels of its tunnels.
        if !self.in_tunnel(plan, level) || self.hash(Salt::Tunnel, carrier) >> 8 & 3 == 0 {
            return Vec::new();
        }
        let transport = self.router_hash(Salt::Label, Self::address(plan, node));
        let service = self.hash(Salt::Label, u64::from(plan.region) << 40);
        let depth = 1 + usize::from(transport & 3 == 0);
        [transport, service][..depth]
            .iter()
            .map(|hash| MplsLabel {
                label: 16 + scaled(*hash, 1_000_000) as u32,
                traffic_class: 0,
                bottom: false,
                ttl: 0,
            })
            .collect()
    }

    fn host(&self, destination: IpAddr) -> Host<'_> {
        self.generated_host(destination)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn an_address_belongs_to_one_router_alone() {
        let network = Generated::new(4, GeneratedOptions::default());
        let mut known = HashMap::new();
        let mut parts = HashMap::new();
        let v4 = (0x010000..0xe00000_u32)
            .step_by(997)
            .map(|block| IpAddr::from(Ipv4Addr::from(block << 8 | 1)));
        let v6 = (0x1000..0x2000_u16)
            .map(|block| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, block, 0, 0, 0, 0, 1)));
        for target in v4.chain(v6).filter(|target| is_target(block_of(*target))) {
            let plan = network.plan(target);
            for level in 0..=plan.starts[3] {
                for branch in 0..4 {
                    let (part, place) = Generated::place(&plan, level);
                    let shared_by = match part {
                        Part::Near => 0,
                        Part::Transit => u32::from(plan.region % CARRIERS),
                        Part::Region => u32::from(plan.region),
                        Part::Site => u32::from(plan.region) << 8 | u32::from(plan.site),
                        Part::Last => plan.block,
                    };
                    let branch = if part == Part::Last { 0 } else { branch };
                    let address = Generated::address(&plan, node(level, branch));
                    assert_eq!(Family::of(address), Family::of(target));
                    assert!(!is_target(block_of(address)), "{address} is a target");
                    let family = address.is_ipv6();
                    let identity = (family, part as u8, place, branch, shared_by);
                    assert_eq!(*known.entry(address).or_insert(identity), identity);
                    parts.insert(identity, address);
                }
            }
        }
        assert_eq!(known.len(), parts.len());
        assert!(known.len() > 20_000);
        assert!(known.keys().filter(|address| address.is_ipv6()).count() > 8_000);
    }
}

//! The graph of a target from the paths of several flows (`--flows N`).
//!
//! | what | rule |
//! |---|---|
//! | node | an address at a TTL of a path |
//! | link | two addresses at consecutive TTLs of one path, without a silent hop between them |
//! | end | the last address of a path that the target answered, or that an unreachable ended |
//! | diamond | as in multipath tracing: see [`diamonds`](crate::model::diamonds) |
//! | balancer | not known: each flow is asked once, so a per-packet balancer looks like a per-flow one |
//!
//! Traces that were interrupted or excluded are left out, as in multipath tracing. Nothing is claimed about what other flows would show:
//! `miss_probability` and `stopped_by` are absent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::dataset::read::{Row, RowError};
use crate::model::{DiamondRow, LinkRow, NodeRow, StopReason, TraceId, Ttl, diamonds};

use super::rows;

/// The columns of `traces` that a path is read from.
pub(super) const COLUMNS: [&str; 9] = [
    "trace_id",
    "target_input",
    "destination",
    "flow",
    "first_ttl",
    "stop_reason",
    "path_length",
    "path",
    "probes_sent",
];

/// The path of one flow.
#[derive(Clone, Debug)]
pub(super) struct FlowPath {
    pub trace_id: TraceId,
    pub stop_reason: String,
    pub probes: u64,
    first_ttl: u8,
    path: Vec<Option<IpAddr>>,
    /// Whether its last address is its end.
    ends: bool,
}

/// Whether a trace with this stop reason was ended before its time.
pub(super) fn is_cut(stop_reason: &str) -> bool {
    let cut = [StopReason::Interrupted, StopReason::Excluded];
    cut.iter().any(|cut| cut.as_str() == stop_reason)
}

impl FlowPath {
    pub(super) fn read(row: &Row) -> Result<Self, RowError> {
        let stop_reason = rows::text(row, "stop_reason")?;
        let path = row.addresses("path")?.unwrap_or_default();
        let first_ttl = rows::ttl(row, "first_ttl")?.unwrap_or(Ttl(1)).0;
        let destination = row.address("destination")?;
        let last = path.last().copied().flatten();
        let length = rows::number(row, "path_length")?;
        let last_ttl = u64::from(first_ttl) + path.len() as u64;
        let reached =
            last.is_some() && (last == destination || length.map(|n| n + 1) == Some(last_ttl));
        Ok(FlowPath {
            trace_id: rows::trace_id(row)?,
            probes: rows::needed("probes_sent", rows::number(row, "probes_sent")?)?,
            first_ttl,
            path,
            ends: reached || stop_reason == StopReason::Unreachable.as_str(),
            stop_reason,
        })
    }

    /// Whether the trace was ended before its time.
    pub(super) fn is_cut(&self) -> bool {
        is_cut(&self.stop_reason)
    }

    /// The lowest TTL that was probed.
    pub(super) fn first_ttl(&self) -> u8 {
        self.first_ttl
    }

    /// The addresses by TTL. `None` is silence.
    fn hops(&self) -> impl Iterator<Item = (u8, Option<IpAddr>)> + '_ {
        (self.first_ttl..=u8::MAX).zip(self.path.iter().copied())
    }
}

/// Nodes, links and diamonds.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    pub nodes: Vec<NodeRow>,
    pub links: Vec<LinkRow>,
    pub diamonds: Vec<DiamondRow>,
}

#[derive(Default)]
struct Node {
    flows: u32,
    is_end: bool,
    next: BTreeMap<IpAddr, u32>,
}

/// Joins the paths to a target. The rows are in the order of TTL and address.
pub(super) fn join(trace_id: TraceId, destination: IpAddr, paths: &[FlowPath]) -> Drawn {
    let mut found: BTreeMap<(u8, IpAddr), Node> = BTreeMap::new();
    for flow in paths {
        let mut before: Option<(u8, IpAddr)> = None;
        for (ttl, address) in flow.hops() {
            let here = address.map(|address| (ttl, address));
            if let Some((_, address)) = here
                && let Some(near) = before.and_then(|before| found.get_mut(&before))
            {
                *near.next.entry(address).or_default() += 1;
            }
            if let Some(here) = here {
                found.entry(here).or_default().flows += 1;
            }
            before = here;
        }
        if let Some(node) = before.and_then(|last| found.get_mut(&last)) {
            node.is_end |= flow.ends;
        }
    }
    let mut drawn = Drawn::default();
    for (&(ttl, address), node) in &found {
        let goes_on = !node.is_end || !node.next.is_empty();
        drawn.nodes.push(NodeRow {
            trace_id,
            destination,
            ttl: Ttl(ttl),
            address,
            flows: node.flows,
            next_hops: goes_on.then_some(node.next.len() as u32),
            next_hop_flows: goes_on.then(|| node.next.values().sum()),
            miss_probability: None,
            stopped_by: None,
            varies: false,
            is_end: node.is_end,
        });
        drawn
            .links
            .extend(node.next.iter().map(|(&far, &flows)| LinkRow {
                trace_id,
                destination,
                ttl: Ttl(ttl),
                near: address,
                far,
                flows,
            }));
    }
    drawn.diamonds = diamonds::find(&drawn.nodes, &drawn.links);
    for diamond in &mut drawn.diamonds {
        diamond.balancer = None;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A letter is a node, a dot is silence.
    fn address(letter: char) -> Option<IpAddr> {
        (letter != '.').then(|| Ipv4Addr::new(198, 51, 100, letter as u8).into())
    }

    /// Paths to T from TTL 1 on. A path ends there if its last letter is T, or if `!` follows.
    fn drawn(paths: &[&str]) -> Drawn {
        let path = |(number, text): (u64, &&str)| FlowPath {
            trace_id: TraceId(number),
            stop_reason: "completed".to_owned(),
            probes: 1,
            first_ttl: 1,
            path: text.trim_end_matches('!').chars().map(address).collect(),
            ends: text.ends_with(['T', '!']),
        };
        let paths: Vec<FlowPath> = (0..).zip(paths).map(path).collect();
        join(TraceId(0), address('T').unwrap(), &paths)
    }

    /// Nodes as letter, TTL, flows and next hops, with `!` at an end; links as letters, TTL and flows.
    fn shown(drawn: &Drawn) -> (String, String) {
        let letter = |address: IpAddr| match address {
            IpAddr::V4(address) => char::from(address.octets()[3]),
            IpAddr::V6(_) => '?',
        };
        let node = |node: &NodeRow| {
            let next = node
                .next_hops
                .map_or_else(|| "-".to_owned(), |next| next.to_string());
            let end = if node.is_end { "!" } else { "" };
            format!(
                "{}{}:{}>{next}{end}",
                letter(node.address),
                node.ttl.0,
                node.flows
            )
        };
        let link = |link: &LinkRow| {
            let (near, far) = (letter(link.near), letter(link.far));
            format!("{near}{far}{}:{}", link.ttl.0, link.flows)
        };
        let nodes: Vec<String> = drawn.nodes.iter().map(node).collect();
        let links: Vec<String> = drawn.links.iter().map(link).collect();
        (nodes.join(" "), links.join(" "))
    }

    #[test]
    fn flows_that_part_and_meet_make_a_diamond_of_unknown_type() {
        let drawn = drawn(&["ABDT", "ACDT", "ABDT"]);
        let (nodes, links) = shown(&drawn);
        assert_eq!(nodes, "A1:3>2 B2:2>1 C2:1>1 D3:3>1 T4:3>-!");
        assert_eq!(links, "AB1:2 AC1:1 BD2:2 CD2:1 DT3:3");
        let [diamond] = drawn.diamonds[..] else {
            panic!("{:?}", drawn.diamonds);
        };
        assert_eq!(
            (diamond.divergence, diamond.convergence),
            (address('A'), address('D'))
        );
        assert_eq!((diamond.max_width, diamond.meshed), (2, Some(false)));
        assert_eq!(diamond.balancer, None);
    }

    #[test]
    fn no_link_leads_over_silence() {
        let (nodes, links) = shown(&drawn(&["A.CT", "ABCT"]));
        assert_eq!(nodes, "A1:2>1 B2:1>1 C3:2>1 T4:2>-!");
        assert_eq!(links, "AB1:1 BC2:1 CT3:2");
    }

    #[test]
    fn a_target_at_two_distances_is_two_nodes() {
        let (nodes, links) = shown(&drawn(&["ABT", "ABCT"]));
        assert_eq!(nodes, "A1:2>1 B2:2>2 C3:1>1 T3:1>-! T4:1>-!");
        assert_eq!(links, "AB1:2 BC2:1 BT2:1 CT3:1");
    }

    #[test]
    fn a_path_that_fades_has_no_end() {
        assert_eq!(shown(&drawn(&["AB"])).0, "A1:1>1 B2:1>0");
        assert_eq!(shown(&drawn(&["AB!"])).0, "A1:1>1 B2:1>-!");
        // Another flow goes on.
        assert_eq!(shown(&drawn(&["AB!", "ABT"])).0, "A1:2>1 B2:2>1! T3:1>-!");
        assert_eq!(shown(&drawn(&["", "..."])).0, "");
    }
}

//! Networks for multipath tracing, and their true graphs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use pathsurvey::lab::{LabNetwork, TruthFlow};
use pathsurvey::model::Ttl;

use super::super::experiment::inline;

/// Builds a network from lines such as `a > b c`: router `a` balances over `b` and `c`, by flows. What follows `|` on a line is TOML for
/// the router. The targets are behind the router of the last line, which has no `>`.
pub fn network(seed: u64, lines: &str) -> LabNetwork {
    let mut toml = format!("seed = {seed}\n");
    let mut last = "";
    for (number, line) in lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .enumerate()
    {
        let (links, rest) = line.split_once('|').unwrap_or((line, ""));
        let (name, next) = links.split_once('>').unwrap_or((links, ""));
        let next: Vec<String> = next
            .split_whitespace()
            .map(|name| format!("{name:?}"))
            .collect();
        last = name.trim();
        let (high, low) = (number / 250, 1 + number % 250);
        writeln!(
            toml,
            "[[router]]\nname = \"{last}\"\naddress = \"10.1.{high}.{low}\"\naddress6 = \"2001:db8:1::{high}:{low}\""
        )
        .unwrap();
        if !next.is_empty() {
            writeln!(toml, "next = [{}]", next.join(", ")).unwrap();
        }
        writeln!(toml, "{}", rest.trim()).unwrap();
    }
    writeln!(
        toml,
        "[[target]]\nprefix = \"198.18.0.0/15\"\nat = \"{last}\"\nunlimited = true
        [[target]]\nprefix = \"2001:db8:1000::/48\"\nat = \"{last}\"\nunlimited = true"
    )
    .unwrap();
    inline(&toml)
}

/// A network of layers: each router of a layer is linked to all of the next layer.
pub fn layers(seed: u64, widths: &[usize]) -> LabNetwork {
    let name = |layer: usize, at: usize| format!("r{layer}-{at}");
    let mut lines = String::new();
    for (layer, width) in widths.iter().enumerate() {
        for at in 0..*width {
            let next: Vec<String> = match widths.get(layer + 1) {
                None => Vec::new(),
                Some(next) => (0..*next).map(|at| name(layer + 1, at)).collect(),
            };
            let arrow = if next.is_empty() { "" } else { ">" };
            writeln!(lines, "{} {arrow} {}", name(layer, at), next.join(" ")).unwrap();
        }
    }
    network(seed, &lines)
}

/// A network of 2 to 4 diamonds, drawn by `seed`: widths, lengths and links. Every router has 1 to 4 next hops.
pub fn sampled(seed: u64) -> LabNetwork {
    let mut state = seed;
    let mut draw = move |below: u64| {
        // SplitMix64 (Steele, Lea, Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % below) as usize
    };
    let mut widths = vec![1];
    for _ in 0..2 + draw(3) {
        for _ in 0..1 + draw(2) {
            widths.push(2 + draw(3));
        }
        widths.push(1);
    }
    let mut lines = String::new();
    for (layer, width) in widths.iter().enumerate() {
        let next_width = widths.get(layer + 1).copied().unwrap_or(0);
        let mut links = vec![BTreeSet::new(); *width];
        for far in 0..next_width {
            links[draw(*width as u64)].insert(far);
        }
        for near in links.iter_mut().filter(|_| next_width > 0) {
            while near.is_empty() || near.len() < 4.min(next_width) && draw(3) == 0 {
                near.insert(draw(next_width as u64));
            }
        }
        for (at, next) in links.into_iter().enumerate() {
            let next: Vec<String> = { next.into_iter() }
                .map(|far| format!("r{}-{far}", layer + 1))
                .collect();
            let arrow = if next.is_empty() { "" } else { ">" };
            writeln!(lines, "r{layer}-{at} {arrow} {}", next.join(" ")).unwrap();
        }
    }
    network(seed, &lines)
}

/// The nodes and links of a target's graph. The target itself has the address 0.0.0.0, so that graphs of targets can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub nodes: BTreeSet<(u8, IpAddr)>,
    pub links: BTreeSet<(u8, IpAddr, IpAddr)>,
}

/// The address of every target in a [`Shape`].
pub const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How many flows show the true graph. A next hop that gets one flow in 500 is missed with a probability below 10⁻⁹.
const FLOWS: u16 = 12_000;

/// The true graph of a target up to the TTL `highest`, from the paths of very many flows. What a balancer by packets makes uncertain has nodes and no links.
pub fn truth(network: &LabNetwork, destination: IpAddr, highest: Ttl) -> Shape {
    let mut shape = Shape::default();
    let named = |address: IpAddr| {
        if address == destination {
            TARGET
        } else {
            address
        }
    };
    for port in 0..FLOWS {
        let flow = TruthFlow::udp(destination, port, 33_434);
        let truth = network.truth(flow, highest);
        for hop in &truth.hops {
            let responders = hop
                .candidates()
                .map(|answer| (hop.ttl.0, named(answer.responder)));
            shape.nodes.extend(responders);
        }
        for pair in truth.hops.windows(2) {
            if let (Some(near), Some(far)) = (pair[0].responder(), pair[1].responder())
                && near != far
            {
                shape.links.insert((pair[0].ttl.0, named(near), named(far)));
            }
        }
    }
    shape
}

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

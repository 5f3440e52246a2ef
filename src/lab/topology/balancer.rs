//! Load balancers: which of several next hops a packet takes.
//!
//! A per-flow balancer hashes source address, destination address, protocol, source port, destination port and the IPv6 flow label
//! (RFC 6438). It ignores all other fields, such as the TOS. For ICMP echo requests, it hashes identifier and checksum instead of the
//! ports, because type and code never vary.
//!
//! The fields count as they arrive at that router. A box in front of it may have rewritten them.

use std::net::IpAddr;

use super::Balance;
use super::flight::Flight;
use crate::lab::hash::{Chance, mix, mix2, scaled};
use crate::lab::packet::address::key;

/// Chooses one of `width` next hops. `hash_seed` belongs to the router.
pub(in crate::lab) fn choose(
    balance: Balance,
    hash_seed: u64,
    width: usize,
    flight: &Flight,
    chance: &mut impl Chance,
) -> usize {
    if width <= 1 {
        return 0;
    }
    let hash = match balance {
        Balance::Packet => return chance.pick(width),
        Balance::Destination => mix2(hash_seed, key(flight.destination)),
        Balance::Flow => {
            let addresses = match (flight.source, flight.destination) {
                (IpAddr::V4(_), IpAddr::V4(_)) => {
                    key(flight.source) << 32 | key(flight.destination)
                }
                _ => mix2(key(flight.source), key(flight.destination)),
            };
            let [source_port, destination_port] = flight.ports.map(u64::from);
            let rest = u64::from(flight.protocol) << 32 | source_port << 16 | destination_port;
            let hash = mix(mix2(hash_seed, addresses) ^ rest);
            match flight.flow_label {
                0 => hash,
                label => mix2(hash, u64::from(label)),
            }
        }
    };
    scaled(hash, width as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::lab::hash::Dice;

    fn flight(last: u8, source_port: u16) -> Flight {
        let destination = Ipv4Addr::new(198, 18, 0, last);
        Flight::new(
            Ipv4Addr::new(192, 0, 2, 1).into(),
            destination.into(),
            17,
            [source_port, 33434],
            9,
        )
    }

    fn counts(balance: Balance, flights: impl Iterator<Item = Flight>) -> Vec<usize> {
        let mut counts = vec![0; 4];
        for (number, flight) in flights.enumerate() {
            counts[choose(balance, 5, 4, &flight, &mut Dice::new(1, number as u64))] += 1;
        }
        counts
    }

    #[test]
    fn flows_spread_evenly_and_stay_together() {
        let spread = counts(Balance::Flow, (0..4000).map(|port| flight(1, port)));
        assert!(spread.iter().all(|c| (900..1100).contains(c)), "{spread:?}");
        let one_flow = counts(Balance::Flow, (0..100).map(|_| flight(1, 24000)));
        assert!(one_flow.contains(&100));
    }

    #[test]
    fn a_per_destination_balancer_ignores_ports() {
        let ports = counts(Balance::Destination, (0..100).map(|port| flight(1, port)));
        assert!(ports.contains(&100));
        let hosts = counts(Balance::Destination, (0..=255).map(|last| flight(last, 1)));
        assert!(hosts.iter().all(|c| *c > 30), "{hosts:?}");
    }

    #[test]
    fn a_per_packet_balancer_splits_a_flow() {
        let one_flow = counts(Balance::Packet, (0..400).map(|_| flight(1, 24000)));
        assert!(one_flow.iter().all(|c| *c > 60), "{one_flow:?}");
    }

    #[test]
    fn the_ttl_does_not_move_a_flow() {
        let mut other = flight(1, 24000);
        other.ttl = 200;
        let choice = |f: &Flight| choose(Balance::Flow, 5, 4, f, &mut Dice::new(1, 1));
        assert_eq!(choice(&flight(1, 24000)), choice(&other));
    }

    #[test]
    fn the_flow_label_tells_flows_of_ipv6_apart() {
        let labelled = |host: u16, flow_label| {
            let to = Ipv6Addr::new(0x2001, 0xdb8, 0x1000, 0, 0, 0, 0, host);
            let from = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            let plain = Flight::new(from.into(), to.into(), 17, [24000, 33434], 9);
            Flight {
                flow_label,
                ..plain
            }
        };
        let labels = counts(Balance::Flow, (0..4000).map(|label| labelled(1, label)));
        assert!(labels.iter().all(|c| (900..1100).contains(c)), "{labels:?}");
        let hosts = counts(Balance::Flow, (0..4000).map(|host| labelled(host, 0)));
        assert!(hosts.iter().all(|c| (900..1100).contains(c)), "{hosts:?}");
        let destination = (0..100).map(|label| labelled(1, label));
        assert!(counts(Balance::Destination, destination).contains(&100));
    }
}

//! Load balancers: which of several next hops a packet takes.
//!
//! A per-flow balancer hashes source address, destination address, protocol, source port and destination port, and
//! nothing else (not the TOS). For ICMP the place of the ports is taken by type and code, and by the checksum, as in
//! routers that hash the first four bytes behind the IP header. Addresses and ports count as they are at that router,
//! behind any box that rewrote them.

use super::hash::{Chance, mix, mix2, scaled};
use super::topology::Balance;
use super::walk::Flight;

/// Chooses among `width` next hops; `hash_seed` is the router's own.
pub(super) fn choose(
    balance: Balance,
    hash_seed: u64,
    width: usize,
    flight: &Flight,
    chance: &mut impl Chance,
) -> usize {
    if width <= 1 {
        return 0;
    }
    let destination = u64::from(u32::from(flight.destination));
    let hash = match balance {
        Balance::Packet => return chance.pick(width),
        Balance::Destination => mix2(hash_seed, destination),
        Balance::Flow => {
            let addresses = u64::from(u32::from(flight.source)) << 32 | destination;
            let [source_port, destination_port] = flight.ports.map(u64::from);
            let rest = u64::from(flight.protocol) << 32 | source_port << 16 | destination_port;
            mix(mix2(hash_seed, addresses) ^ rest)
        }
    };
    scaled(hash, width as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::lab::hash::Dice;

    fn flight(last: u8, source_port: u16) -> Flight {
        let destination = Ipv4Addr::new(198, 18, 0, last);
        Flight::new(
            Ipv4Addr::new(192, 0, 2, 1),
            destination,
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
}

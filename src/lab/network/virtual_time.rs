//! The in-process driver: a network in virtual time.
//!
//! It never waits and reads no clock. The caller passes the time, and jumps to the next arrival when there is nothing else to do.
//!
//! There is no kernel at the vantage point. This driver sends what a kernel would send: see `hosts::vantage`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;

use crate::lab::hosts::vantage;
use crate::lab::{Delivery, LabNetwork, Respond};
use crate::model::{Time, UnsentReason};
use crate::transport::InProcessNetwork;

/// Delivers a network's replies in the order of their arrival.
#[derive(Debug)]
pub struct VirtualNetwork<R> {
    network: R,
    arrivals: BinaryHeap<Reverse<Arrival>>,
    deliveries: Vec<Delivery>,
    sequence: u64,
    /// When the last packet entered the network.
    entered_at: Time,
}

/// A reply under way. If two arrive at the same time, the one produced first comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: Time,
    sequence: u64,
    packet: Vec<u8>,
}

impl<R: Respond> VirtualNetwork<R> {
    /// Puts `network` into virtual time.
    pub fn new(network: R) -> Self {
        VirtualNetwork {
            network,
            arrivals: BinaryHeap::new(),
            deliveries: Vec::new(),
            sequence: 0,
            entered_at: Time::default(),
        }
    }

    /// Sends a packet from the vantage point at `now`, which never goes back.
    pub fn send(&mut self, packet: &[u8], now: Time) {
        // A network's time never goes back, even if the caller sends before it has received earlier replies.
        self.entered_at = self.entered_at.max(now);
        self.network
            .respond(packet, self.entered_at, &mut self.deliveries);
        for Delivery { at, packet } in self.deliveries.drain(..) {
            self.arrivals.push(Reverse(Arrival {
                at,
                sequence: self.sequence,
                packet,
            }));
            self.sequence += 1;
        }
    }

    /// When the next packet arrives. `None` if no packet is under way.
    pub fn next_arrival(&self) -> Option<Time> {
        self.arrivals.peek().map(|Reverse(arrival)| arrival.at)
    }

    /// Returns the next packet that has arrived by `now`, with its time of arrival. At that time the vantage point's kernel resets
    /// connections that it does not know. So receive all arrivals before you send a later packet.
    pub fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse(Arrival { at, packet, .. }) = self.arrivals.pop()?;
        if let Some(reset) = vantage::answer(&packet) {
            self.send(&reset, at);
        }
        Some((at, packet))
    }

    /// The network behind the driver.
    pub fn network(&self) -> &R {
        &self.network
    }
}

impl InProcessNetwork for VirtualNetwork<LabNetwork> {
    fn source_for(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        match destination {
            IpAddr::V4(_) => Ok(self.network.vantage_v4().into()),
            IpAddr::V6(_) => {
                let source = self.network.vantage_v6().map(IpAddr::from);
                source.ok_or(UnsentReason::NoRoute)
            }
        }
    }

    fn send(&mut self, packet: &[u8], now: Time) {
        VirtualNetwork::send(self, packet, now);
    }

    fn next_arrival(&self) -> Option<Time> {
        VirtualNetwork::next_arrival(self)
    }

    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)> {
        VirtualNetwork::receive(self, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sends each packet back after as many milliseconds as it has bytes.
    struct Echo;

    impl Respond for Echo {
        fn respond(&mut self, packet: &[u8], now: Time, deliveries: &mut Vec<Delivery>) {
            for (index, byte) in packet.iter().enumerate() {
                deliveries.push(Delivery {
                    at: now + Duration::from_millis(u64::from(*byte)),
                    packet: vec![*byte, index as u8],
                });
            }
        }
    }

    #[test]
    fn packets_arrive_by_time_and_then_in_the_order_they_were_produced() {
        let start = Time::from_nanos(1_000);
        let at = |millis| start + Duration::from_millis(millis);
        let mut network = VirtualNetwork::new(Echo);
        network.send(&[30, 10, 30, 20], start);
        assert_eq!(network.next_arrival(), Some(at(10)));
        assert_eq!(network.receive(at(9)), None);
        assert_eq!(network.receive(at(10)), Some((at(10), vec![10, 1])));
        assert_eq!(network.receive(at(10)), None);
        network.send(&[10], at(10));
        let rest: Vec<_> = std::iter::from_fn(|| network.receive(at(99))).collect();
        let expected = [
            (at(20), vec![20, 3]),
            (at(20), vec![10, 0]),
            (at(30), vec![30, 0]),
            (at(30), vec![30, 2]),
        ];
        assert_eq!(rest, expected);
        assert_eq!(network.next_arrival(), None);
    }
}

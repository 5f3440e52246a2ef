//! Boxes that rewrite packets on their way out, and quotes on the way back.
//!
//! A box maps addresses, ports and identifiers one to one. It reverts the mapping in replies of targets: these replies are built from
//! the probe as it was sent. ICMP errors quote the probe as it arrived. Each box on the way back changes the quote as its [`Restore`]
//! says. No box restores IP ID and TOS.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::flight::{Ends, Flight};
use crate::lab::hash::{mix2, scaled};
use crate::lab::packet::address::Family;

/// How a box treats the quoted probe of an error that crosses it inward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum Restore {
    /// Addresses, ports and transport checksum are restored. The quote looks as if there were no box.
    Full,
    /// The rest is restored. The transport checksum stays as the box had adjusted it.
    AllButChecksum,
    /// Addresses are restored. Ports, identifier and checksum stay as the box had changed them.
    AddressOnly,
    /// Nothing is restored: the quote shows the probe as the responder saw it.
    #[default]
    None,
}

/// A prefix that is mapped to another prefix of the same family and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Mapping {
    pub(in crate::lab) from: IpNet,
    pub(in crate::lab) to: IpNet,
}

impl Mapping {
    /// Returns the address that `address` is mapped to. `None` if it stays as it is.
    fn apply(&self, address: IpAddr) -> Option<IpAddr> {
        match (self.from, self.to, address) {
            (IpNet::V4(from), IpNet::V4(to), IpAddr::V4(address)) if from.contains(&address) => {
                let host_bits = u32::from(address) & u32::from(from.hostmask());
                Some(IpAddr::V4((u32::from(to.network()) | host_bits).into()))
            }
            (IpNet::V6(from), IpNet::V6(to), IpAddr::V6(address)) if from.contains(&address) => {
                let host_bits = u128::from(address) & u128::from(from.hostmask());
                Some(IpAddr::V6((u128::from(to.network()) | host_bits).into()))
            }
            _ => None,
        }
    }
}

/// The new IP ID of an IPv4 packet. RFC 6864 allows the change if the packet is never fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum IpId {
    /// A hash of the old value, which always differs from it.
    Hashed,
    /// 0.
    Zeroed,
}

/// The transport checksum in quotes that pass a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum Garbled {
    /// A hash of the old value, which always differs from it modulo 65535.
    Wrong,
    /// 0.
    Zeroed,
}

/// The fields that a box rewrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Rewriting {
    /// Only packets to these addresses, as they arrive at the box. `None`: all packets.
    pub(in crate::lab) only: Option<IpNet>,
    /// Source addresses of IPv4 and of IPv6: address translation in front of the vantage point. If a source should be translated but
    /// cannot be, the packet keeps its port as well.
    pub(in crate::lab) source: [Option<Mapping>; 2],
    /// The value that is combined with source ports and identifiers (exclusive or). 0 changes nothing.
    pub(in crate::lab) source_port: u16,
    pub(in crate::lab) destination: Option<Mapping>,
    pub(in crate::lab) destination_port: Option<u16>,
    pub(in crate::lab) ip_id: Option<IpId>,
    pub(in crate::lab) tos: Option<u8>,
    pub(in crate::lab) quoted_checksum: Option<Garbled>,
    pub(in crate::lab) restore: Restore,
    /// The seed of its hashes.
    pub(in crate::lab) seed: u64,
}

/// The changes that a box made to one packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Rewritten {
    before: Ends,
    after: Ends,
    box_: Rewriting,
    /// How many steps the packet had gone when it left the box.
    pub(in crate::lab) steps: usize,
}

impl Rewritten {
    /// Whether the packet may now take another path.
    pub(in crate::lab) fn moved_destination(&self) -> bool {
        self.before.destination != self.after.destination
    }

    /// Applies the box to a reply that crosses it inward: to the quoted probe, and to the reply's source.
    pub(in crate::lab) fn restore(&self, quoted: &mut Flight, source: &mut IpAddr) {
        let (before, after) = (self.before, self.after);
        *source = undone(*source, after.destination, before.destination);
        let now = quoted.ends();
        let addresses = Ends {
            source: undone(now.source, after.source, before.source),
            destination: undone(now.destination, after.destination, before.destination),
            ..now
        };
        let all = Ends {
            source_port: undone(now.source_port, after.source_port, before.source_port),
            destination_port: undone(
                now.destination_port,
                after.destination_port,
                before.destination_port,
            ),
            ..addresses
        };
        match self.box_.restore {
            Restore::None => {}
            Restore::AddressOnly => quoted.set_ends(addresses),
            Restore::AllButChecksum => quoted.set_ends(all),
            Restore::Full => {
                let checksum = quoted.checksum_with(&all);
                quoted.set_ends(all);
                quoted.set_checksum(checksum);
            }
        }
        if let (Some(garbled), Some(sum)) = (self.box_.quoted_checksum, quoted.checksum) {
            quoted.set_checksum(Some(match garbled {
                Garbled::Zeroed => 0,
                Garbled::Wrong => other_number(self.box_.seed, sum, u16::MAX - 1),
            }));
        }
    }
}

/// Returns `before` if `now` is still `after`. A box reverts only its own changes.
fn undone<T: PartialEq>(now: T, after: T, before: T) -> T {
    if now == after { before } else { now }
}

impl Rewriting {
    /// Rewrites `flight`, which has gone `steps`. Returns `None` if the box does not apply to the packet.
    pub(in crate::lab) fn apply(&self, flight: &mut Flight, steps: usize) -> Option<Rewritten> {
        if self
            .only
            .is_some_and(|only| !only.contains(&flight.destination))
        {
            return None;
        }
        let before = flight.ends();
        let mut after = before;
        let translator = match flight.family() {
            Family::V4 => self.source[0],
            Family::V6 => self.source[1],
        };
        if let Some(new) = translator.and_then(|mapping| mapping.apply(before.source)) {
            after.source = new;
            if flight.has_source_number() {
                after.source_port ^= self.source_port;
            }
        }
        if let Some(new) = self.destination.and_then(|m| m.apply(before.destination)) {
            after.destination = new;
        }
        if let Some(port) = self.destination_port.filter(|_| flight.has_ports()) {
            after.destination_port = port;
        }
        let checksum = flight.checksum_with(&after);
        flight.set_ends(after);
        flight.set_checksum(checksum);
        if let (Some(ip_id), Family::V4) = (self.ip_id, flight.family()) {
            flight.ip_id = match ip_id {
                IpId::Zeroed => 0,
                IpId::Hashed => other_number(self.seed, flight.ip_id, u16::MAX),
            };
        }
        flight.tos = self.tos.unwrap_or(flight.tos);
        Some(Rewritten {
            before,
            after,
            box_: *self,
            steps,
        })
    }
}

/// A hash of `number` that differs from it by 1 to `most`, modulo 65536.
fn other_number(seed: u64, number: u16, most: u16) -> u16 {
    let step = 1 + scaled(mix2(seed, number.into()), most.into()) as u16;
    number.wrapping_add(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_numbers_are_other_numbers() {
        for number in 0..=u16::MAX {
            assert_ne!(other_number(3, number, u16::MAX), number);
            let residue = |n: u16| n % u16::MAX;
            let garbled = other_number(3, number, u16::MAX - 1);
            assert_ne!(residue(garbled), residue(number), "{number}");
        }
    }
}

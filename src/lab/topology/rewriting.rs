//! Boxes that rewrite packets on their way out, and quotes of them on their way back.
//!
//! Whatever a box does to addresses, ports and identifiers it does one to one, and undoes it in what targets answer: those
//! answers are built from the probe as it was sent. ICMP errors quote the probe as it arrived, and each box on the way back
//! makes of the quote what its [`Restore`] says. IP ID and TOS are restored by nobody.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::flight::{Ends, Flight};
use crate::lab::hash::{mix2, scaled};
use crate::lab::packet::address::Family;

/// How a box treats the quoted probe of an error message that crosses it inward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum Restore {
    /// Addresses, ports and transport checksum are put back: the quote looks as if there were no box.
    Full,
    /// The transport checksum stays as the box had adjusted it; the rest is put back.
    AllButChecksum,
    /// Addresses are put back; ports, identifier and checksum stay as the box had made them.
    AddressOnly,
    /// The quote stays as the responder saw the probe.
    #[default]
    None,
}

/// A prefix of addresses that becomes another of the same family and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Mapping {
    pub(in crate::lab) from: IpNet,
    pub(in crate::lab) to: IpNet,
}

impl Mapping {
    /// What `address` becomes; `None` where it is left alone.
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

/// What a box writes in place of an IPv4 packet's IP ID (RFC 6864 lets it, where the packet is never cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum IpId {
    /// A hash of what was there, never the same.
    Hashed,
    /// 0.
    Zeroed,
}

/// What becomes of the transport checksum in quotes that pass a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::lab) enum Garbled {
    /// A hash of what was there, never the same modulo 65535.
    Wrong,
    /// 0.
    Zeroed,
}

/// What a box rewrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Rewriting {
    /// Packets to these alone, as they arrive at the box; `None`: all.
    pub(in crate::lab) only: Option<IpNet>,
    /// Source addresses of IPv4 and of IPv6: address translation before the vantage point. A packet with a source that
    /// should be translated and cannot be keeps its port, too.
    pub(in crate::lab) source: [Option<Mapping>; 2],
    /// What is added to source ports and identifiers (exclusive or); 0 leaves them.
    pub(in crate::lab) source_port: u16,
    pub(in crate::lab) destination: Option<Mapping>,
    pub(in crate::lab) destination_port: Option<u16>,
    pub(in crate::lab) ip_id: Option<IpId>,
    pub(in crate::lab) tos: Option<u8>,
    pub(in crate::lab) quoted_checksum: Option<Garbled>,
    pub(in crate::lab) restore: Restore,
    /// Of its hashes.
    pub(in crate::lab) seed: u64,
}

/// What a box did to one packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Rewritten {
    before: Ends,
    after: Ends,
    box_: Rewriting,
    /// How many steps the packet had gone when it left the box.
    pub(in crate::lab) steps: usize,
}

impl Rewritten {
    /// Whether the packet may go another way than before.
    pub(in crate::lab) fn moved_destination(&self) -> bool {
        self.before.destination != self.after.destination
    }

    /// What the box makes of an answer that crosses it inward: of the probe that it quotes, and of who seems to have sent it.
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

/// What `now` was `before`, if it is what it became `after`: a box undoes nothing else.
fn undone<T: PartialEq>(now: T, after: T, before: T) -> T {
    if now == after { before } else { now }
}

impl Rewriting {
    /// Rewrites `flight`, which has gone `steps`, unless it is none of the packets that the box takes an interest in.
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
            if flight.has_flow_number() {
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

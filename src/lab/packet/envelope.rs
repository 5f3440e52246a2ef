//! The IP headers of replies, and the checksums that cover parts of both header and message.

use std::net::IpAddr;

use super::address::Family;
use super::checksum;
use super::{ICMP, UDP, checksum_offset};

/// The outer header of a reply. Source and destination have the same family.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Envelope {
    pub(in crate::lab) source: IpAddr,
    pub(in crate::lab) destination: IpAddr,
    /// TTL or hop limit as it arrives at the vantage point.
    pub(in crate::lab) ttl: u8,
    /// The IP ID, in IPv4 only. `None`: 0, with DF set (as Linux sends TCP).
    pub(in crate::lab) ip_id: Option<u16>,
}

impl Envelope {
    pub(in crate::lab) fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// Allocates a header and `length` bytes for the message.
    pub(in crate::lab) fn room(&self, length: usize) -> Vec<u8> {
        vec![0; self.family().header() + length]
    }

    /// Writes the header, and the checksum of the message. The message has this `protocol`; its checksum must be zero before.
    pub(in crate::lab) fn seal(&self, packet: &mut [u8], protocol: u8, tos: u8) {
        let header = self.family().header();
        let (head, message) = packet.split_at_mut(header);
        self.write_checksum(message, protocol);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = (header + message.len()) as u16;
                head[0] = 0x45;
                head[1] = tos;
                head[2..4].copy_from_slice(&total.to_be_bytes());
                match self.ip_id {
                    Some(ip_id) => head[4..6].copy_from_slice(&ip_id.to_be_bytes()),
                    None => head[6] = 0x40,
                }
                head[8] = self.ttl;
                head[9] = protocol;
                head[12..16].copy_from_slice(&source.octets());
                head[16..20].copy_from_slice(&destination.octets());
                let sum = checksum::checksum(head);
                head[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                head[0] = 6 << 4 | tos >> 4;
                head[1] = tos << 4;
                head[4..6].copy_from_slice(&(message.len() as u16).to_be_bytes());
                head[6] = protocol;
                head[7] = self.ttl;
                head[8..24].copy_from_slice(&source.octets());
                head[24..40].copy_from_slice(&destination.octets());
            }
            // A reply never changes its family on the way.
            _ => {}
        }
    }

    fn write_checksum(&self, message: &mut [u8], protocol: u8) {
        let (offset, pseudo) = match checksum_offset(protocol) {
            Some(offset) => {
                let length = message.len() as u16;
                let pseudo =
                    checksum::pseudo_header(self.source, self.destination, protocol, length);
                (offset, pseudo)
            }
            None if protocol == ICMP => (2, 0),
            None => return,
        };
        let sum = match !checksum::sum(message, pseudo) {
            0 if protocol == UDP => 0xffff,
            sum => sum,
        };
        if let Some(field) = message.get_mut(offset..offset + 2) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

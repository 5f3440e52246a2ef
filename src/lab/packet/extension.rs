//! Extension structures behind the quote of an ICMP error (RFC 4884, section 7). They hold MPLS label stacks (RFC 4950) and
//! interface information (RFC 5837).

use std::net::IpAddr;

use super::checksum;
use crate::model::{InterfaceInfo, InterfaceRole, MplsLabel};

const MPLS_CLASS: u8 = 1;
const INCOMING_STACK: u8 = 1;
const INTERFACE_CLASS: u8 = 2;
/// The longest name in bytes. Its length byte counts itself, the name and the padding, and is at most 64.
pub(in crate::lab) const LONGEST_NAME: usize = 63;

/// Writes the structure with `labels` and `interfaces`. Returns no bytes if there are neither.
pub(in crate::lab) fn structure(labels: &[MplsLabel], interfaces: &[InterfaceInfo]) -> Vec<u8> {
    if labels.is_empty() && interfaces.is_empty() {
        return Vec::new();
    }
    let mut bytes = vec![2 << 4, 0, 0, 0];
    if !labels.is_empty() {
        push_object(&mut bytes, MPLS_CLASS, INCOMING_STACK, &stack(labels));
    }
    for interface in interfaces {
        let (kind, parts) = interface_parts(interface);
        push_object(&mut bytes, INTERFACE_CLASS, kind, &parts);
    }
    let sum = checksum::checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn push_object(bytes: &mut Vec<u8>, class: u8, kind: u8, payload: &[u8]) {
    bytes.extend((4 + payload.len() as u16).to_be_bytes());
    bytes.extend([class, kind]);
    bytes.extend(payload);
}

fn stack(labels: &[MplsLabel]) -> Vec<u8> {
    let entries = labels.iter().map(|label| {
        label.label << 12
            | u32::from(label.traffic_class & 7) << 9
            | u32::from(label.bottom) << 8
            | u32::from(label.ttl)
    });
    entries.flat_map(u32::to_be_bytes).collect()
}

/// Returns the object's type, which lists its parts, and the parts in order (RFC 5837, section 4).
fn interface_parts(interface: &InterfaceInfo) -> (u8, Vec<u8>) {
    let role: u8 = match interface.role {
        InterfaceRole::Incoming => 0,
        InterfaceRole::SubIp => 1,
        InterfaceRole::Outgoing => 2,
        InterfaceRole::NextHop => 3,
    };
    let mut kind = role << 6;
    let mut parts = Vec::new();
    if let Some(index) = interface.ifindex {
        kind |= 0x08;
        parts.extend(index.to_be_bytes());
    }
    if let Some(address) = interface.address {
        kind |= 0x04;
        match address {
            IpAddr::V4(address) => {
                parts.extend([0, 1, 0, 0]);
                parts.extend(address.octets());
            }
            IpAddr::V6(address) => {
                parts.extend([0, 2, 0, 0]);
                parts.extend(address.octets());
            }
        }
    }
    if let Some(name) = &interface.name {
        kind |= 0x02;
        let length = (1 + name.len().min(LONGEST_NAME)).next_multiple_of(4);
        let mut part = vec![0; length];
        part[0] = length as u8;
        for (to, from) in part[1..].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        parts.extend(part);
    }
    if let Some(mtu) = interface.mtu {
        kind |= 0x01;
        parts.extend(mtu.to_be_bytes());
    }
    (kind, parts)
}

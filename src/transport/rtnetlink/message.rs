//! Encodes rtnetlink(7) requests for routes, interfaces, neighbours and addresses, and decodes the answers. Pure functions over
//! bytes, in the machine's byte order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fixed header before every message's body.
const HEADER: usize = 16;
/// Bodies: `struct ifaddrmsg`, `struct rtmsg`, `struct ifinfomsg`, `struct ndmsg`.
const ADDRESS: usize = 8;
const ROUTE: usize = 12;
const LINK: usize = 16;
const NEIGHBOUR: usize = 12;
/// `struct nhmsg`; its messages and attributes (include/uapi/linux/nexthop.h, Linux 5.3), which libc does not name.
const NEXT_HOP_OBJECT: usize = 8;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_GETNEXTHOP: u16 = 106;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
/// `struct fib_rule_hdr`.
const RULE: usize = 12;
/// `struct rtnexthop`.
const NEXT_HOP: usize = 8;

/// `NDA_DST` (include/uapi/linux/neighbour.h).
const NDA_DST: u16 = 1;
/// `RTM_GETNEIGHTBL` and its answer, and `NDTA_THRESH3` (include/uapi/linux/rtnetlink.h, neighbour.h).
const RTM_GETNEIGHTBL: u16 = 66;
const RTM_NEWNEIGHTBL: u16 = 64;
const NDTA_THRESH3: u16 = 4;
/// `struct ndtmsg`.
const TABLE: usize = 4;
/// `RTA_VIA` (include/uapi/linux/rtnetlink.h): a gateway of another family.
const RTA_VIA: u16 = 18;
/// `NLM_F_DUMP`: all entries.
const DUMP: u16 = 0x300;

/// A message to the kernel.
pub(in crate::transport) struct Request {
    pub bytes: Vec<u8>,
    /// Whether the answer is a list of any length.
    pub is_list: bool,
}

/// An answer of the kernel, without its header.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) struct Answer<'a> {
    pub kind: u16,
    pub body: &'a [u8],
}

/// How the kernel would send to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) struct Way {
    /// `RTN_UNICAST`, `RTN_LOCAL` and the like.
    pub kind: u8,
    /// The next hop; `None` if it is the destination itself.
    pub gateway: Option<IpAddr>,
    pub interface: u32,
}

/// A next hop that routes refer to by its number, or a group of next hops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transport) struct NextHopObject {
    pub id: u32,
    pub interface: Option<u32>,
    /// Numbers of the next hops of a group.
    pub members: Vec<u32>,
}

fn list(kind: u16, body: &[u8]) -> Request {
    Request {
        bytes: packed(kind, DUMP, body, &[]),
        is_list: true,
    }
}

fn one(kind: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Request {
    Request {
        bytes: packed(kind, 0, body, attributes),
        is_list: false,
    }
}

/// A message with its header.
fn packed(kind: u16, flags: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
    // Sequence number and port are the kernel's to fill in: one request is answered before the next.
    bytes.extend([0; 8]);
    bytes.extend(body);
    for (kind, value) in attributes {
        bytes.extend((4 + value.len() as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

pub(in crate::transport) fn family(ipv6: bool) -> u8 {
    match ipv6 {
        false => libc::AF_INET as u8,
        true => libc::AF_INET6 as u8,
    }
}

/// Asks how packets to `destination` from `source` would leave.
pub(in crate::transport) fn ask_way(
    destination: IpAddr,
    source: Option<IpAddr>,
    interface: Option<u32>,
) -> Request {
    let address = octets(destination);
    let bits = (address.len() * 8) as u8;
    let mut body = [0; ROUTE];
    body[0] = family(destination.is_ipv6());
    body[1] = bits;
    body[2] = source.map_or(0, |_| bits);
    let source = source.map(octets);
    let interface = interface.map(u32::to_ne_bytes);
    let attributes: Vec<(u16, &[u8])> = [
        Some((libc::RTA_DST, &address[..])),
        source.as_ref().map(|source| (libc::RTA_SRC, &source[..])),
        interface
            .as_ref()
            .map(|number| (libc::RTA_OIF, &number[..])),
    ]
    .into_iter()
    .flatten()
    .collect();
    one(libc::RTM_GETROUTE, &body, &attributes)
}

/// Asks for the interface `name`.
pub(in crate::transport) fn ask_link_named(name: &str) -> Request {
    let text = [name.as_bytes(), &[0]].concat();
    one(libc::RTM_GETLINK, &[0; LINK], &[(libc::IFLA_IFNAME, &text)])
}

/// Asks for an interface by its number.
pub(in crate::transport) fn ask_link(interface: u32) -> Request {
    let mut body = [0; LINK];
    body[4..8].copy_from_slice(&interface.to_ne_bytes());
    one(libc::RTM_GETLINK, &body, &[])
}

/// Asks for one neighbour.
pub(in crate::transport) fn ask_neighbour(address: IpAddr, interface: u32) -> Request {
    let mut body = [0; NEIGHBOUR];
    body[0] = family(address.is_ipv6());
    body[4..8].copy_from_slice(&interface.to_ne_bytes());
    one(libc::RTM_GETNEIGH, &body, &[(NDA_DST, &octets(address))])
}

/// Asks for all neighbours of a family.
pub(in crate::transport) fn ask_neighbours(ipv6: bool) -> Request {
    let mut body = [0; NEIGHBOUR];
    body[0] = family(ipv6);
    list(libc::RTM_GETNEIGH, &body)
}

/// Asks for the parameters of a family's neighbour table, not for its entries.
pub(in crate::transport) fn ask_table(ipv6: bool) -> Request {
    let mut body = [0; TABLE];
    body[0] = family(ipv6);
    list(RTM_GETNEIGHTBL, &body)
}

/// Asks for all routes of both families.
pub(in crate::transport) fn ask_routes() -> Request {
    list(libc::RTM_GETROUTE, &[0; ROUTE])
}

/// Asks for all next hops that routes refer to, and groups of them.
pub(in crate::transport) fn ask_next_hops() -> Request {
    list(RTM_GETNEXTHOP, &[0; NEXT_HOP_OBJECT])
}

/// Asks for all rules of both families.
pub(in crate::transport) fn ask_rules() -> Request {
    list(libc::RTM_GETRULE, &[0; RULE])
}

/// Asks for all addresses of this host, of both families.
pub(in crate::transport) fn ask_addresses() -> Request {
    list(libc::RTM_GETADDR, &[0; ADDRESS])
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The messages in the bytes that one call received.
pub(in crate::transport) fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = word(bytes, 0)? as usize;
        let kind = half(bytes, 4)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Answer { kind, body })
    })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)?;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The interfaces in a list of next hops (`struct rtnexthop` and attributes), up to the first entry that is not complete.
fn next_hops(mut bytes: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?).max(NEXT_HOP);
        let interface = word(bytes.get(..length)?, 4)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(interface)
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
        _ => None,
    }
}

impl Answer<'_> {
    /// The errno of a refusal; 0 in an acknowledgement.
    pub(in crate::transport) fn refusal(&self) -> Option<i32> {
        let errno = word(self.body, 0)? as i32;
        (i32::from(self.kind) == libc::NLMSG_ERROR).then_some(-errno)
    }

    /// Whether it ends a list.
    pub(in crate::transport) fn is_end(&self) -> bool {
        i32::from(self.kind) == libc::NLMSG_DONE
    }

    /// Reads a route.
    pub(in crate::transport) fn way(&self) -> Option<Way> {
        if self.kind != libc::RTM_NEWROUTE {
            return None;
        }
        let (mut gateway, mut interface) = (None, None);
        for (kind, value) in attributes(self.body.get(ROUTE..)?) {
            match kind {
                libc::RTA_GATEWAY => gateway = address(value),
                // A family of two bytes, then the address.
                RTA_VIA => gateway = address(value.get(2..)?),
                libc::RTA_OIF => interface = word(value, 0),
                _ => {}
            }
        }
        Some(Way {
            kind: *self.body.get(7)?,
            gateway,
            interface: interface?,
        })
    }

    /// Reads the interfaces of a new route's next hops, if there are two or more.
    pub(in crate::transport) fn several_next_hops(&self) -> impl Iterator<Item = u32> {
        let is_route = self.kind == libc::RTM_NEWROUTE;
        let behind_header = self.body.get(ROUTE..).unwrap_or_default();
        let hops = attributes(behind_header)
            .find(|(kind, _)| is_route && *kind == libc::RTA_MULTIPATH)
            .map_or(&[][..], |(_, hops)| hops);
        let is_several = next_hops(hops).nth(1).is_some();
        next_hops(hops).filter(move |_| is_several)
    }

    /// Reads a next hop, or a group.
    pub(in crate::transport) fn next_hop_object(&self) -> Option<NextHopObject> {
        if self.kind != RTM_NEWNEXTHOP {
            return None;
        }
        let (mut id, mut interface, mut members) = (None, None, Vec::new());
        for (kind, value) in attributes(self.body.get(NEXT_HOP_OBJECT..)?) {
            match kind {
                NHA_ID => id = word(value, 0),
                NHA_OIF => interface = word(value, 0),
                // `struct nexthop_grp`: a number, a weight, and padding.
                NHA_GROUP => {
                    let (entries, _) = value.as_chunks::<8>();
                    members.extend(entries.iter().filter_map(|entry| word(entry, 0)));
                }
                _ => {}
            }
        }
        Some(NextHopObject {
            id: id?,
            interface,
            members,
        })
    }

    /// Reads the IPv4 prefix of a new route or rule, if it has one: its first address, and the address after its last one. The
    /// second is `None` if the prefix ends with 255.255.255.255.
    pub(in crate::transport) fn destinations_v4(&self) -> Option<(u32, Option<u32>)> {
        let is_new = matches!(self.kind, libc::RTM_NEWRULE | libc::RTM_NEWROUTE);
        let (family, length) = (*self.body.first()?, u32::from(*self.body.get(1)?));
        if !is_new || i32::from(family) != libc::AF_INET || !(1..=32).contains(&length) {
            return None;
        }
        // RTA_DST and FRA_DST are the same number, and the headers are equally long.
        let (_, prefix) =
            attributes(self.body.get(ROUTE..)?).find(|(kind, _)| *kind == libc::RTA_DST)?;
        let first = u32::from_be_bytes(*prefix.first_chunk()?);
        let first = first & (u32::MAX << (32 - length));
        let behind = u64::from(first) + (1 << (32 - length));
        Some((first, u32::try_from(behind).ok()))
    }

    /// Whether it is a new rule, or a new IPv6 route, for some source addresses only. Both headers have the length of the source
    /// prefix at the same offset.
    pub(in crate::transport) fn is_for_sources(&self) -> bool {
        let has_source = self.body.get(2).is_some_and(|length| *length > 0);
        matches!(self.kind, libc::RTM_NEWRULE | libc::RTM_NEWROUTE) && has_source
    }

    /// Reads an interface: its number and flags.
    pub(in crate::transport) fn link(&self) -> Option<(u32, u32)> {
        let is_one = self.kind == libc::RTM_NEWLINK;
        is_one.then_some((word(self.body, 4)?, word(self.body, 8)?))
    }

    /// Reads an address of this host, and the interface that has it.
    pub(in crate::transport) fn own_address(&self) -> Option<(IpAddr, u32)> {
        if self.kind != libc::RTM_NEWADDR {
            return None;
        }
        // On a line between two hosts IFA_ADDRESS is the other host's, and IFA_LOCAL is ours.
        let (mut local, mut only) = (None, None);
        for (kind, value) in attributes(self.body.get(ADDRESS..)?) {
            match kind {
                libc::IFA_LOCAL => local = address(value),
                libc::IFA_ADDRESS => only = address(value),
                _ => {}
            }
        }
        Some((local.or(only)?, word(self.body, 4)?))
    }

    /// Reads how many entries a neighbour table holds (`gc_thresh3`). The messages about single interfaces do not state it.
    pub(in crate::transport) fn table_size(&self) -> Option<u32> {
        if self.kind != RTM_NEWNEIGHTBL {
            return None;
        }
        let mut attributes = attributes(self.body.get(TABLE..)?);
        attributes.find_map(|(kind, value)| (kind == NDTA_THRESH3).then(|| word(value, 0))?)
    }

    /// Reads a neighbour's state.
    pub(in crate::transport) fn neighbour_state(&self) -> Option<u16> {
        let is_one = self.kind == libc::RTM_NEWNEIGH;
        is_one.then_some(half(self.body, 8)?)
    }
}

#[cfg(test)]
mod tests;

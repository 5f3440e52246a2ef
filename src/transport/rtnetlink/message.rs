//! The rtnetlink(7) messages that ask for routes, interfaces, neighbours and addresses, and what is read from the answers.
//! Pure functions over bytes, in the machine's order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fixed header before every message's body.
const HEADER: usize = 16;
/// Bodies: `struct ifaddrmsg`, `struct rtmsg`, `struct ifinfomsg`, `struct ndmsg`.
const ADDRESS: usize = 8;
const ROUTE: usize = 12;
const LINK: usize = 16;
const NEIGHBOUR: usize = 12;
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
    /// The next hop; none if it is the destination itself.
    pub gateway: Option<IpAddr>,
    pub interface: u32,
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

/// Asks for the kernel's table of neighbours of a family: not for its entries.
pub(in crate::transport) fn ask_table(ipv6: bool) -> Request {
    let mut body = [0; TABLE];
    body[0] = family(ipv6);
    list(RTM_GETNEIGHTBL, &body)
}

/// Asks for all routes of both families.
pub(in crate::transport) fn ask_routes() -> Request {
    list(libc::RTM_GETROUTE, &[0; ROUTE])
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

/// The messages in what one call received.
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

/// The interfaces in a list of next hops (`struct rtnexthop` and attributes), up to the first that is not whole.
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

    /// Reads a new route that has two next hops or more: their interfaces.
    pub(in crate::transport) fn several_next_hops(&self) -> impl Iterator<Item = u32> {
        let is_route = self.kind == libc::RTM_NEWROUTE;
        let behind_header = self.body.get(ROUTE..).unwrap_or_default();
        let hops = attributes(behind_header)
            .find(|(kind, _)| is_route && *kind == libc::RTA_MULTIPATH)
            .map_or(&[][..], |(_, hops)| hops);
        let is_several = next_hops(hops).nth(1).is_some();
        next_hops(hops).filter(move |_| is_several)
    }

    /// Whether it is a new rule, or a new IPv6 route, for some source addresses only. Both headers have the length of the source's
    /// prefix in the same place.
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
        // IFA_ADDRESS is the other end's where there is one, and IFA_LOCAL then ours.
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

    /// Reads how many entries a table of neighbours takes (`gc_thresh3`); what follows it of each interface tells nothing of that.
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
mod tests {
    use super::*;

    /// An answer with its header.
    fn answer(kind: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        packed(kind, 0, body, attributes)
    }

    #[test]
    fn routes_neighbours_and_refusals_are_read() {
        let mut route = [0; ROUTE];
        (route[0], route[7]) = (libc::AF_INET as u8, libc::RTN_UNICAST);
        let interface = 7_u32.to_ne_bytes();
        let mut bytes = answer(
            libc::RTM_NEWROUTE,
            &route,
            &[
                (libc::RTA_OIF, &interface),
                (libc::RTA_GATEWAY, &[192, 0, 2, 1]),
            ],
        );
        let mut via = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
        via.extend(Ipv6Addr::LOCALHOST.octets());
        bytes.extend(answer(
            libc::RTM_NEWROUTE,
            &route,
            &[(RTA_VIA, &via), (libc::RTA_OIF, &interface)],
        ));
        bytes.extend(answer(
            libc::RTM_NEWROUTE,
            &route,
            &[(libc::RTA_OIF, &interface)],
        ));
        let ways: Vec<Way> = answers(&bytes).filter_map(|answer| answer.way()).collect();
        let way = |gateway: Option<&str>| Way {
            kind: libc::RTN_UNICAST,
            gateway: gateway.map(|text| text.parse().unwrap()),
            interface: 7,
        };
        assert_eq!(ways, [way(Some("192.0.2.1")), way(Some("::1")), way(None)]);

        let mut neighbour = [0; NEIGHBOUR];
        neighbour[8..10].copy_from_slice(&libc::NUD_INCOMPLETE.to_ne_bytes());
        let bytes = answer(libc::RTM_NEWNEIGH, &neighbour, &[]);
        let states: Vec<_> = answers(&bytes)
            .map(|answer| answer.neighbour_state())
            .collect();
        assert_eq!(states, [Some(libc::NUD_INCOMPLETE)]);

        let bytes = [
            answer(
                libc::RTM_NEWADDR,
                &[0; ADDRESS],
                &[
                    (libc::IFA_ADDRESS, &[10, 0, 0, 2]),
                    (libc::IFA_LOCAL, &[10, 0, 0, 1]),
                ],
            ),
            answer(
                libc::RTM_NEWADDR,
                &[0; ADDRESS],
                &[(libc::IFA_ADDRESS, &Ipv6Addr::LOCALHOST.octets())],
            ),
        ]
        .concat();
        let ours: Vec<_> = answers(&bytes)
            .map(|answer| answer.own_address().unwrap())
            .map(|(address, interface)| (address.to_string(), interface))
            .collect();
        let on = |address: &str| (address.to_owned(), 0);
        assert_eq!(ours, [on("10.0.0.1"), on("::1")]);

        let bytes = answer(
            libc::NLMSG_ERROR as u16,
            &(-libc::ENOENT).to_ne_bytes(),
            &[],
        );
        let refusals: Vec<_> = answers(&bytes).map(|answer| answer.refusal()).collect();
        assert_eq!(refusals, [Some(libc::ENOENT)]);
    }

    #[test]
    fn a_route_over_two_next_hops_is_told_from_one() {
        for count in 0..4 {
            // With a gateway attribute each.
            let mut hop = vec![0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 5, 0, 10, 9, 1, 2];
            hop[..2].copy_from_slice(&16_u16.to_ne_bytes());
            hop[4..8].copy_from_slice(&2_u32.to_ne_bytes());
            let hops = hop.repeat(count);
            let attributes = [(7, &[1, 2, 3][..]), (libc::RTA_MULTIPATH, &hops)];
            let of = |kind| {
                let bytes = answer(kind, &[0; ROUTE], &attributes);
                let found: Vec<u32> = answers(&bytes)
                    .flat_map(|answer| answer.several_next_hops().collect::<Vec<_>>())
                    .collect();
                found
            };
            let expected = if count < 2 { 0 } else { count };
            assert_eq!(of(libc::RTM_NEWROUTE), vec![2; expected], "{count} hops");
            assert!(of(libc::RTM_DELROUTE).is_empty(), "{count} hops");
        }
    }

    #[test]
    fn rules_and_routes_for_sources_are_told_from_others() {
        for (kind, length, is_so) in [
            (libc::RTM_NEWRULE, 0, false),
            (libc::RTM_NEWRULE, 32, true),
            (libc::RTM_DELRULE, 32, false),
            (libc::RTM_NEWROUTE, 64, true),
            (libc::RTM_NEWROUTE, 0, false),
        ] {
            let mut body = [0; RULE];
            (body[1], body[2]) = (24, length);
            let bytes = answer(kind, &body, &[]);
            let found: Vec<bool> = answers(&bytes)
                .map(|answer| answer.is_for_sources())
                .collect();
            assert_eq!(found, [is_so], "{kind} {length}");
        }
    }

    #[test]
    fn torn_answers_are_no_answers() {
        let whole = answer(libc::RTM_NEWROUTE, &[0; ROUTE], &[(libc::RTA_OIF, &[1; 4])]);
        for length in 0..whole.len() {
            for answer in answers(&whole[..length]) {
                assert_eq!(answer.way(), None, "{length}");
                assert_eq!(answer.several_next_hops().count(), 0, "{length}");
            }
        }
        // A length of 0 must not be read for ever.
        assert_eq!(answers(&[0; 64]).count(), 0);
    }

    #[test]
    fn requests_state_their_length() {
        for bytes in [
            ask_way(Ipv4Addr::LOCALHOST.into(), None, Some(3)),
            ask_way(
                Ipv6Addr::LOCALHOST.into(),
                Some(Ipv6Addr::LOCALHOST.into()),
                None,
            ),
            ask_link_named("eth0"),
            ask_link(1),
            ask_neighbour(Ipv4Addr::LOCALHOST.into(), 2),
            ask_neighbours(true),
            ask_addresses(),
            ask_routes(),
            ask_rules(),
            ask_table(false),
        ] {
            let bytes = bytes.bytes;
            assert_eq!(word(&bytes, 0), Some(bytes.len() as u32));
            assert_eq!(bytes.len() % 4, 0);
        }
    }
}

//! Links, addresses and routes through rtnetlink(7), without the `ip` program.
//!
//! Each request waits for its acknowledgement. That is fast enough to set up a namespace once. Only what the lab needs is encoded.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// The fixed header before every message's body.
const HEADER: usize = 16;

/// `RTNH_F_ONLINK`: the gateway is on the link whatever the addresses say.
const ONLINK: u32 = 4;
/// `VETH_INFO_PEER` (include/uapi/linux/veth.h).
const VETH_INFO_PEER: u16 = 1;

/// `IFLA_INET6_ADDR_GEN_MODE` (include/uapi/linux/if_link.h) and its value for no address.
const ADDRESS_GENERATION: u16 = 8;
const NO_ADDRESS: u8 = 1;

/// `IFA_F_NODAD` (include/uapi/linux/if_addr.h): the address is usable at once, without duplicate address detection.
const NO_DETECTION: u8 = 2;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// A connection to the kernel's routing and link tables, in the namespace in which it was opened.
pub(super) struct Netlink {
    socket: Socket,
}

/// A route to `destination`/`prefix_length`. All its addresses are of one family.
pub(super) struct Route {
    pub destination: IpAddr,
    pub prefix_length: u8,
    /// RTN_UNICAST, or a kind that refuses packets.
    pub kind: u8,
    /// Interface and source address, if the route leads to an interface.
    pub via: Option<Via>,
}

pub(super) struct Via {
    pub interface: u32,
    pub source: IpAddr,
    /// A gateway on the link. `None` if the device has no neighbours.
    pub gateway: Option<IpAddr>,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::RAW,
            Some(Protocol::from(libc::NETLINK_ROUTE)),
        )?;
        Ok(Netlink { socket })
    }

    /// Switches the interface on. `queue` is the new length of its queue in packets.
    pub(super) fn up(&mut self, interface: u32, queue: Option<u32>) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        message.link_info(interface, libc::IFF_UP as u32, libc::IFF_UP as u32);
        if let Some(queue) = queue {
            message.attribute(libc::IFLA_TXQLEN, &queue.to_ne_bytes());
        }
        self.ask(message)
    }

    /// Keeps the kernel from giving the interface an IPv6 address by itself, and from looking for routers on it.
    pub(super) fn no_link_local(&mut self, interface: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        message.link_info(interface, 0, 0);
        message.nested(libc::IFLA_AF_SPEC, |families| {
            families.nested(libc::AF_INET6 as u16, |family| {
                family.attribute(ADDRESS_GENERATION, &[NO_ADDRESS]);
            });
        });
        self.ask(message)
    }

    /// Creates a pair of Ethernet devices that are each other's far end. Neither looks for neighbours (NOARP).
    pub(super) fn create_veth(&mut self, near: (&str, Mac), far: (&str, Mac)) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE);
        message.named_link(near);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"veth");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| peer.named_link(far));
            });
        });
        self.ask(message)
    }

    /// Creates a device that accepts and drops every packet. Fails if the kernel lacks that driver.
    pub(super) fn create_dummy(&mut self, name: (&str, Mac)) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE);
        message.named_link(name);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"dummy");
        });
        self.ask(message)
    }

    /// Gives the interface `address` alone (/32, /128). It is usable at once.
    pub(super) fn add_address(&mut self, interface: u32, address: IpAddr) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWADDR, CREATE);
        // struct ifaddrmsg: family, prefix length, flags, scope, interface.
        let (length, flags) = match address {
            IpAddr::V4(_) => (32, 0),
            IpAddr::V6(_) => (128, NO_DETECTION),
        };
        message.bytes(&[family(address), length, flags, libc::RT_SCOPE_UNIVERSE]);
        message.bytes(&interface.to_ne_bytes());
        message.address(libc::IFA_LOCAL, address);
        message.address(libc::IFA_ADDRESS, address);
        self.ask(message)
    }

    pub(super) fn add_route(&mut self, route: &Route) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWROUTE, CREATE);
        let gateway = route.via.as_ref().and_then(|via| via.gateway);
        let (scope, flags) = match (&route.via, gateway) {
            (Some(_), None) => (libc::RT_SCOPE_LINK, 0),
            (Some(_), Some(IpAddr::V4(_))) => (libc::RT_SCOPE_UNIVERSE, ONLINK),
            // A link-local gateway is always on the link.
            (Some(_), Some(IpAddr::V6(_))) => (libc::RT_SCOPE_UNIVERSE, 0),
            (None, _) => (libc::RT_SCOPE_UNIVERSE, 0),
        };
        // struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
        message.bytes(&[
            family(route.destination),
            route.prefix_length,
            0,
            0,
            libc::RT_TABLE_MAIN,
            libc::RTPROT_STATIC,
            scope,
            route.kind,
        ]);
        message.bytes(&flags.to_ne_bytes());
        message.address(libc::RTA_DST, route.destination);
        if let Some(via) = &route.via {
            message.attribute(libc::RTA_OIF, &via.interface.to_ne_bytes());
            message.address(libc::RTA_PREFSRC, via.source);
        }
        if let Some(gateway) = gateway {
            message.address(libc::RTA_GATEWAY, gateway);
        }
        self.ask(message)
    }

    /// Sends a request and waits for the kernel's answer.
    fn ask(&mut self, message: Message) -> io::Result<()> {
        self.socket.write_all(&message.finish())?;
        let mut answer = [0; 4096];
        let length = self.socket.read(&mut answer)?;
        match acknowledgement(&answer[..length]) {
            Some(0) => Ok(()),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the kernel's answer is no acknowledgement",
            )),
        }
    }
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// The errno in an NLMSG_ERROR message; 0 means success. The message holds it negated, after the header.
fn acknowledgement(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(HEADER..HEADER + 4)?.try_into().ok()?);
    (i32::from(kind) == libc::NLMSG_ERROR).then(|| code.saturating_neg())
}

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

/// A request under construction.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        // struct nlmsghdr: length (filled in by `finish`), type, flags, sequence number, port (the kernel fills it).
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        Message { bytes }
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// struct ifinfomsg: family, padding, type, index, flags, mask of flags to change.
    fn link_info(&mut self, interface: u32, flags: u32, change: u32) {
        self.bytes(&[0; 4]);
        self.bytes(&interface.to_ne_bytes());
        self.bytes(&flags.to_ne_bytes());
        self.bytes(&change.to_ne_bytes());
    }

    fn named_link(&mut self, (name, mac): (&str, Mac)) {
        self.link_info(0, libc::IFF_NOARP as u32, libc::IFF_NOARP as u32);
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        self.attribute(libc::IFLA_IFNAME, &text);
        self.attribute(libc::IFLA_ADDRESS, &mac);
    }

    /// An attribute: its length with the header of 4 bytes, its kind, its value, padding to 4 bytes.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |message| message.bytes(value));
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_state_their_own_length() {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        message.attribute(3, b"abc");
        let bytes = message.finish();
        assert_eq!(bytes.len(), HEADER + 8);
        assert_eq!(bytes[..4], 24_u32.to_ne_bytes());
        assert_eq!(bytes[HEADER..HEADER + 2], 7_u16.to_ne_bytes());
        assert_eq!(bytes[HEADER + 4..], *b"abc\0");
    }

    #[test]
    fn answers_that_are_no_acknowledgement_are_told_apart() {
        let mut answer = vec![0; 36];
        assert_eq!(acknowledgement(&answer), None);
        answer[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        assert_eq!(acknowledgement(&answer), Some(0));
        answer[HEADER..HEADER + 4].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(acknowledgement(&answer), Some(libc::EPERM));
        assert_eq!(acknowledgement(&answer[..10]), None);
    }
}

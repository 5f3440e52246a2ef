//! The device between the namespace and the simulated network: a TUN device, or a pair of Ethernet devices.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use super::namespace::{
    FAR_MAC, NEAR_MAC, index, open_netlink, route_all_ipv6, route_everything, up,
};
use super::netlink::Mac;
use super::{NamespaceError, sys};
use crate::transport::ring::{PacketRing, RingConfig};

/// Names of the vantage point's device and, for a pair, of the far end.
const NEAR: &str = "lab0";
const FAR: &str = "lab0-far";

/// Length of the vantage point's send queue in packets. The default of 500 loses packets at 350,000 per second.
const QUEUE: u32 = 100_000;

/// Receive ring at the far end of a pair, in bytes: 32,768 packets.
const RING: usize = 64 << 20;

/// The kind of device that carries the lab's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A TUN device. It needs /dev/net/tun.
    Tun,
    /// A pair of Ethernet devices with the simulated network at the far end. It needs only the namespace.
    Veth,
}

/// Packets that the vantage point sends are read from it; packets that are written to it reach the vantage point.
pub(super) trait Device: AsFd + Send {
    /// Passes on the packets that wait, at most `limit`, and returns their number. Does not block.
    fn read(&mut self, limit: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<usize>;

    /// Delivers a packet to the vantage point.
    fn write(&mut self, packet: &[u8]) -> io::Result<()>;

    /// Packets lost between the vantage point and [`read`](Device::read), because a queue was full.
    fn dropped(&self) -> Option<u64>;
}

/// Opens a device in the calling thread's namespace and routes all traffic to it. `vantage` becomes our address.
pub(super) fn open(
    vantage: Ipv4Addr,
    kind: Option<DeviceKind>,
) -> Result<(Box<dyn Device>, DeviceKind), NamespaceError> {
    let tun =
        || Tun::open(vantage).map(|device| (Box::new(device) as Box<dyn Device>, DeviceKind::Tun));
    let veth = || {
        Veth::open(vantage).map(|device| (Box::new(device) as Box<dyn Device>, DeviceKind::Veth))
    };
    match kind {
        Some(DeviceKind::Tun) => tun(),
        Some(DeviceKind::Veth) => veth(),
        None => tun().or_else(|tun| {
            veth().map_err(|veth| NamespaceError::NoDevice {
                tun: Box::new(tun),
                veth: Box::new(veth),
            })
        }),
    }
}

/// Also gives the open device the IPv6 address `vantage`, and routes all IPv6 to it.
pub(super) fn add_ipv6(vantage: Ipv6Addr) -> Result<(), NamespaceError> {
    route_all_ipv6(NEAR, vantage)
}

struct Tun {
    file: File,
    buffer: Box<[u8]>,
}

impl Tun {
    fn open(vantage: Ipv4Addr) -> Result<Self, NamespaceError> {
        let file = sys::open_tun(NEAR).map_err(|source| NamespaceError::Tun { source })?;
        let mut netlink = open_netlink()?;
        let interface = index(NEAR)?;
        up(&mut netlink, interface, Some(QUEUE))?;
        route_everything(&mut netlink, interface, vantage, false)?;
        Ok(Tun {
            file,
            buffer: vec![0; 1 << 16].into_boxed_slice(),
        })
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Device for Tun {
    fn read(&mut self, limit: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        for count in 0..limit {
            match self.file.read(&mut self.buffer) {
                Ok(length) => visit(&self.buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            }
        }
        Ok(limit)
    }

    fn write(&mut self, packet: &[u8]) -> io::Result<()> {
        self.file.write(packet).map(drop)
    }

    fn dropped(&self) -> Option<u64> {
        device_drops(NEAR)
    }
}

struct Veth {
    ring: PacketRing,
    far: u32,
    vantage_mac: Mac,
}

impl Veth {
    fn open(vantage: Ipv4Addr) -> Result<Self, NamespaceError> {
        let step = NamespaceError::network;
        let mut netlink = open_netlink()?;
        netlink
            .create_veth((NEAR, NEAR_MAC), (FAR, FAR_MAC))
            .map_err(step("creating a veth pair"))?;
        let (near, far) = (index(NEAR)?, index(FAR)?);
        // This comes first. A packet socket on a device that is down starts with an error, which the first packet would meet.
        up(&mut netlink, far, None)?;
        let ring = PacketRing::open(&RingConfig {
            interface: Some(far),
            filter: None,
            protocol: libc::ETH_P_ALL as u16,
            bytes: RING,
        })
        .map_err(step(
            "opening a packet ring at the far end of the veth pair",
        ))?;
        // Otherwise packets of ordinary sockets would have incomplete checksums.
        sys::disable_checksum_offload(ring.as_fd(), NEAR)
            .map_err(step("switching checksum offload off"))?;
        up(&mut netlink, near, Some(QUEUE))?;
        route_everything(&mut netlink, near, vantage, true)?;
        Ok(Veth {
            ring,
            far,
            vantage_mac: NEAR_MAC,
        })
    }
}

impl AsFd for Veth {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl Device for Veth {
    fn read(&mut self, limit: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        Ok(self.ring.visit(limit, &mut |packet, _| visit(packet)))
    }

    fn write(&mut self, packet: &[u8]) -> io::Result<()> {
        sys::send_frame(self.ring.as_fd(), self.far, self.vantage_mac, packet)
    }

    fn dropped(&self) -> Option<u64> {
        Some(device_drops(NEAR)? + self.ring.dropped()?)
    }
}

/// Returns how many packets the interface `name` of the calling thread's namespace dropped instead of sending.
fn device_drops(name: &str) -> Option<u64> {
    // Not /proc/self: it shows the namespace of the process's first thread, which may be another one.
    transmit_drops(
        &std::fs::read_to_string("/proc/thread-self/net/dev").ok()?,
        name,
    )
}

/// The "drop" column of the transmit side is the twelfth after the name.
fn transmit_drops(table: &str, name: &str) -> Option<u64> {
    table.lines().find_map(|line| {
        let (interface, columns) = line.split_once(':')?;
        (interface.trim() == name).then(|| columns.split_whitespace().nth(11)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transmit_drops_are_read_from_the_kernel_s_table() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n    \
             lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n  \
             lab0: 1 2 3 4 5 6 7 8 9 10 11 12345 13 14 15 16\n";
        assert_eq!(transmit_drops(table, "lab0"), Some(12345));
        assert_eq!(transmit_drops(table, "lo"), Some(0));
        assert_eq!(transmit_drops(table, "lab"), None);
    }
}

//! The source ports of a run.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ops::Range;

use socket2::SockRef;

use super::{TransportError, sys};

/// Files this process may have open besides the ports.
const OTHER_FILES: u64 = 256;

/// Consecutive UDP source ports, held as long as this value lives.
///
/// Held ports are nobody else's: two runs on one host then differ in their ports, and our kernel does not answer targets'
/// UDP replies with a port unreachable. Nothing is ever read from them.
#[derive(Debug)]
pub struct PortBlock {
    base: u16,
    asked: u16,
    sockets: Vec<UdpSocket>,
}

impl PortBlock {
    /// Binds `flows` ports from `base` on, or where one of them is taken the next block that is free: base + flows,
    /// base + 2·flows … below the ephemeral range, then from 1025 up.
    pub fn bind(base: u16, flows: u16) -> Result<Self, TransportError> {
        let last = u32::from(base) + u32::from(flows.max(1)) - 1;
        if base == 0 || flows == 0 || last > u32::from(u16::MAX) {
            return Err(TransportError::PortsOutOfRange { base, flows });
        }
        let limit = sys::allow_open_files(u64::from(flows) + OTHER_FILES).unwrap_or(0);
        let mut refusal = io::Error::from_raw_os_error(libc::EADDRINUSE);
        for first in candidates(base, flows, ephemeral_start()) {
            match bind_all(first, flows) {
                Ok(sockets) => {
                    return Ok(PortBlock {
                        base: first,
                        asked: base,
                        sockets,
                    });
                }
                Err(source)
                    if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) =>
                {
                    return Err(TransportError::TooManyFiles {
                        flows,
                        limit,
                        source,
                    });
                }
                Err(error) => refusal = error,
            }
        }
        Err(TransportError::PortsTaken {
            base,
            flows,
            source: refusal,
        })
    }

    /// The first port: the source port of flow 0.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// Whether it is another block than was asked for.
    pub fn moved(&self) -> bool {
        self.base != self.asked
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        let base = self.base;
        (0..self.sockets.len()).map(move |flow| base + flow as u16)
    }
}

/// First ports of the blocks to try, in order: what was asked for, then those in `usable`.
fn candidates(base: u16, flows: u16, ephemeral: u16) -> impl Iterator<Item = u16> {
    let usable: Range<u32> = 1025..ephemeral.into();
    let step = u32::from(flows);
    let above = (u32::from(base)..usable.end).step_by(flows.into());
    let below = (usable.start..u32::from(base)).step_by(flows.into());
    let fits = move |first: &u32| usable.contains(first) && first + step <= usable.end;
    std::iter::once(u32::from(base))
        .chain(above.skip(1).filter(fits.clone()))
        .chain(below.filter(fits))
        .filter_map(|first| u16::try_from(first).ok())
}

/// Where the kernel's own choice of ports begins.
fn ephemeral_start() -> u16 {
    /// The kernel's default.
    const DEFAULT: u16 = 32768;
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(DEFAULT)
}

fn bind_all(first: u16, flows: u16) -> io::Result<Vec<UdpSocket>> {
    (first..=first + (flows - 1)).map(bind_one).collect()
}

fn bind_one(port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    // What arrives is never read: let it take as little memory as the kernel agrees to.
    SockRef::from(&socket).set_recv_buffer_size(1)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_tried_upwards_below_the_ephemeral_range_and_then_from_the_bottom() {
        let tried: Vec<u16> = candidates(3000, 500, 4200).collect();
        assert_eq!(tried, [3000, 3500, 1025, 1525, 2025, 2525]);
    }

    #[test]
    fn a_base_in_the_ephemeral_range_is_tried_because_it_was_asked_for() {
        let tried: Vec<u16> = candidates(40000, 20000, 32768).collect();
        assert_eq!(tried, [40000, 1025]);
    }

    #[test]
    fn ports_beyond_65535_are_refused_by_name() {
        let error = PortBlock::bind(65000, 1000).unwrap_err();
        assert!(matches!(
            error,
            TransportError::PortsOutOfRange {
                base: 65000,
                flows: 1000
            }
        ));
        assert!(PortBlock::bind(1, 0).is_err());
    }
}

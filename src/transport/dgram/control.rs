//! What recvmsg(2) says about a message besides its bytes: addresses, timestamps and control messages. All are untrusted.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::c_int;

/// A received message.
pub(super) struct Message<'a> {
    pub bytes: &'a [u8],
    pub facts: ControlData,
}

/// What the kernel says about a message besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ControlData {
    /// The sender of a datagram; for an error, the destination and port that it quotes.
    pub from: Option<SocketAddr>,
    /// Receive timestamp, nanoseconds of the wall clock.
    pub stamp: Option<u64>,
    pub ttl: Option<u8>,
    pub tos: Option<u8>,
    pub error: Option<ExtendedError>,
}

/// A `sock_extended_err` (include/uapi/linux/errqueue.h) and the address after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtendedError {
    pub origin: u8,
    pub icmp_type: u8,
    pub icmp_code: u8,
    pub info: u32,
    pub extensions_at: Option<usize>,
    pub offender: Option<IpAddr>,
}

impl ExtendedError {
    /// Reads it. The layout, in the machine's byte order: errno (4 bytes), origin, type, code, padding, info (4), data (4), then a
    /// socket address. With RFC 4884, data is an offset of two bytes and a byte of flags. The flag that the extension structure is
    /// invalid is ignored: the decoder of the structure decides, as for whole packets.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, address) = bytes.split_first_chunk::<16>()?;
        let info = [head[8], head[9], head[10], head[11]];
        let offset = usize::from(u16::from_ne_bytes([head[12], head[13]]));
        Some(ExtendedError {
            origin: head[4],
            icmp_type: head[5],
            icmp_code: head[6],
            info: u32::from_ne_bytes(info),
            extensions_at: (offset > 0).then_some(offset),
            offender: read_address(address).map(|address| address.ip()),
        })
    }
}

/// Reads a sockaddr_in or sockaddr_in6; `None` for other families.
pub(super) fn read_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let address: IpAddr = match c_int::from(family) {
        libc::AF_INET => Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Reads one control message into `facts`.
pub(super) fn note(level: c_int, kind: c_int, data: &[u8], facts: &mut ControlData) {
    // A byte, or an integer with the value of a byte.
    let small = || match *data {
        [byte] => Some(byte),
        _ => u8::try_from(i32::from_ne_bytes(*data.first_chunk()?)).ok(),
    };
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => facts.stamp = nanoseconds(data),
        (libc::SOL_IP, libc::IP_TTL) | (libc::SOL_IPV6, libc::IPV6_HOPLIMIT) => {
            facts.ttl = small();
        }
        (libc::SOL_IP, libc::IP_TOS) | (libc::SOL_IPV6, libc::IPV6_TCLASS) => {
            facts.tos = small();
        }
        (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR) => {
            facts.error = ExtendedError::read(data);
        }
        _ => {}
    }
}

/// Reads a timespec.
fn nanoseconds(data: &[u8]) -> Option<u64> {
    const WORD: usize = size_of::<libc::time_t>();
    let word = |at: usize| {
        let bytes = data.get(at..at + WORD)?.first_chunk::<WORD>()?;
        u64::try_from(libc::time_t::from_ne_bytes(*bytes)).ok()
    };
    word(0)?
        .checked_mul(1_000_000_000)?
        .checked_add(word(WORD)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_with_its_offender_and_the_place_of_its_extensions() {
        let mut bytes = vec![113, 0, 0, 0, 2, 11, 0, 0];
        bytes.extend(1_400_u32.to_ne_bytes());
        bytes.extend(100_u16.to_ne_bytes());
        bytes.extend([0, 0]);
        bytes.extend((libc::AF_INET as u16).to_ne_bytes());
        bytes.extend([0, 0, 203, 0, 113, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
        let whole = ExtendedError {
            origin: libc::SO_EE_ORIGIN_ICMP,
            icmp_type: 11,
            icmp_code: 0,
            info: 1_400,
            extensions_at: Some(100),
            offender: "203.0.113.9".parse().ok(),
        };
        assert_eq!(ExtendedError::read(&bytes), Some(whole));
        bytes[12..14].fill(0);
        let told = ExtendedError::read(&bytes).unwrap();
        assert_eq!(told.extensions_at, None);
        assert_eq!(ExtendedError::read(&bytes[..15]), None);
        let without = ExtendedError::read(&bytes[..16]).unwrap();
        assert_eq!(without.offender, None);
    }

    #[test]
    fn small_numbers_come_as_bytes_and_as_integers() {
        let mut facts = ControlData::default();
        note(
            libc::SOL_IP,
            libc::IP_TTL,
            &61_i32.to_ne_bytes(),
            &mut facts,
        );
        note(libc::SOL_IP, libc::IP_TOS, &[0xc0], &mut facts);
        let stamp = [7_i64.to_ne_bytes(), 5_i64.to_ne_bytes()].concat();
        note(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &stamp, &mut facts);
        assert_eq!((facts.ttl, facts.tos), (Some(61), Some(0xc0)));
        assert_eq!(facts.stamp, Some(7_000_000_005));
        // Truncated.
        note(
            libc::SOL_SOCKET,
            libc::SCM_TIMESTAMPNS,
            &stamp[..9],
            &mut facts,
        );
        note(libc::SOL_IPV6, libc::IPV6_HOPLIMIT, &[1, 2], &mut facts);
        assert_eq!((facts.ttl, facts.stamp), (None, None));
    }
}

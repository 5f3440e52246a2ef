//! Fields of a packet's own IP header that the kernel must be given separately, too.

use std::net::IpAddr;

/// Header sizes: IPv4 without options, IPv6.
pub(in crate::transport) const IPV4: usize = 20;
pub(in crate::transport) const IPV6: usize = 40;

/// The source address of a packet of ours. `None` if the packet's header is not complete.
pub(in crate::transport) fn source(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let header = packet.first_chunk::<IPV4>()?;
            header[12..].first_chunk::<4>().copied().map(IpAddr::from)
        }
        6 => {
            let header = packet.first_chunk::<IPV6>()?;
            header[8..].first_chunk::<16>().copied().map(IpAddr::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_stands_where_each_family_has_it() {
        let mut four = [0; 20];
        four[0] = 0x45;
        four[12..16].copy_from_slice(&[10, 9, 1, 1]);
        assert_eq!(source(&four), Some(IpAddr::from([10, 9, 1, 1])));
        assert_eq!(source(&four[..19]), None);
        let mut six = [0; 40];
        six[0] = 0x60;
        six[23] = 1;
        assert_eq!(source(&six), Some("::1".parse().unwrap()));
        assert_eq!(source(&six[..39]), None);
        assert_eq!(source(&[]), None);
    }
}

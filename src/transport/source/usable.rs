//! Whether a source address can be used towards a destination. The kernel's choice is not always usable.
//!
//! A machine with no better IPv6 address sends to global destinations from a link-local one (RFC 6724 only prefers others).
//! No router forwards such a packet (RFC 4291, 2.5.6), and no answer can come back. A machine without any address
//! gives `0.0.0.0`, or the loopback address. That must not leave the machine, neither as source nor as destination (RFC 4291,
//! 2.5.3).

use std::net::{IpAddr, Ipv6Addr};

use crate::model::UnsentReason;

/// Returns `source` if probes to `destination` may carry it, else the reason why they are not sent.
pub(super) fn usable(source: IpAddr, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
    let fits = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(_)) => !source.is_unspecified(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            !source.is_unspecified()
                && source.is_loopback() == destination.is_loopback()
                && (!is_link_local(source) || is_link_local(destination))
        }
        _ => false,
    };
    match fits {
        true => Ok(source),
        false => Err(UnsentReason::NoSourceAddress),
    }
}

/// fe80::/10.
fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_source_reaches_no_other_link() {
        for (source, destination, fits) in [
            ("192.0.2.1", "198.51.100.1", true),
            ("127.0.0.1", "127.0.0.9", true),
            ("169.254.7.7", "198.51.100.1", true),
            ("0.0.0.0", "198.51.100.1", false),
            ("2001:db8::1", "2001:db8:1::1", true),
            ("fd00::1", "2001:db8:1::1", true),
            ("::1", "::1", true),
            ("::1", "2001:db8:1::1", false),
            // By a default route, if the loopback device is down.
            ("2001:db8::1", "::1", false),
            ("::", "2001:db8:1::1", false),
            ("fe80::1", "2001:db8:1::1", false),
            ("febf::1", "fd00::1", false),
            ("fe80::1", "fe80::2", true),
            // Not link-local: the old site-local addresses.
            ("fec0::1", "2001:db8:1::1", true),
            ("192.0.2.1", "2001:db8:1::1", false),
        ] {
            let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
            let expected = match fits {
                true => Ok(source),
                false => Err(UnsentReason::NoSourceAddress),
            };
            assert_eq!(
                usable(source, destination),
                expected,
                "{source} to {destination}"
            );
        }
    }
}

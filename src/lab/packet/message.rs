//! The ICMP errors of the lab's routers and hosts, by family (RFC 792, RFC 1191, RFC 4443).
//!
//! Networks are described with the codes of IPv4. In IPv6, the nearest message of RFC 4443 is sent:
//!
//! | IPv4 | IPv6 |
//! |---|---|
//! | 3/1, 3/7 host | 1/3 address unreachable |
//! | 3/2 protocol | 4/1 unrecognised next header |
//! | 3/3 port | 1/4 port unreachable |
//! | 3/4 fragmentation needed | 2/0 packet too big |
//! | 3/9, 3/10, 3/13 prohibited | 1/1 administratively prohibited |
//! | 3/14 precedence | 1/6 reject route |
//! | 3/0 network and any other | 1/0 no route |
//!
//! Codes that exist in IPv6 only are numbered from [`ONLY_V6`] on. In IPv4, they are sent as 3/13 (prohibited).

use super::address::Family;

/// Added to an ICMPv6 code that has no counterpart in IPv4.
pub(in crate::lab) const ONLY_V6: u8 = 32;

/// The type, code and parameter of an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Message {
    pub(in crate::lab) icmp_type: u8,
    pub(in crate::lab) code: u8,
    /// The four bytes after the checksum: an MTU, a pointer, usually 0.
    pub(in crate::lab) rest: u32,
}

impl Message {
    const fn new(icmp_type: u8, code: u8, rest: u32) -> Self {
        Message {
            icmp_type,
            code,
            rest,
        }
    }

    /// The TTL or hop limit ran out in transit.
    pub(in crate::lab) const fn time_exceeded(family: Family) -> Self {
        match family {
            Family::V4 => Message::new(11, 0, 0),
            Family::V6 => Message::new(3, 0, 0),
        }
    }

    /// Destination Unreachable with the IPv4 code `code`, or its counterpart in IPv6.
    pub(in crate::lab) const fn unreachable(family: Family, code: u8) -> Self {
        match (family, code) {
            (Family::V4, ONLY_V6..) => Message::new(3, 13, 0),
            (Family::V4, code) => Message::new(3, code, 0),
            (Family::V6, ONLY_V6..) => Message::new(1, code - ONLY_V6, 0),
            (Family::V6, 1 | 7) => Message::new(1, 3, 0),
            // The pointer is the offset of the IPv6 header's next header field.
            (Family::V6, 2) => Message::new(4, 1, 6),
            (Family::V6, 3) => Message::new(1, 4, 0),
            (Family::V6, 9 | 10 | 13) => Message::new(1, 1, 0),
            (Family::V6, 14) => Message::new(1, 6, 0),
            (Family::V6, _) => Message::new(1, 0, 0),
        }
    }

    /// The message of a router that drops a packet. `code` is as above. For code 4, the message says that the packet exceeds `mtu`.
    pub(in crate::lab) const fn refusal(family: Family, code: u8, mtu: u16) -> Self {
        match code {
            4 => Message::too_big(family, mtu),
            code => Message::unreachable(family, code),
        }
    }

    /// The packet is larger than the next line carries: `mtu` bytes.
    pub(in crate::lab) const fn too_big(family: Family, mtu: u16) -> Self {
        match family {
            Family::V4 => Message::new(3, 4, mtu as u32),
            Family::V6 => Message::new(2, 0, mtu as u32),
        }
    }

    /// Whether extensions may follow the quote (RFC 4884, section 4.6).
    pub(in crate::lab) const fn takes_extensions(self, family: Family) -> bool {
        match family {
            Family::V4 => matches!(self.icmp_type, 3 | 11 | 12),
            Family::V6 => matches!(self.icmp_type, 1 | 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_find_their_counterpart_in_ipv6() {
        let pairs: Vec<_> = (0..=15)
            .map(|code| {
                let v4 = Message::unreachable(Family::V4, code);
                assert_eq!((v4.icmp_type, v4.code, v4.rest), (3, code, 0));
                let v6 = Message::unreachable(Family::V6, code);
                (v6.icmp_type, v6.code)
            })
            .collect();
        let none = (1, 0);
        let expected = [
            none,
            (1, 3),
            (4, 1),
            (1, 4),
            none,
            none,
            none,
            (1, 3),
            none,
            (1, 1),
            (1, 1),
            none,
            none,
            (1, 1),
            (1, 6),
            none,
        ];
        assert_eq!(pairs, expected);
    }
}

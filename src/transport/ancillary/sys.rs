//! Control messages laid out as the kernel reads them.

#![allow(unsafe_code)]

use std::mem::{align_of, size_of, size_of_val};
use std::net::{IpAddr, Ipv6Addr};

use libc::{c_int, c_void};

/// Control messages of one packet to send.
///
/// An integer takes 24 bytes, a source and interface 32 or, of IPv6, 40. Words, because cmsghdr wants their alignment.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::transport) struct SendControl {
    block: [u64; 8],
    used: usize,
}

impl SendControl {
    /// Adds the TTL or hop limit.
    pub fn ttl(&mut self, ipv6: bool, ttl: u8) {
        let name = match ipv6 {
            false => (libc::SOL_IP, libc::IP_TTL),
            true => (libc::SOL_IPV6, libc::IPV6_HOPLIMIT),
        };
        self.put(name, c_int::from(ttl));
    }

    /// Adds the address to leave with, and the interface to leave by (0: the kernel's choice).
    ///
    /// An IPv6 packet gets one of the two: the kernel keeps to an interface only if it is given no source beside, and then chooses
    /// the source of that interface.
    pub fn way_out(&mut self, source: IpAddr, interface: u32) {
        match source {
            IpAddr::V4(source) => {
                let told = libc::in_pktinfo {
                    ipi_ifindex: interface as c_int,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(source).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                self.put((libc::SOL_IP, libc::IP_PKTINFO), told);
            }
            IpAddr::V6(source) => {
                let source = match interface {
                    0 => source,
                    _ => Ipv6Addr::UNSPECIFIED,
                };
                let told = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: source.octets(),
                    },
                    ipi6_ifindex: interface,
                };
                self.put((libc::SOL_IPV6, libc::IPV6_PKTINFO), told);
            }
        }
    }

    /// What `msg_control` and `msg_controllen` are to be, for as long as the value stays in its place.
    pub fn raw_parts(&mut self) -> (*mut c_void, usize) {
        match self.used {
            0 => (std::ptr::null_mut(), 0),
            used => (self.block.as_mut_ptr().cast(), used),
        }
    }

    /// Appends a control message.
    fn put<T: Copy>(&mut self, (level, kind): (c_int, c_int), value: T) {
        // SAFETY: plain arithmetic.
        let (length, space) = unsafe {
            let size = size_of::<T>() as u32;
            (libc::CMSG_LEN(size), libc::CMSG_SPACE(size) as usize)
        };
        let end = self.used + space;
        assert!(
            self.used.is_multiple_of(align_of::<libc::cmsghdr>())
                && end <= size_of_val(&self.block)
        );
        // SAFETY: the assertion keeps header and value inside the block and the header aligned, because the block is aligned for
        // it; the value is written unaligned.
        unsafe {
            let header = self
                .block
                .as_mut_ptr()
                .byte_add(self.used)
                .cast::<libc::cmsghdr>();
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.used = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_source_and_interface_follow_one_another() {
        let mut four = SendControl::default();
        four.ttl(false, 7);
        four.way_out("10.9.1.1".parse().unwrap(), 3);
        let block = four.block;
        assert_eq!((four.used, block[0], block[2]), (56, 20, 7));
        assert_eq!((block[3], block[5] as u32), (28, 3));
        assert_eq!(((block[5] >> 32) as u32).to_ne_bytes(), [10, 9, 1, 1]);

        for (interface, first) in [(0, 0xfd), (3, 0)] {
            let mut six = SendControl::default();
            six.ttl(true, 7);
            six.way_out("fd00::1".parse().unwrap(), interface);
            let block = six.block;
            assert_eq!((six.used, block[0], block[2]), (64, 20, 7));
            assert_eq!((block[3], block[7] as u32), (36, interface));
            assert_eq!(block[5].to_ne_bytes()[..2], [first, 0]);
        }
    }

    #[test]
    fn nothing_to_tell_is_no_control_message() {
        let (pointer, length) = SendControl::default().raw_parts();
        assert!(pointer.is_null() && length == 0);
    }
}

//! The sendmmsg call, with packets, addresses and control messages in the kernel's layout.

#![allow(unsafe_code)]

use std::io;
use std::mem::{align_of, size_of, size_of_val, zeroed};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_void, iovec, mmsghdr, sockaddr_in, sockaddr_in6, socklen_t};

use crate::transport::sys::check;

/// A packet as it is given to the kernel.
pub(in crate::transport) struct Outgoing<'a> {
    /// The port is 0 for raw sockets.
    pub to: SocketAddr,
    /// TTL or hop limit, if the kernel writes the IP header.
    pub ttl: Option<u8>,
    /// The source and the interface (0: the kernel's choice) to route by, if the kernel needs them.
    pub way: Option<(IpAddr, u32)>,
    /// The whole packet, or the part after the headers that the kernel writes.
    pub bytes: &'a [u8],
}

impl Outgoing<'_> {
    fn control(&self) -> SendControl {
        let mut control = SendControl::default();
        if let Some(ttl) = self.ttl {
            control.ttl(self.to.is_ipv6(), ttl);
        }
        if let Some((source, interface)) = self.way {
            control.way_out(source, interface);
        }
        control
    }
}

/// The arrays for sendmmsg. Their memory is reused from call to call.
pub(in crate::transport) struct SendArena {
    addresses_v4: Vec<sockaddr_in>,
    addresses_v6: Vec<sockaddr_in6>,
    controls: Vec<SendControl>,
    pieces: Vec<iovec>,
    messages: Vec<mmsghdr>,
}

// SAFETY: the pointers inside are written anew by every `send` and followed only within it.
unsafe impl Send for SendArena {}

impl SendArena {
    /// The most packets of one call.
    pub const CHUNK: usize = 64;

    pub fn new() -> Self {
        SendArena {
            addresses_v4: Vec::with_capacity(Self::CHUNK),
            addresses_v6: Vec::with_capacity(Self::CHUNK),
            controls: Vec::with_capacity(Self::CHUNK),
            pieces: Vec::with_capacity(Self::CHUNK),
            messages: Vec::with_capacity(Self::CHUNK),
        }
    }

    /// Offers up to [`CHUNK`](Self::CHUNK) of `packets` to the kernel without waiting. Their destinations must be of one family.
    /// Returns how many packets the kernel took, 0 if there are none.
    ///
    /// # Errors
    /// The errno of the first packet, if the kernel did not take it.
    pub fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        packets: impl Iterator<Item = Outgoing<'a>>,
    ) -> io::Result<usize> {
        self.addresses_v4.clear();
        self.addresses_v6.clear();
        self.controls.clear();
        self.pieces.clear();
        self.messages.clear();
        for packet in packets.take(Self::CHUNK) {
            self.push(&packet);
        }
        if self.pieces.is_empty() {
            return Ok(0);
        }
        if !self.addresses_v4.is_empty() && !self.addresses_v6.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
        }
        self.link();
        // SAFETY: each message points at its address, its piece and its control block, whose vectors are not touched until the
        // call is over, and each piece at bytes borrowed for 'a, which the kernel only reads.
        check(unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                self.messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        })
        .map(|taken| taken as usize)
    }

    /// Adds the address, the control messages and the bytes of a packet.
    fn push(&mut self, packet: &Outgoing<'_>) {
        self.controls.push(packet.control());
        match packet.to {
            SocketAddr::V4(to) => self.addresses_v4.push(sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*to.ip()).to_be(),
                },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(to) => self.addresses_v6.push(sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: to.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: to.ip().octets(),
                },
                sin6_scope_id: 0,
            }),
        }
        self.pieces.push(iovec {
            iov_base: packet.bytes.as_ptr().cast_mut().cast(),
            iov_len: packet.bytes.len(),
        });
    }

    /// Makes the messages, which point at what was pushed. The addresses are of one family.
    fn link(&mut self) {
        let v4 = self.addresses_v4.iter_mut().map(|address| {
            let size = size_of::<sockaddr_in>();
            (ptr::from_mut(address).cast::<libc::c_void>(), size)
        });
        let v6 = self.addresses_v6.iter_mut().map(|address| {
            let size = size_of::<sockaddr_in6>();
            (ptr::from_mut(address).cast::<libc::c_void>(), size)
        });
        let parts = self.pieces.iter_mut().zip(&mut self.controls);
        for ((address, size), (piece, control)) in v4.chain(v6).zip(parts) {
            // SAFETY: all zero is a valid mmsghdr: null pointers of length 0.
            let mut message: mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_name = address;
            message.msg_hdr.msg_namelen = size as socklen_t;
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            let (control, length) = control.raw_parts();
            message.msg_hdr.msg_control = control;
            message.msg_hdr.msg_controllen = length as _;
            self.messages.push(message);
        }
    }
}

/// Control messages of one packet to send.
///
/// An integer takes 24 bytes; a source and interface take 32, with IPv6 40. The type is `u64` for the alignment of cmsghdr.
#[derive(Clone, Copy, Debug, Default)]
struct SendControl {
    block: [u64; 8],
    used: usize,
}

impl SendControl {
    /// Adds the TTL or hop limit.
    fn ttl(&mut self, ipv6: bool, ttl: u8) {
        let name = match ipv6 {
            false => (libc::SOL_IP, libc::IP_TTL),
            true => (libc::SOL_IPV6, libc::IPV6_HOPLIMIT),
        };
        self.put(name, c_int::from(ttl));
    }

    /// Adds the source address and the interface (0: the kernel's choice).
    ///
    /// An IPv6 packet gets one of the two. The kernel keeps to an interface only if it is given no source; it then chooses the
    /// source of that interface.
    fn way_out(&mut self, source: IpAddr, interface: u32) {
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

    /// The values for `msg_control` and `msg_controllen`. They are valid until the value is moved or changed.
    fn raw_parts(&mut self) -> (*mut c_void, usize) {
        match self.used {
            0 => (ptr::null_mut(), 0),
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
    fn ttl_source_and_interface_are_laid_out_one_after_the_other() {
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
    fn without_options_there_is_no_control_message() {
        let (pointer, length) = SendControl::default().raw_parts();
        assert!(pointer.is_null() && length == 0);
    }
}

//! Binding a netlink socket to groups of messages, which the standard library and socket2 do not offer.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::socklen_t;
use socket2::{Domain, Protocol, Socket, Type};

use crate::transport::sys::check;

/// Opens a non-blocking netlink socket of the routing family that receives the messages of `groups`.
pub(super) fn listening(groups: u32) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(libc::NETLINK_ROUTE)),
    )?;
    socket.set_nonblocking(true)?;
    // SAFETY: all zero is a valid sockaddr_nl.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = groups;
    // SAFETY: pointer and length describe `address`; the kernel only reads it.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_nl>() as socklen_t,
        )
    })?;
    Ok(socket)
}

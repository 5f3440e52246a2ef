//! The lab driver's system calls, each behind a safe function.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

use libc::{c_char, c_int, ifreq, sockaddr_ll, socklen_t};

use super::netlink::Mac;
use crate::transport::sys::check;

/// `ETHTOOL_STXCSUM` (include/uapi/linux/ethtool.h): switches transmit checksum offload.
const ETHTOOL_STXCSUM: u32 = 0x17;

/// Moves the calling thread (and what it starts) into new namespaces.
pub(super) fn unshare(namespaces: c_int) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::unshare(namespaces) }).map(drop)
}

/// Makes this process's files under /proc its own again. A program that was given capabilities by setcap starts without,
/// and may then not write its own user map.
pub(super) fn own_proc_files() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }).map(drop)
}

/// The user and group that this process acts as.
pub(super) fn effective_ids() -> (u32, u32) {
    // SAFETY: both take nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Lets the calling thread's timers fire on time instead of up to 50 µs late, and keeps signals for the other threads.
pub(super) fn prepare_thread() -> io::Result<()> {
    // SAFETY: PR_SET_TIMERSLACK takes no pointers. All zero is a valid sigset_t to be filled by sigfillset, which
    // pthread_sigmask then only reads.
    unsafe {
        let mut all: libc::sigset_t = zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
        check(libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0)).map(drop)
    }
}

/// Sends `signal` to `process`, which must be a child not yet reaped, so that the number is still its own.
pub(super) fn signal_child(process: u32, signal: c_int) -> io::Result<()> {
    let process =
        libc::pid_t::try_from(process).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::kill(process, signal) }).map(drop)
}

/// Opens a new TUN device: a read takes one IP packet that was sent along it, a write delivers one. Does not block.
pub(super) fn open_tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })?;
    Ok(file)
}

/// The index of the interface `name`.
pub(super) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: the pointer leads to a text that ends in NUL and lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Makes the kernel compute checksums itself before packets reach the device. `socket` may be any socket.
pub(super) fn disable_checksum_offload(socket: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    // struct ethtool_value: command, value.
    let mut value = [ETHTOOL_STXCSUM, 0];
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    // SAFETY: SIOCETHTOOL reads one ifreq and, through its data pointer, the two words of `value`, which outlive the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) })
        .map(drop)
}

/// Sends an IP packet out of `interface` of an AF_PACKET datagram socket, to the hardware address `to`.
pub(super) fn send_frame(
    socket: BorrowedFd<'_>,
    interface: u32,
    to: Mac,
    packet: &[u8],
) -> io::Result<()> {
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: sockaddr_ll = unsafe { zeroed() };
    let ethertype = match packet.first().map(|byte| byte >> 4) {
        Some(6) => libc::ETH_P_IPV6,
        _ => libc::ETH_P_IP,
    };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = (ethertype as u16).to_be();
    address.sll_ifindex = interface as i32;
    address.sll_halen = to.len() as u8;
    address.sll_addr[..to.len()].copy_from_slice(&to);
    // SAFETY: both pointers go with the lengths of what they lead to; the kernel only reads them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            libc::MSG_DONTWAIT,
            ptr::from_ref(&address).cast(),
            size_of::<sockaddr_ll>() as socklen_t,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// An ifreq that names an interface and is zero otherwise.
fn interface_request(name: &str) -> io::Result<ifreq> {
    // SAFETY: all zero is a valid ifreq: an empty name and null data.
    let mut request: ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    Ok(request)
}

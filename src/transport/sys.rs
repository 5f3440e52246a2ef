//! System calls of several transports that the standard library and socket2 do not offer, each behind a safe function.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use libc::{c_int, socklen_t};

/// `SO_MEMINFO` (include/uapi/asm-generic/socket.h), which libc does not name.
pub(crate) const SO_MEMINFO: c_int = 55;
/// `ICMP_FILTER` (include/uapi/linux/icmp.h), at level `SOL_RAW`.
pub(crate) const ICMP_FILTER: c_int = 1;
/// `SOL_RAW` (include/linux/socket.h).
pub(crate) const SOL_RAW: c_int = 255;

/// Turns the result −1 into an error with the present errno.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Sets a socket option whose value is the plain kernel structure or integer `T`.
pub(crate) fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: pointer and length describe `value`, which outlives the call; the kernel only reads it.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as socklen_t,
        )
    })
    .map(drop)
}

/// Reads a socket option that is an array of `N` 32-bit words; words that the kernel does not fill are 0.
pub(crate) fn option_words<const N: usize>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
) -> io::Result<[u32; N]> {
    let mut words = [0_u32; N];
    let mut length = size_of::<[u32; N]>() as socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `words`; any bits are a valid u32.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            words.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    Ok(words)
}

/// Waits until one of `descriptors` is readable or closed at its other end, at most for `timeout` (`None`: without limit).
/// Returns which of them are. A signal ends the wait early, with none of them.
pub(crate) fn wait_readable<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let span = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let span = span.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `polled` has N entries; `span` is null or points at a timespec that lives to the end of this function;
    // a null signal mask leaves the mask as it is.
    match check(unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            N as libc::nfds_t,
            span,
            ptr::null::<libc::sigset_t>(),
        )
    }) {
        Ok(_) => Ok(polled.map(|entry| entry.revents != 0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok([false; N]),
        Err(error) => Err(error),
    }
}

/// Waits until any of `descriptors` is readable, at most for `timeout`. A signal ends the wait early.
pub(crate) fn wait_any_readable(
    descriptors: &[BorrowedFd<'_>],
    timeout: Duration,
) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|descriptor| libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let span = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: `polled` has as many entries as are announced; `span` lives to the end of this function; a null signal mask
    // leaves the mask as it is.
    match check(unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            &span,
            ptr::null::<libc::sigset_t>(),
        )
    }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Disconnects a UDP socket, so that the next connect chooses the source address again.
pub(crate) fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    let nowhere = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    // SAFETY: pointer and length describe `nowhere`; the kernel only reads it.
    check(unsafe {
        libc::connect(
            socket.as_raw_fd(),
            &nowhere,
            size_of::<libc::sockaddr>() as socklen_t,
        )
    })
    .map(drop)
}

/// Whether the interface `name` is up.
///
/// # Errors
/// There is no such interface.
pub(crate) fn interface_is_up(socket: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    // SAFETY: all zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the kernel reads the name, which ends in a zero, and writes the flags into the same structure.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request) })?;
    // SAFETY: the call has filled in the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(c_int::from(flags) & libc::IFF_UP != 0)
}

/// Removes one message from the socket's error queue; `false` if the queue is empty.
pub(crate) fn discard_queued_error(socket: BorrowedFd<'_>) -> bool {
    let mut byte = 0_u8;
    // SAFETY: the kernel writes at most one byte, into `byte`; the rest of the message is cut off.
    let result = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            ptr::from_mut(&mut byte).cast(),
            1,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    result >= 0
}

/// The effective group of this process.
pub(crate) fn effective_group() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getegid() }
}

/// The effective user of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether programs that this thread starts can gain no privileges (PR_SET_NO_NEW_PRIVS, prctl(2)).
pub(crate) fn has_no_new_privileges() -> bool {
    // SAFETY: takes no pointers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

/// Whether a seccomp filter restricts the calling thread (PR_GET_SECCOMP, prctl(2)). A filter may forbid even this question.
pub(crate) fn has_seccomp_filter() -> bool {
    /// SECCOMP_MODE_FILTER (include/uapi/linux/seccomp.h).
    const FILTER: c_int = 2;
    // SAFETY: takes no pointers. Strict mode, in which this call kills, allows no file to be opened and cannot come this far.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) == FILTER }
}

/// This process's soft and hard limit on open files.
pub(crate) fn open_file_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit, into `limit`.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises this process's limit on open files to at least `wanted`, as far as the hard limit allows.
pub(crate) fn allow_open_files(wanted: u64) -> io::Result<()> {
    let (soft, hard) = open_file_limit()?;
    if soft < wanted && soft < hard {
        let limit = libc::rlimit {
            rlim_cur: hard,
            rlim_max: hard,
        };
        // SAFETY: the kernel only reads `limit`.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    }
    Ok(())
}

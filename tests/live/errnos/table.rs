//! What each error does to a survey.

/// What an error does to a survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call is tried again. Nothing is lost.
    Again,
    /// As [`Again`](Effect::Again). If the error comes a thousand times in a row, the run fails.
    Passes,
    /// The probe is a send error with this reason. More than 1% of them make the run incomplete.
    Unsent(&'static str),
    /// The probe is a send error with this reason, which never makes the run incomplete.
    Excused(&'static str),
    /// Tried again, and if the error stays, as [`Unsent`](Effect::Unsent).
    Stays(&'static str),
    /// As [`Stays`](Effect::Stays), but as [`Excused`](Effect::Excused).
    StaysExcused(&'static str),
    /// The survey goes on without announcements of route changes.
    Unannounced,
    /// The run fails with this message.
    Fails(&'static str),
    /// The survey is refused before the first probe, with these parts of a message.
    Refused(&'static str, &'static str),
}

use Effect::{Again, Excused, Fails, Passes, Refused, Stays, StaysExcused, Unannounced, Unsent};

impl Effect {
    /// The cell of the table.
    pub fn words(self) -> String {
        match self {
            Again => "tried again".to_owned(),
            Passes => {
                "tried again; after 1,000 in a row the run fails (exit code 1, `failed`)".to_owned()
            }
            Unsent(reason) => format!("send error `{reason}`; over 1%: exit code 4, `incomplete`"),
            Excused(reason) => format!("send error `{reason}`"),
            Stays(reason) => format!(
                "tried again; if it stays, send error `{reason}`; over 1%: exit code 4, `incomplete`"
            ),
            StaysExcused(reason) => format!("tried again; if it stays, send error `{reason}`"),
            Unannounced => {
                "goes on; routes are asked for anew each second, because changes are not announced"
                    .to_owned()
            }
            Fails(message) => format!("the run fails: \"{message}\" (exit code 1, `failed`)"),
            Refused(step, "") => format!("no probe: \"{step}\" (exit code 1)"),
            Refused(step, remedy) => {
                format!("no probe: \"{step}\", remedy \"{remedy}\" (exit code 1)")
            }
        }
    }
}

/// The call, the error, the effect with raw sockets, and the effect with ordinary sockets.
pub type Row = (&'static str, &'static str, Effect, Effect);

const NO_SEND: Effect = Fails("cannot send any more");
const NO_RECEIVE: Effect = Fails("cannot receive any more");
const PORT: &str = "opening a socket for a source port failed";
const FILTER: &str = "filtering answers (SO_ATTACH_FILTER) failed";
const RAW: &str = "opening a raw socket for receiving failed";
const LOOK_UP: &str = "opening a socket for route look-ups failed";
const TOS: &str = "setting the type of service (IP_TOS, IPV6_TCLASS) failed";
const TAKEN: &str = "cannot bind 1 source ports";

pub const TABLE: &[Row] = &[
    (
        "sendmmsg",
        "EACCES",
        Unsent("prohibited"),
        Stays("prohibited"),
    ),
    (
        "sendmmsg",
        "EADDRNOTAVAIL",
        Unsent("no_source_address"),
        Unsent("no_source_address"),
    ),
    ("sendmmsg", "EAGAIN", Again, Again),
    (
        "sendmmsg",
        "EALREADY",
        Unsent("errno_114"),
        Unsent("errno_114"),
    ),
    ("sendmmsg", "EBADF", NO_SEND, NO_SEND),
    (
        "sendmmsg",
        "ECONNREFUSED",
        Unsent("errno_111"),
        Stays("errno_111"),
    ),
    (
        "sendmmsg",
        "ECONNRESET",
        Unsent("errno_104"),
        Unsent("errno_104"),
    ),
    (
        "sendmmsg",
        "EDESTADDRREQ",
        Unsent("errno_89"),
        Unsent("errno_89"),
    ),
    ("sendmmsg", "EFAULT", NO_SEND, NO_SEND),
    (
        "sendmmsg",
        "EHOSTUNREACH",
        Excused("host_unreachable"),
        StaysExcused("host_unreachable"),
    ),
    ("sendmmsg", "EINTR", Again, Again),
    ("sendmmsg", "EINVAL", Unsent("invalid"), Unsent("invalid")),
    ("sendmmsg", "EIO", Unsent("errno_5"), Unsent("errno_5")),
    (
        "sendmmsg",
        "EISCONN",
        Unsent("errno_106"),
        Unsent("errno_106"),
    ),
    (
        "sendmmsg",
        "EMSGSIZE",
        Excused("too_large"),
        StaysExcused("too_large"),
    ),
    (
        "sendmmsg",
        "ENETDOWN",
        Unsent("interface_down"),
        Unsent("interface_down"),
    ),
    (
        "sendmmsg",
        "ENETUNREACH",
        Unsent("no_route"),
        Stays("no_route"),
    ),
    ("sendmmsg", "ENOBUFS", Again, Again),
    (
        "sendmmsg",
        "ENODEV",
        Unsent("no_interface"),
        Unsent("no_interface"),
    ),
    (
        "sendmmsg",
        "ENOMEM",
        Unsent("no_memory"),
        Unsent("no_memory"),
    ),
    (
        "sendmmsg",
        "ENOTCONN",
        Unsent("errno_107"),
        Unsent("errno_107"),
    ),
    ("sendmmsg", "ENOTSOCK", NO_SEND, NO_SEND),
    (
        "sendmmsg",
        "ENXIO",
        Unsent("no_interface"),
        Unsent("no_interface"),
    ),
    (
        "sendmmsg",
        "EOPNOTSUPP",
        Unsent("errno_95"),
        Stays("errno_95"),
    ),
    ("sendmmsg", "EPERM", Unsent("firewall"), Unsent("firewall")),
    ("sendmmsg", "EPIPE", Unsent("errno_32"), Unsent("errno_32")),
    ("sendmmsg", "EPROTO", Unsent("errno_71"), Stays("errno_71")),
    ("recvmmsg", "EAGAIN", Again, Again),
    ("recvmmsg", "EBADF", NO_RECEIVE, NO_RECEIVE),
    ("recvmmsg", "ECONNREFUSED", Passes, Passes),
    ("recvmmsg", "EFAULT", NO_RECEIVE, NO_RECEIVE),
    ("recvmmsg", "EHOSTUNREACH", Passes, Passes),
    ("recvmmsg", "EINTR", Again, Again),
    ("recvmmsg", "EINVAL", NO_RECEIVE, NO_RECEIVE),
    ("recvmmsg", "ENETDOWN", Passes, Passes),
    ("recvmmsg", "ENOBUFS", Passes, Passes),
    ("recvmmsg", "ENOMEM", Passes, Passes),
    ("recvmmsg", "ENOTCONN", Passes, Passes),
    ("recvmmsg", "ENOTSOCK", NO_RECEIVE, NO_RECEIVE),
    ("recvmmsg", "EPROTO", Passes, Passes),
    (
        "socket",
        "EACCES",
        Refused(
            "opening a raw socket for receiving was refused",
            "another rule forbids raw sockets",
        ),
        Refused(LOOK_UP, ""),
    ),
    (
        "socket",
        "EAFNOSUPPORT",
        Refused(RAW, "does not offer such sockets"),
        Refused(LOOK_UP, "does not offer such sockets"),
    ),
    ("socket", "EINVAL", Refused(RAW, ""), Refused(LOOK_UP, "")),
    (
        "socket",
        "EMFILE",
        Refused(RAW, "`ulimit -n"),
        Refused(LOOK_UP, "`ulimit -n"),
    ),
    (
        "socket",
        "ENFILE",
        Refused(RAW, "`sudo sysctl fs.file-max`"),
        Refused(LOOK_UP, "`sudo sysctl fs.file-max`"),
    ),
    (
        "socket",
        "ENOBUFS",
        Refused(RAW, "no memory"),
        Refused(LOOK_UP, "no memory"),
    ),
    (
        "socket",
        "ENOMEM",
        Refused(RAW, "no memory"),
        Refused(LOOK_UP, "no memory"),
    ),
    (
        "socket",
        "EPERM",
        Refused(
            "opening a raw socket for receiving was refused",
            "another rule forbids raw sockets",
        ),
        Refused(LOOK_UP, ""),
    ),
    (
        "socket",
        "EPROTONOSUPPORT",
        Refused(RAW, "does not offer such sockets"),
        Refused(LOOK_UP, "does not offer such sockets"),
    ),
    ("setsockopt", "EBADF", Refused(FILTER, ""), Refused(TOS, "")),
    ("setsockopt", "EDOM", Refused(FILTER, ""), Refused(TOS, "")),
    (
        "setsockopt",
        "EFAULT",
        Refused(FILTER, ""),
        Refused(TOS, ""),
    ),
    (
        "setsockopt",
        "EINVAL",
        Refused(FILTER, ""),
        Refused(TOS, ""),
    ),
    (
        "setsockopt",
        "ENOBUFS",
        Refused(FILTER, "no memory"),
        Refused(TOS, "no memory"),
    ),
    (
        "setsockopt",
        "ENOMEM",
        Refused(FILTER, "no memory"),
        Refused(TOS, "no memory"),
    ),
    (
        "setsockopt",
        "ENOPROTOOPT",
        Refused(FILTER, "does not know the option"),
        Refused(TOS, "does not know the option"),
    ),
    (
        "setsockopt",
        "ENOTSOCK",
        Refused(FILTER, ""),
        Refused(TOS, ""),
    ),
    ("setsockopt", "EPERM", Refused(FILTER, ""), Refused(TOS, "")),
    (
        "bind",
        "EACCES",
        Unannounced,
        Refused(TAKEN, "--source-port"),
    ),
    (
        "bind",
        "EADDRINUSE",
        Unannounced,
        Refused(TAKEN, "--source-port"),
    ),
    (
        "bind",
        "EADDRNOTAVAIL",
        Unannounced,
        Refused(TAKEN, "--source-port"),
    ),
    ("bind", "EBADF", Unannounced, Refused(PORT, "")),
    ("bind", "EFAULT", Unannounced, Refused(PORT, "")),
    (
        "bind",
        "EINVAL",
        Unannounced,
        Refused(TAKEN, "--source-port"),
    ),
    ("bind", "ENODEV", Unannounced, Refused(PORT, "")),
    ("bind", "ENOMEM", Unannounced, Refused(PORT, "no memory")),
    ("bind", "ENOTSOCK", Unannounced, Refused(PORT, "")),
];

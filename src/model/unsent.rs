//! Why a probe was not sent, or why a hop without a probe has no responder.

use std::borrow::Cow;
use std::str::FromStr;

use super::UnknownName;

/// The text of an errno is this and its number.
const ERRNO: &str = "errno_";

/// Declares [`UnsentReason`] from one list of its reasons with a name. [`UnsentReason::Errno`] comes last.
macro_rules! reasons {
    ($($(#[$about:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// Why a probe was not sent, or why the kernel refused it. In an inferred row: why the responder is not known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum UnsentReason {
            $($(#[$about])* $variant,)+
            /// Any other errno.
            Errno(i32),
        }

        impl UnsentReason {
            /// Every reason with a name, in the order of the enum: all but [`UnsentReason::Errno`].
            pub const NAMED: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The names of [`UnsentReason::NAMED`], in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The text of the `reason` column: a name, or `errno_` and a number.
            pub fn text(self) -> Cow<'static, str> {
                match self {
                    $(UnsentReason::$variant => $name.into(),)+
                    UnsentReason::Errno(errno) => format!("{ERRNO}{errno}").into(),
                }
            }
        }

        impl FromStr for UnsentReason {
            type Err = UnknownName;

            /// Parses what [`UnsentReason::text`] returns, and nothing else.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(UnsentReason::$variant),)+
                    _ => errno(text)
                        .ok_or_else(|| UnknownName::new("a reason", text, Self::NAMES)),
                }
            }
        }
    };
}

reasons! {
    /// ENETUNREACH: no route to the destination.
    NoRoute = "no_route",
    /// EHOSTUNREACH: a route that says unreachable, or no neighbour.
    HostUnreachable = "host_unreachable",
    /// EACCES: prohibited by a route, or a broadcast address.
    Prohibited = "prohibited",
    /// EINVAL: a blackhole route, or a field the kernel refuses.
    Invalid = "invalid",
    /// EMSGSIZE: larger than the interface takes.
    TooLarge = "too_large",
    /// EPERM: a local firewall rule.
    Firewall = "firewall",
    /// ENOBUFS for several seconds: the interface accepts no packets.
    QueueFull = "queue_full",
    /// ENODEV, ENXIO: the interface that the probe should leave by does not exist any more.
    NoInterface = "no_interface",
    /// ENETDOWN: the interface is down.
    InterfaceDown = "interface_down",
    /// ENOMEM: the kernel has no memory for the packet.
    NoMemory = "no_memory",
    /// No address of this host may be used towards the destination: it has none, or only link-local ones.
    NoSourceAddress = "no_source_address",
    /// ENOBUFS, in IPv6 EINVAL: the kernel's neighbour table has no room for the next hop.
    NeighbourTableFull = "neighbour_table_full",
    /// The socket's send buffer is full of packets to next hops whose hardware addresses are not known yet.
    NeighbourQueueFull = "neighbour_queue_full",
    /// More probes to the destination's prefix waited than its limit lets through in time.
    PrefixLimit = "prefix_limit",
    /// More probes with this TTL waited than the limit of routers near us lets through in time.
    NearHopLimit = "near_hop_limit",
    /// Skipped: a blocklist that changed during the run excludes the destination. Written by blocklists that are read again.
    Blocklisted = "blocklisted",
    /// Skipped: the run ended before the probe was sent. Written by interrupted runs.
    Interrupted = "interrupted",
    /// Skipped: its trace ended before the probe was sent. Written by strategies that withdraw probes.
    Stopped = "stopped",
    /// Inferred: the traces that pass there disagree. Written by strategies that infer hops.
    Ambiguous = "ambiguous",
}

/// Returns the errno that `text` names, if it names one as [`UnsentReason::text`] does.
fn errno(text: &str) -> Option<UnsentReason> {
    let errno = text.strip_prefix(ERRNO)?.parse().ok()?;
    let reason = UnsentReason::Errno(errno);
    (reason.text() == text).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back() {
        let errnos = [13, 0, i32::MIN, i32::MAX].map(UnsentReason::Errno);
        for reason in UnsentReason::NAMED.into_iter().chain(errnos) {
            assert_eq!(reason.text().parse(), Ok(reason));
        }
        assert_eq!("errno_13".parse(), Ok(UnsentReason::Errno(13)));
        let names = UnsentReason::NAMED.map(|reason| reason.text());
        assert_eq!(names, UnsentReason::NAMES);
        assert!(UnsentReason::NAMED.is_sorted());
        assert!(UnsentReason::Errno(i32::MIN) > UnsentReason::Ambiguous);
    }

    #[test]
    fn other_texts_are_no_reasons() {
        for text in [
            "",
            "errno_",
            "errno_+13",
            "errno_013",
            "errno_2147483648",
            "errno_x",
            "Firewall",
        ] {
            assert!(text.parse::<UnsentReason>().is_err(), "{text}");
        }
    }
}

//! The rows of the dataset, before they take a file format.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::{
    Anomalies, Evidence, FlowId, ProbeId, Protocol, ProtocolName, Purpose, Reply, ReplyKind,
    TargetId, Time, TraceId, Ttl,
};

/// How a probe ended. Every probe ends as exactly one of these in its row with `reply_index` 0;
/// rows with a higher `reply_index` are further replies to the same probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Answered within the timeout.
    Replied,
    /// Not answered.
    Timeout,
    /// Answered, but after the timeout.
    Late,
    /// A further reply to a probe that had one.
    Duplicate,
    /// The kernel refused to send it; see `reason`.
    SendError,
    /// Never handed to the kernel; see `reason`.
    Skipped,
    /// Not probed: copied from another trace.
    Inferred,
}

impl Status {
    /// Every status, in the order of the manifest.
    pub const ALL: [Status; 7] = [
        Status::Replied,
        Status::Timeout,
        Status::Late,
        Status::Duplicate,
        Status::SendError,
        Status::Skipped,
        Status::Inferred,
    ];

    /// Whether the kernel took a probe that ended so.
    pub const fn was_sent(self) -> bool {
        !matches!(self, Status::SendError | Status::Skipped | Status::Inferred)
    }

    /// The name in the `status` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Replied => "replied",
            Status::Timeout => "timeout",
            Status::Late => "late",
            Status::Duplicate => "duplicate",
            Status::SendError => "send_error",
            Status::Skipped => "skipped",
            Status::Inferred => "inferred",
        }
    }
}

/// Why a probe was not sent, or was refused by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnsentReason {
    /// ENETUNREACH: no route to the destination.
    NoRoute,
    /// EHOSTUNREACH: a route that says unreachable, or no neighbour.
    HostUnreachable,
    /// EACCES: prohibited by a route, or a broadcast address.
    Prohibited,
    /// EINVAL: a blackhole route, or a field the kernel refuses.
    Invalid,
    /// EMSGSIZE: larger than the interface takes.
    TooLarge,
    /// EPERM: a local firewall rule.
    Firewall,
    /// ENOBUFS for seconds on end: the interface takes nothing.
    QueueFull,
    /// None of our addresses may be used towards the destination: only link-local ones, or none at all.
    NoSourceAddress,
    /// ENOBUFS, with IPv6 EINVAL: the kernel's table of neighbours has no room for the next hop.
    NeighbourTableFull,
    /// Packets that wait for the hardware addresses of other next hops hold the socket's send buffer.
    NeighbourQueueFull,
    /// More probes to the destination's prefix waited than its limit lets through in time.
    PrefixLimit,
    /// More probes with this TTL waited than the limit of routers near us lets through in time.
    NearHopLimit,
    /// Any other errno.
    Errno(i32),
}

impl UnsentReason {
    /// The text of the `reason` column.
    pub fn text(self) -> std::borrow::Cow<'static, str> {
        match self {
            UnsentReason::NoRoute => "no_route".into(),
            UnsentReason::HostUnreachable => "host_unreachable".into(),
            UnsentReason::Prohibited => "prohibited".into(),
            UnsentReason::Invalid => "invalid".into(),
            UnsentReason::TooLarge => "too_large".into(),
            UnsentReason::Firewall => "firewall".into(),
            UnsentReason::QueueFull => "queue_full".into(),
            UnsentReason::NoSourceAddress => "no_source_address".into(),
            UnsentReason::NeighbourTableFull => "neighbour_table_full".into(),
            UnsentReason::NeighbourQueueFull => "neighbour_queue_full".into(),
            UnsentReason::PrefixLimit => "prefix_limit".into(),
            UnsentReason::NearHopLimit => "near_hop_limit".into(),
            UnsentReason::Errno(errno) => format!("errno_{errno}").into(),
        }
    }
}

/// One row of `hops`: a probe (`reply_index` 0) or a further reply to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopRecord {
    /// Joins `traces`.
    pub trace_id: TraceId,
    /// The probe's running number.
    pub probe_id: ProbeId,
    /// 0 for the probe's own row, 1… for further replies.
    pub reply_index: u16,
    /// The address probed.
    pub destination: IpAddr,
    /// Our address; absent where the kernel knew none (no route).
    pub source: Option<IpAddr>,
    /// The probe's protocol.
    pub protocol: ProtocolName,
    /// UDP or TCP source port.
    pub src_port: Option<u16>,
    /// UDP or TCP destination port.
    pub dst_port: Option<u16>,
    /// ICMP identifier.
    pub icmp_id: Option<u16>,
    /// IPv6 flow label.
    pub flow_label: Option<u32>,
    /// The flow.
    pub flow: FlowId,
    /// The round of a strategy that works in rounds; 0 in one that does not.
    pub round: u32,
    /// The TTL sent; absent for a reply that quotes nothing and may answer several.
    pub ttl: Option<Ttl>,
    /// From 1.
    pub attempt: u8,
    /// Why the probe was sent.
    pub purpose: Purpose,
    /// Size with the IP header, bytes.
    pub probe_size: u16,
    /// Type of service sent.
    pub probe_tos: u8,
    /// IP ID sent (IPv4).
    pub probe_ip_id: Option<u16>,
    /// Transport checksum sent.
    pub probe_checksum: Option<u16>,
    /// When the kernel took it.
    pub sent_at: Option<Time>,
    /// How it ended.
    pub status: Status,
    /// Why it was not sent.
    pub reason: Option<UnsentReason>,
    /// The reply, for `replied`, `late` and `duplicate`.
    pub reply: Option<Box<Reply>>,
    /// How sure the match is.
    pub evidence: Option<Evidence>,
    /// Round-trip time in µs: kernel receive stamp − send stamp.
    pub rtt_us: Option<i32>,
    /// What an inferred row was copied from.
    pub inferred: Option<Inferred>,
}

/// A hop as another trace showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// Who answers there. `None` if the traces that pass there disagree.
    pub responder: Option<IpAddr>,
    /// The trace that the hop was copied from.
    pub from: Option<TraceId>,
}

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The target answered, or another address repeated what only the probe holds.
    Completed,
    /// Another address than the target's said that the packet cannot be delivered, and neither the target nor a higher TTL
    /// answered; also a port unreachable from another address, which may be another interface of the target or a firewall.
    Unreachable,
    /// Too many silent TTLs in a row.
    GapLimit,
    /// An address came back at TTLs two or more apart, and as many TTLs as the gap limit behind it brought no new address.
    Loop,
    /// The highest TTL was reached.
    MaxTtl,
    /// The run was interrupted.
    Interrupted,
    /// The probes could not be sent.
    Error,
}

impl StopReason {
    /// The name in the `stop_reason` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            StopReason::Completed => "completed",
            StopReason::Unreachable => "unreachable",
            StopReason::GapLimit => "gap_limit",
            StopReason::Loop => "loop",
            StopReason::MaxTtl => "max_ttl",
            StopReason::Interrupted => "interrupted",
            StopReason::Error => "error",
        }
    }
}

/// One row of `traces`: what became of one (target, flow).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// Joins `hops`.
    pub trace_id: TraceId,
    /// The target; its text and labels are looked up when the row is written.
    pub target: TargetId,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow.
    pub flow: FlowId,
    /// When its first probe was asked for.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
    /// The lowest TTL probed by the trace.
    pub first_ttl: Option<Ttl>,
    /// The highest TTL probed hop by hop (the distance probe aside).
    pub max_ttl: Option<Ttl>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Whether the target answered, from whichever address, also in a further reply.
    pub reached: bool,
    /// The lowest TTL at which the target answered, where the TTL before it did not reach it.
    pub path_length: Option<Ttl>,
    /// TTLs probed hop by hop, up to the path's length where it is known, with a responder. Who called a probe too large is none,
    /// but where the path ends with that.
    pub hops_responding: u16,
    /// Probes that the kernel took.
    pub probes_sent: u32,
    /// Probes of the trace that were answered in time.
    pub replies: u32,
    /// The largest size that came through to the end of the path, where it was looked for, bytes.
    pub path_mtu: Option<u16>,
    /// Hash over (TTL, responder or null) from the first TTL to the last, with the same responders; see [`path_hash`].
    pub path_hash: Option<i64>,
    /// What its rows show out of the ordinary.
    pub anomalies: Anomalies,
}

/// Hashes a path, given as (TTL, responder or none) in TTL order, so that equal paths can be found by equality:
/// SipHash-1-3 with a zero key over the TTL byte, then the address family (0 for silence, 4, 6) and its bytes.
/// Stable over versions and machines.
pub fn path_hash(hops: impl IntoIterator<Item = (Ttl, Option<IpAddr>)>) -> i64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    for (ttl, responder) in hops {
        hasher.write(&[ttl.0]);
        match responder {
            None => hasher.write(&[0]),
            Some(IpAddr::V4(address)) => {
                hasher.write(&[4]);
                hasher.write(&address.octets());
            }
            Some(IpAddr::V6(address)) => {
                hasher.write(&[6]);
                hasher.write(&address.octets());
            }
        }
    }
    hasher.finish().cast_signed()
}

impl HopRecord {
    /// The address that answered, or that answers according to an inferred row.
    pub fn responder(&self) -> Option<IpAddr> {
        match &self.reply {
            Some(reply) => Some(reply.responder),
            None => self.inferred?.responder,
        }
    }

    /// What the answer says, if there is one.
    pub fn reply_kind(&self) -> Option<ReplyKind> {
        self.reply.as_ref().map(|reply| reply.kind)
    }

    /// Whether the answer proves that the probe reached the end of its path.
    pub fn is_arrival(&self) -> bool {
        let from_target = self.responder() == Some(self.destination);
        self.reply_kind()
            .is_some_and(|kind| kind.is_arrival(from_target))
    }

    /// Whether the answer is a complaint from the way: the packet was dropped for another reason than its TTL, and the responder
    /// is not the target.
    pub fn is_complaint(&self) -> bool {
        let complains = self.reply_kind().is_some_and(ReplyKind::is_complaint);
        complains && self.responder() != Some(self.destination)
    }

    /// Whether the answer is one that targets give, and its responder is another address than the one probed.
    pub fn is_from_other_address(&self) -> bool {
        let targets_give = self.reply_kind().is_some_and(|kind| {
            let closed = self.protocol == Protocol::Udp && kind == ReplyKind::PortUnreachable;
            kind.repeats_probe() || closed
        });
        targets_give && self.responder() != Some(self.destination)
    }
}

//! The rows of the dataset, independent of the file format.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::{
    Anomalies, Evidence, FlowId, ProbeId, Protocol, ProtocolName, Purpose, Reply, ReplyKind,
    TargetId, Time, TraceId, Ttl,
};

/// How a probe ended. Its row with `reply_index` 0 has exactly one status. Rows with a higher `reply_index` are further replies to the
/// same probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// A reply came within the timeout.
    Replied,
    /// No reply came.
    Timeout,
    /// A reply came, but after the timeout.
    Late,
    /// A further reply to a probe that already had one.
    Duplicate,
    /// The kernel refused to send it; see `reason`.
    SendError,
    /// Not given to the kernel; see `reason`.
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

/// Why a probe was not sent, or why the kernel refused it.
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
    /// ENOBUFS for several seconds: the interface accepts no packets.
    QueueFull,
    /// No address of this host may be used towards the destination: it has none, or only link-local ones.
    NoSourceAddress,
    /// ENOBUFS, in IPv6 EINVAL: the kernel's neighbour table has no room for the next hop.
    NeighbourTableFull,
    /// The socket's send buffer is full of packets to next hops whose hardware addresses are not known yet.
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
    /// The probe's running number. `None` in an inferred row, because no probe was sent. The key of an inferred row is
    /// (`trace_id`, `round`, `ttl`) with the status `inferred`. The key of every other row is (`probe_id`, `reply_index`).
    pub probe_id: Option<ProbeId>,
    /// 0 for the probe's own row, 1… for further replies.
    pub reply_index: u16,
    /// Whether this row stands for its TTL in the `path` of its trace. Exactly one row of each TTL of the path does, if the TTL
    /// has rows. `None` until the row is written, and in a run without traces.
    pub on_path: Option<bool>,
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
    /// The round, for strategies that work in rounds; otherwise 0.
    pub round: u32,
    /// The TTL sent. Absent for a reply without a quote that may answer several probes.
    pub ttl: Option<Ttl>,
    /// The attempt, from 1.
    pub attempt: u8,
    /// The purpose of the probe.
    pub purpose: Purpose,
    /// Size with the IP header in bytes.
    pub probe_size: u16,
    /// Type of service sent.
    pub probe_tos: u8,
    /// IP ID sent (IPv4).
    pub probe_ip_id: Option<u16>,
    /// Transport checksum sent.
    pub probe_checksum: Option<u16>,
    /// When the kernel accepted it.
    pub sent_at: Option<Time>,
    /// How it ended.
    pub status: Status,
    /// Why it was not sent.
    pub reason: Option<UnsentReason>,
    /// The reply, for `replied`, `late` and `duplicate`.
    pub reply: Option<Box<Reply>>,
    /// How certain the match is.
    pub evidence: Option<Evidence>,
    /// Round-trip time in µs: the kernel's receive timestamp minus the send timestamp.
    pub rtt_us: Option<i32>,
    /// The source of an inferred row. It is boxed because few rows have it, and every row would be 32 bytes larger.
    pub inferred: Option<Box<Inferred>>,
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
    /// The target answered, or another address sent a reply that repeats the probe's secrets.
    Completed,
    /// An address other than the target's reported that the packet cannot be delivered, and neither the target nor a higher TTL answered.
    /// This includes a port unreachable from another address, which may be another interface of the target or a firewall.
    Unreachable,
    /// Too many silent TTLs in a row.
    GapLimit,
    /// An address came back two or more TTLs later. Beyond it, as many TTLs as the gap limit brought no new address.
    Loop,
    /// The highest TTL was reached.
    MaxTtl,
    /// The run was interrupted.
    Interrupted,
    /// The probes were not sent.
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

/// One row of `traces`: the result of one (target, flow).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// Joins `hops`.
    pub trace_id: TraceId,
    /// The target. Its text and labels are added when the row is written.
    pub target: TargetId,
    /// The address probed.
    pub destination: IpAddr,
    /// The flow. `None` if the trace has several.
    pub flow: Option<FlowId>,
    /// When its first probe was asked for.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
    /// The lowest TTL probed by the trace.
    pub first_ttl: Option<Ttl>,
    /// The highest TTL probed hop by hop (without the distance probe).
    pub max_ttl: Option<Ttl>,
    /// The reason for the end.
    pub stop_reason: StopReason,
    /// Whether the target answered, from any address. A further reply counts as well.
    pub reached: bool,
    /// The lowest TTL at which the target answered, if the TTL before it did not reach the target.
    pub path_length: Option<Ttl>,
    /// Number of TTLs with a responder, among those probed hop by hop, up to the path's length if it is known. A router that reported a
    /// probe as too large does not count, unless the path ends with that report.
    pub hops_responding: u16,
    /// Probes that the kernel accepted.
    pub probes_sent: u32,
    /// Probes of the trace with a reply in time.
    pub replies: u32,
    /// The largest size in bytes that passed to the end of the path, if it was searched.
    pub path_mtu: Option<u16>,
    /// The responder of each TTL, or `None` for silence. Entry i is TTL `first_ttl` + i.
    ///
    /// - It ends at `path_length`. If that is not known, it ends at the last TTL that answered. Its last entry is a responder.
    /// - It is empty if hops were probed and no hop answered. It is `None` if no TTL was probed hop by hop.
    /// - An inferred hop was not probed by this trace. Its entry is `None`.
    pub path: Option<Vec<Option<IpAddr>>>,
    /// The last responder of `path`.
    pub last_responder: Option<IpAddr>,
    /// The TTL of `last_responder`.
    pub last_ttl: Option<Ttl>,
    /// The round-trip time to the target in µs.
    ///
    /// - If `path_length` is known and the target is the responder there, it is the round-trip time of that row of the path.
    /// - Otherwise it is the least round-trip time of all answers of the target. Answers to the distance probe and further
    ///   replies count as well.
    ///
    /// An answer of the target is one that sets `reached`, from any address. Replies that came after the trace was written do not
    /// count. `None` if the round-trip time of no such answer is known.
    pub target_rtt_us: Option<i32>,
    /// Hash over (TTL, responder or null) from the first TTL to the last, for the same responders; see [`path_hash`]. The TTLs
    /// are those of `path` that have a probe, and skipped TTLs before `first_ttl`.
    pub path_hash: Option<i64>,
    /// The anomalies in its rows.
    pub anomalies: Anomalies,
}

/// Hashes a path, given as (TTL, responder or `None`) in TTL order. Equal paths have equal hashes, over versions and machines.
///
/// The hash is SipHash-1-3 with a zero key. Its input per TTL is the TTL byte, the family (0 for silence, 4, 6) and the address bytes.
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
    /// The responder, if there is one. In an inferred row: the address that answers according to other traces.
    pub fn responder(&self) -> Option<IpAddr> {
        match &self.reply {
            Some(reply) => Some(reply.responder),
            None => self.inferred.as_ref()?.responder,
        }
    }

    /// The kind of the reply, if there is one.
    pub fn reply_kind(&self) -> Option<ReplyKind> {
        self.reply.as_ref().map(|reply| reply.kind)
    }

    /// Whether the reply proves that the probe reached the end of its path.
    pub fn is_arrival(&self) -> bool {
        let from_target = self.responder() == Some(self.destination);
        self.reply_kind()
            .is_some_and(|kind| kind.is_arrival(from_target))
    }

    /// Whether the reply is a complaint: the packet was dropped for another reason than its TTL, and the responder is not the target.
    pub fn is_complaint(&self) -> bool {
        let complains = self.reply_kind().is_some_and(ReplyKind::is_complaint);
        complains && self.responder() != Some(self.destination)
    }

    /// Whether the reply is of a kind that targets send, but comes from another address than the one probed.
    pub fn is_from_other_address(&self) -> bool {
        let targets_give = self.reply_kind().is_some_and(|kind| {
            let closed = self.protocol == Protocol::Udp && kind == ReplyKind::PortUnreachable;
            kind.repeats_probe() || closed
        });
        targets_give && self.responder() != Some(self.destination)
    }
}

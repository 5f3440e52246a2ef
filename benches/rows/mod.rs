//! Rows as a survey would write them, for the bench and the tests: 16 hops a trace, most of them answered.
//!
//! Whoever includes this file has `model` in scope.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::model::{
    Anomalies, Anomaly, Evidence, FlowId, HopRecord, MplsLabel, ProbeId, Protocol, Purpose,
    QuotedProbe, QuotedTransport, QuotedUdp, Reply, ReplyKind, Status, StopReason, TargetId,
    TargetInfo, Targets, Time, TraceId, TraceRecord, Ttl, path_hash,
};

/// Hops of every trace.
pub const HOPS: u8 = 16;
/// 2026-03-01T00:00:00Z.
pub const START: Time = Time::from_nanos(1_772_323_200_000_000_000);
/// Our address.
pub const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// Targets 198.18.0.0 on, with the labels `site` (every target) and `note` (every third one).
pub struct SampleTargets {
    names: Vec<String>,
}

impl SampleTargets {
    /// As many as there are numbers.
    pub fn new() -> Self {
        SampleTargets {
            names: vec!["site".to_owned(), "note".to_owned()],
        }
    }
}

impl Targets for SampleTargets {
    fn len(&self) -> u32 {
        u32::MAX
    }

    fn address(&self, id: TargetId) -> IpAddr {
        IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + id.0))
    }

    fn info(&self, id: TargetId) -> TargetInfo<'_> {
        TargetInfo {
            input: self.address(id).to_string().into(),
            labels: match id.0 % 4 {
                0 => Vec::new(),
                3 => vec![Some("fra \"1\""), Some("a, b\nc")],
                _ => vec![Some("ams"), None],
            },
        }
    }

    fn label_names(&self) -> &[String] {
        &self.names
    }
}

/// The rows of one trace, in TTL order. Equal arguments give equal rows.
pub fn trace(target: u32) -> (Vec<HopRecord>, TraceRecord) {
    let hops: Vec<HopRecord> = (1..=HOPS).map(|ttl| hop(target, ttl)).collect();
    let path = hops
        .iter()
        .filter_map(|row| Some((row.ttl?, row.responder())));
    let trace = TraceRecord {
        trace_id: TraceId(u64::from(target)),
        target: TargetId(target),
        destination: hops[0].destination,
        flow: Some(FlowId(0)),
        started_at: START + Duration::from_micros(u64::from(target) * 160),
        finished_at: START + Duration::from_micros(u64::from(target) * 160 + 400_000),
        first_ttl: Some(Ttl(1)),
        max_ttl: Some(Ttl(HOPS)),
        stop_reason: StopReason::Completed,
        reached: true,
        path_length: Some(Ttl(HOPS)),
        path_mtu: None,
        hops_responding: hops.iter().filter(|row| row.reply.is_some()).count() as u16,
        probes_sent: u32::from(HOPS),
        replies: hops.iter().filter(|row| row.reply.is_some()).count() as u32,
        path: Some(hops.iter().map(HopRecord::responder).collect()),
        last_responder: Some(hops[0].destination),
        last_ttl: Some(Ttl(HOPS)),
        target_rtt_us: hops.last().and_then(|row| row.rtt_us),
        path_hash: Some(path_hash(path)),
        anomalies: anomalies(&hops),
    };
    (hops, trace)
}

/// A silent hop is one; every fifth trace has a second.
fn anomalies(hops: &[HopRecord]) -> Anomalies {
    let silent = hops.iter().any(|row| row.reply.is_none());
    let tunnel = hops[0].trace_id.0.is_multiple_of(5);
    let both = [(Anomaly::SilentHop, silent), (Anomaly::MplsTunnel, tunnel)];
    both.into_iter()
        .filter_map(|(anomaly, shown)| shown.then_some(anomaly))
        .collect()
}

/// A fixed scrambling of numbers (the finaliser of MurmurHash3), so that fields look random and are not.
fn mix(number: u64) -> u64 {
    let mut number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number ^ (number >> 33)
}

fn hop(target: u32, ttl: u8) -> HopRecord {
    let number = u64::from(target) * u64::from(HOPS) + u64::from(ttl) - 1;
    let noise = mix(number);
    let destination = IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + target));
    let sent_at = START + Duration::from_micros(number * 10);
    let rtt = u64::from(ttl) * 1_900 + noise % 700;
    // One hop in ten is silent, never the target.
    let answered = ttl == HOPS || !noise.is_multiple_of(10);
    let at = (target, ttl);
    let (checksum, ip_id) = secrets(noise);
    let probe_size = 44 + u16::from(ttl);
    let received_at = sent_at + Duration::from_micros(rtt);
    let reply = answered.then(|| Box::new(reply(at, destination, noise, received_at)));
    HopRecord {
        trace_id: TraceId(u64::from(target)),
        probe_id: Some(ProbeId(number)),
        reply_index: 0,
        on_path: Some(true),
        destination,
        source: Some(SOURCE),
        protocol: Protocol::Udp.into(),
        src_port: Some(24_000),
        dst_port: Some(33_434),
        icmp_id: None,
        flow_label: None,
        flow: FlowId(0),
        round: 0,
        ttl: Some(Ttl(ttl)),
        attempt: 1,
        purpose: Purpose::Trace,
        probe_size,
        probe_tos: 0,
        probe_ip_id: Some(ip_id),
        probe_checksum: Some(checksum),
        sent_at: Some(sent_at),
        status: if answered {
            Status::Replied
        } else {
            Status::Timeout
        },
        reason: None,
        evidence: answered.then_some(Evidence::Full),
        rtt_us: answered.then_some(rtt as i32),
        reply,
        inferred: None,
    }
}

/// Checksum and IP ID of a probe.
fn secrets(noise: u64) -> (u16, u16) {
    ((noise >> 16) as u16, (noise >> 32) as u16 | 1)
}

fn reply((target, ttl): (u32, u8), destination: IpAddr, noise: u64, received_at: Time) -> Reply {
    let is_target = ttl == HOPS;
    let kind = match is_target {
        true => ReplyKind::PortUnreachable,
        false => ReplyKind::TimeExceeded,
    };
    Reply {
        icmp_type: Some(if is_target { 3 } else { 11 }),
        icmp_code: Some(if is_target { 3 } else { 0 }),
        ttl: Some(255 - ttl),
        tos: Some(0),
        size: Some(56),
        ip_id: Some((noise >> 24) as u16),
        destination: Some(SOURCE),
        quoted: Some(quoted(ttl, destination, noise)),
        mpls: match ttl {
            7 | 8 => vec![MplsLabel {
                label: 24_000 + u32::from(ttl),
                traffic_class: 0,
                bottom: true,
                ttl: 1,
            }],
            _ => Vec::new(),
        },
        ..Reply::bare(responder(target, ttl, destination), received_at, kind)
    }
}

fn quoted(ttl: u8, destination: IpAddr, noise: u64) -> QuotedProbe {
    let (checksum, ip_id) = secrets(noise);
    let probe_size = 44 + u16::from(ttl);
    let transport = QuotedTransport::Udp(QuotedUdp {
        src_port: Some(24_000),
        dst_port: Some(33_434),
        length: Some(probe_size - 20),
        checksum: Some(checksum),
        tag: None,
        serial: None,
    });
    QuotedProbe {
        source: Some(SOURCE),
        ttl: Some(1),
        tos: Some(0),
        ip_id: Some(ip_id),
        length: Some(probe_size.into()),
        quote_size: Some(28),
        ..QuotedProbe::bare(destination, 17, transport)
    }
}

/// The near hops are shared by all targets, the far ones by fewer and fewer.
fn responder(target: u32, ttl: u8, destination: IpAddr) -> IpAddr {
    match ttl {
        HOPS => destination,
        1..=4 => IpAddr::from([10, 0, 0, ttl]),
        _ => {
            let sharing = u32::from(HOPS - ttl) * 2;
            let router = mix(u64::from(target >> sharing) << 8 | u64::from(ttl)) as u32;
            IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 | router >> 8))
        }
    }
}

//! What the rows of a trace show out of the ordinary.
//!
//! A pure function of the rows and of where the path ends, so that the `anomalies` column says nothing that `hops` does not show.
//! *Answers* here are those with evidence `full` or `rewritten`, late and further replies included: what is weak may be somebody
//! else's, and creates no anomaly. The *path* is what was probed hop by hop (the distance probe aside) up to where it ends
//! ([`TraceEnd::last_ttl`]); where one TTL has several answers, loops and cycles go by the first attempt's. Who calls a probe too
//! large neither answers as the hop at the probe's TTL nor leaves it silent, unless the path ends with that ([`HopRows`]), and never
//! makes a loop or cycle; its quote and labels count as anybody's.
//!
//! | anomaly | when |
//! |---|---|
//! | `loop` | an address comes back two or more TTLs later, and no new address answers at a higher TTL |
//! | `cycle` | an address comes back two or more TTLs later, and a new address, or the end of the path, answers at a higher TTL |
//! | `zero_ttl_forwarding` | a Time Exceeded quotes TTL 0, and its responder answers at the next TTL too |
//! | `per_packet_balancing` | several responders at one TTL. Seen only where a TTL was answered more than once; a route that changed meanwhile looks the same |
//! | `nat` | quoted source address, source port or ICMP identifier are not what was sent; or they and the quoted destination are, but the checksum that covers the addresses is not, from some TTL to the last: a translator that restored one and not the other |
//! | `rewriting` | quoted destination address, destination port, IP ID (byte-swapped counts as a quoting error) or IPv6 flow label are not what was sent |
//! | `tos_rewritten` | the same of the type of service or traffic class; a congestion mark (RFC 3168) on a probe that allows it is none |
//! | `target_time_exceeded` | the target answers Time Exceeded |
//! | `rate_limited` | a TTL of the path with answers and timeouts, before one with an answer; loss looks the same |
//! | `silent_hop` | a TTL of the path with timeouts and no answer (not even a weak one), before one with an answer |
//! | `mpls_tunnel` | an answer carries labels (RFC 4950); or Time Exceeded of two routers, each seen at no lower TTL, quote TTLs over 1 that rise by 1 from one TTL to the next: only the label's TTL counts down |
//! | `other_address` | an echo reply, a TCP segment, a UDP datagram that repeats the probe, or a port unreachable to UDP comes from another address than the one probed |
//!
//! An address at two TTLs in a row is neither loop nor cycle: zero-TTL forwarding and boxes that answer for their hosts do that on
//! sound paths. A *new* address is one that answered at no lower TTL. What proves the end of the path, and complaints from the
//! way, come back nowhere. A trace that stopped as `loop` has `loop`, if strong answers made it stop; a completed one never has.
//!
//! Left out: replies that came after the trace was written, and what more than one trace would show (per-flow balancing).

use std::net::IpAddr;

use super::hop_rows::HopRows;
use crate::model::{
    Anomalies, Anomaly, Evidence, HopRecord, Protocol, QuotedProbe, Reply, ReplyKind, Status,
    TraceEnd, Ttl,
};
use crate::wire::checksum;

/// The anomalies of a trace; `rows` are all of its rows in the order of their TTLs and attempts, those without a TTL last.
pub fn find(rows: &[HopRecord], end: &TraceEnd) -> Anomalies {
    debug_assert!(rows.is_sorted_by_key(|row| (row.ttl.is_none(), row.ttl, row.attempt)));
    let mut found = Anomalies::default();
    for answer in rows.iter().filter_map(Answer::of) {
        answer.add_own(&mut found);
    }
    let hop_rows = HopRows::of(rows, end);
    let in_place = || rows.iter().filter(|row| hop_rows.is_in_place(row));
    if is_checksum_translated(in_place()) {
        found.insert(Anomaly::Nat);
    }
    let hops = path(rows, end, &hop_rows);
    add_recurrences(&hops, in_place, &mut found);
    for hop in &hops {
        add_responders(hop, &mut found);
    }
    for place in 1..hops.len() {
        add_neighbours(&hops[..place], &hops[place], &mut found);
    }
    let last_answer = hops.iter().rposition(|hop| hop.first().is_some());
    for hop in &hops[..last_answer.unwrap_or(0)] {
        add_silence(hop, &mut found);
    }
    found
}

/// A reply that is surely the trace's.
#[derive(Clone, Copy)]
struct Answer<'a> {
    row: &'a HopRecord,
    reply: &'a Reply,
}

impl<'a> Answer<'a> {
    fn of(row: &'a HopRecord) -> Option<Self> {
        let reply = row.reply.as_deref()?;
        (row.evidence > Some(Evidence::Weak)).then_some(Answer { row, reply })
    }

    fn quoted(&self) -> Option<&'a QuotedProbe> {
        self.reply.quoted.as_ref()
    }

    /// The TTL that a Time Exceeded quotes.
    fn expired_at(&self) -> Option<u8> {
        let expired = self.reply.kind == ReplyKind::TimeExceeded;
        self.quoted().filter(|_| expired)?.ttl
    }

    /// Adds what one answer shows by itself.
    fn add_own(&self, found: &mut Anomalies) {
        let reply = self.reply;
        if reply.kind == ReplyKind::TimeExceeded && reply.responder == self.row.destination {
            found.insert(Anomaly::TargetTimeExceeded);
        }
        if self.row.is_from_other_address() {
            found.insert(Anomaly::OtherAddress);
        }
        if !reply.mpls.is_empty() {
            found.insert(Anomaly::MplsTunnel);
        }
        let Some(quoted) = self.quoted() else {
            return;
        };
        if is_source_changed(self.row, quoted) {
            found.insert(Anomaly::Nat);
        }
        if is_destination_changed(self.row, quoted) || is_header_changed(self.row, quoted) {
            found.insert(Anomaly::Rewriting);
        }
        if quoted
            .tos
            .is_some_and(|tos| is_tos_changed(self.row.probe_tos, tos))
        {
            found.insert(Anomaly::TosRewritten);
        }
    }

    /// The quoted checksum minus the one sent, modulo 65535, where it covers the addresses and all of those and of the ports
    /// are quoted as sent.
    fn checksum_difference(&self) -> Option<u16> {
        let (row, quoted) = (self.row, self.quoted()?);
        let covers_addresses = row.protocol != Protocol::Icmp || row.destination.is_ipv6();
        if !covers_addresses
            || is_source_changed(row, quoted)
            || is_destination_changed(row, quoted)
        {
            return None;
        }
        // A quoted 0 is no checksum at all (RFC 768): nobody adjusts to it.
        let shown = quoted.checksum().filter(|shown| *shown != 0)?;
        Some(checksum::difference(row.probe_checksum?, shown))
    }
}

/// Whether both are known and differ.
fn differ<T: PartialEq>(sent: Option<T>, quoted: Option<T>) -> bool {
    matches!((sent, quoted), (Some(sent), Some(quoted)) if sent != quoted)
}

fn is_source_changed(row: &HopRecord, quoted: &QuotedProbe) -> bool {
    differ(row.source, quoted.source)
        || differ(row.src_port, quoted.src_port())
        || differ(row.icmp_id, quoted.icmp_id())
}

fn is_destination_changed(row: &HopRecord, quoted: &QuotedProbe) -> bool {
    row.destination != quoted.destination || differ(row.dst_port, quoted.dst_port())
}

fn is_header_changed(row: &HopRecord, quoted: &QuotedProbe) -> bool {
    let swapped = row.probe_ip_id.map(u16::swap_bytes);
    let ip_id = differ(row.probe_ip_id, quoted.ip_id) && swapped != quoted.ip_id;
    ip_id || differ(row.flow_label, quoted.flow_label)
}

/// Whether more was changed than a congestion mark sets.
fn is_tos_changed(sent: u8, quoted: u8) -> bool {
    const ECN: u8 = 0b11;
    let marked = matches!(sent & ECN, 1 | 2) && quoted == sent | ECN;
    sent != quoted && !marked
}

/// Whether checksums are changed although nothing that they cover is, in every answer from one that shows it on. A translator on
/// the way is in the way of all that lies behind it; a router that quotes wrongly stands alone.
fn is_checksum_translated<'a>(rows: impl Iterator<Item = &'a HopRecord>) -> bool {
    let mut differences = rows
        .filter_map(|row| Answer::of(row)?.checksum_difference())
        .skip_while(|difference| *difference == 0);
    differences.next().is_some() && differences.all(|difference| difference != 0)
}

/// The rows of one TTL of the path, the distance probe's among them at the maximum TTL.
struct Hop<'a> {
    ttl: Ttl,
    rows: &'a [HopRecord],
    hop_rows: &'a HopRows,
}

impl<'a> Hop<'a> {
    fn rows(&self) -> impl Iterator<Item = &'a HopRecord> + use<'a> {
        let hop_rows = self.hop_rows;
        self.rows.iter().filter(move |row| hop_rows.is_hop(row))
    }

    fn answers(&self) -> impl Iterator<Item = Answer<'a>> + use<'a> {
        self.rows().filter_map(Answer::of)
    }

    /// The first answer's responder.
    fn first(&self) -> Option<IpAddr> {
        self.answers().next().map(|answer| answer.reply.responder)
    }

    /// The same of those whose TTL ran out: who complains may well have answered before, and the end of the path is no way back.
    fn first_expired(&self) -> Option<IpAddr> {
        let on_the_way = |row: &HopRecord| !row.is_complaint() && !row.is_arrival();
        let mut answers = self.answers().filter(|answer| on_the_way(answer.row));
        answers.next().map(|answer| answer.reply.responder)
    }

    fn is_next_to(&self, next: &Hop) -> bool {
        self.ttl.0.checked_add(1) == Some(next.ttl.0)
    }
}

/// The path's TTLs, lowest first. One that was not probed is left out.
fn path<'a>(rows: &'a [HopRecord], end: &TraceEnd, hop_rows: &'a HopRows) -> Vec<Hop<'a>> {
    rows.chunk_by(|a, b| a.ttl == b.ttl)
        .filter_map(|rows| {
            let ttl = rows.first()?.ttl?;
            let is_path = Some(ttl) <= end.last_ttl && rows.iter().any(|row| hop_rows.is_hop(row));
            is_path.then_some(Hop {
                ttl,
                rows,
                hop_rows,
            })
        })
        .collect()
}

/// Adds loops and cycles.
fn add_recurrences<'a, R>(hops: &[Hop], rows: impl Fn() -> R, found: &mut Anomalies)
where
    R: Iterator<Item = &'a HopRecord>,
{
    let seen: Vec<(Ttl, IpAddr)> = hops
        .iter()
        .filter_map(|hop| Some((hop.ttl, hop.first_expired()?)))
        .collect();
    for (place, (ttl, address)) in seen.iter().enumerate() {
        let comes_back = seen[..place]
            .iter()
            .any(|(earlier, other)| other == address && earlier.0 + 2 <= ttl.0);
        if !comes_back {
            continue;
        }
        let is_known = |address| {
            let up_to = rows().filter(|row| row.ttl.is_some() && row.ttl <= Some(*ttl));
            let mut known = up_to.filter_map(Answer::of);
            known.any(|known| known.reply.responder == address)
        };
        let goes_on = rows()
            .filter(|row| row.ttl >= Some(*ttl))
            .filter_map(Answer::of)
            .any(|answer| {
                let is_new = answer.row.ttl > Some(*ttl) && !is_known(answer.reply.responder);
                is_new || answer.row.is_arrival()
            });
        found.insert(if goes_on {
            Anomaly::Cycle
        } else {
            Anomaly::Loop
        });
    }
}

fn add_responders(hop: &Hop, found: &mut Anomalies) {
    // A probe that a router complained of and passed on all the same was not balanced.
    let passed_on = |answer: &Answer| {
        let same = |other: &Answer| other.row.probe_id == answer.row.probe_id;
        let mut others = hop.answers().filter(same);
        answer.row.is_complaint() && others.any(|other| !other.row.is_complaint())
    };
    let mut responders = hop.answers().filter(|answer| !passed_on(answer));
    let first = responders.next().map(|answer| answer.reply.responder);
    if responders.any(|answer| Some(answer.reply.responder) != first) {
        found.insert(Anomaly::PerPacketBalancing);
    }
}

/// Adds what the last TTL of `before` and `next` show together.
fn add_neighbours(before: &[Hop], next: &Hop, found: &mut Anomalies) {
    let Some((hop, earlier)) = before.split_last() else {
        return;
    };
    if !hop.is_next_to(next) {
        return;
    }
    // One router that quotes rising TTLs answers for others.
    let is_new = |answer: &Answer, before: &[Hop]| {
        let responder = answer.reply.responder;
        let mut known = before.iter().flat_map(Hop::answers);
        known.all(|known| known.reply.responder != responder)
    };
    for answer in hop.answers() {
        match answer.expired_at() {
            Some(0) => {
                let responder = answer.reply.responder;
                if next
                    .answers()
                    .any(|again| again.reply.responder == responder)
                {
                    found.insert(Anomaly::ZeroTtlForwarding);
                }
            }
            Some(ttl @ 2..) => {
                let risen = ttl.checked_add(1);
                let rises = |later: &Answer| later.expired_at() == risen && is_new(later, before);
                if is_new(&answer, earlier) && next.answers().any(|later| rises(&later)) {
                    found.insert(Anomaly::MplsTunnel);
                }
            }
            _ => {}
        }
    }
}

/// Adds what the silences of a TTL say, where a later one answers.
fn add_silence(hop: &Hop, found: &mut Anomalies) {
    let silent = hop.rows().any(|row| row.status == Status::Timeout);
    if !silent {
        return;
    }
    if hop.answers().next().is_some() {
        found.insert(Anomaly::RateLimited);
    } else if hop.rows().all(|row| row.reply.is_none()) {
        found.insert(Anomaly::SilentHop);
    }
}

#[cfg(test)]
mod tests;

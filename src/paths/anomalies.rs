//! Finds the anomalies that the rows of a trace show.
//!
//! The result depends only on the rows and on the end of the path. The `anomalies` column therefore says nothing that `hops` does
//! not show. Terms:
//!
//! - An *answer* has the evidence `full` or `rewritten`. Late and further replies are answers too. Weak replies may be to other
//!   packets and cause no anomaly.
//! - The *path* is the TTLs that were probed hop by hop, up to its end ([`TraceEnd::last_ttl`]). The distance probe is no part of
//!   it. If a TTL has several answers, loops and cycles use the first one, in the order of attempts.
//! - An *arrival* is an answer that proves that the probe reached the end of the path. A *complaint* is an answer from a router
//!   that dropped the probe for another reason than its TTL.
//! - An answer that the probe was *too large* comes from no hop, unless the path ends with it ([`HopRows`]). It is then neither an
//!   answer nor a timeout of its TTL. It never makes a loop or cycle. Its quote and labels count as in any other answer.
//!
//! | anomaly | when |
//! |---|---|
//! | `loop` | an address returns two or more TTLs later, and the trace does not go on |
//! | `cycle` | an address returns two or more TTLs later, and the trace goes on |
//! | `zero_ttl_forwarding` | a Time Exceeded quotes TTL 0, and its responder also answers at the next TTL |
//! | `per_packet_balancing` | one TTL has several responders |
//! | `nat` | the quoted source address, source port or ICMP identifier is not as sent |
//! | `nat` | the quoted addresses and ports are as sent, but the checksum that covers them is not, in all answers from some TTL on |
//! | `rewriting` | the quoted destination address, destination port, IP ID or IPv6 flow label is not as sent |
//! | `tos_rewritten` | the quoted type of service or traffic class is not as sent |
//! | `target_time_exceeded` | the target answers Time Exceeded |
//! | `rate_limited` | a TTL of the path has answers and timeouts, and a later one has an answer |
//! | `silent_hop` | a TTL of the path has timeouts and no answer, not even a weak one, and a later one has an answer |
//! | `mpls_tunnel` | an answer carries labels (RFC 4950) |
//! | `mpls_tunnel` | two routers at consecutive TTLs send Time Exceeded with quoted TTLs over 1 that rise by 1 |
//! | `other_address` | an echo reply, a TCP segment, a UDP datagram that repeats the probe, or a port unreachable to UDP comes from another address than the one probed |
//!
//! Notes:
//!
//! - Loops and cycles: the trace goes on if an address that has not answered up to the TTL of the return answers at a higher TTL.
//!   It also goes on if there is an arrival at that TTL or a higher one.
//! - Loops and cycles: arrivals and complaints are never a return. An address at two consecutive TTLs is not a return either:
//!   zero-TTL forwarding, and middleboxes that answer for hosts, cause that on correct paths.
//! - A trace that stopped as `loop` has the anomaly `loop` if strong answers made it stop. A completed trace never has it.
//! - `per_packet_balancing` is seen only if a TTL was answered more than once. A route change during the trace looks the same.
//! - `nat` by checksum shows a translator that restored the quoted addresses but not the quoted checksum.
//! - `rewriting`: a byte-swapped IP ID is a quoting error and does not count.
//! - `tos_rewritten`: a congestion mark (RFC 3168) on a probe that allows it does not count.
//! - `rate_limited`: packet loss looks the same.
//! - `mpls_tunnel` by quoted TTLs: inside a tunnel only the TTL of the label is decremented. Each of the two routers must not have
//!   answered at a lower TTL.
//!
//! Left out: replies that arrived after the trace was written, and anomalies that need several traces (per-flow balancing).

use std::net::IpAddr;

use super::hop_rows::HopRows;
use crate::model::{
    Anomalies, Anomaly, Evidence, HopRecord, Protocol, QuotedProbe, Reply, ReplyKind, Status,
    TraceEnd, Ttl,
};
use crate::wire::checksum;

/// Returns the anomalies of a trace. `rows` are all of its rows, ordered by TTL and attempt, with rows without a TTL last.
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

/// Adds the anomalies that single answers show, in the rows of a trace of many flows, to those of its graph.
pub fn of_answers(rows: &[HopRecord], mut found: Anomalies) -> Anomalies {
    for answer in rows.iter().filter_map(Answer::of) {
        answer.add_own(&mut found);
    }
    found
}

/// A reply with strong evidence (`full` or `rewritten`), with its row.
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

    /// Adds the anomalies that one answer shows by itself.
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

    /// Returns the quoted checksum minus the one sent, modulo 65535. Returns `None` if the checksum does not cover the addresses, or
    /// if an address, a port or an identifier is not quoted as sent.
    fn checksum_difference(&self) -> Option<u16> {
        let (row, quoted) = (self.row, self.quoted()?);
        let covers_addresses = row.protocol != Protocol::Icmp || row.destination.is_ipv6();
        if !covers_addresses
            || is_source_changed(row, quoted)
            || is_destination_changed(row, quoted)
        {
            return None;
        }
        // A quoted 0 means that there is no checksum (RFC 768). No translator adjusts a checksum to 0.
        let shown = quoted.checksum().filter(|shown| *shown != 0)?;
        Some(checksum::difference(row.probe_checksum?, shown))
    }
}

/// Whether both values are known and differ.
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

/// Whether the type of service was changed in another way than by a congestion mark.
fn is_tos_changed(sent: u8, quoted: u8) -> bool {
    const ECN: u8 = 0b11;
    let marked = matches!(sent & ECN, 1 | 2) && quoted == sent | ECN;
    sent != quoted && !marked
}

/// Whether a translator changed the quoted checksums. From the first answer with a changed checksum on, every answer that shows
/// a checksum must show a changed one. A translator changes the quotes of all hops behind it. A router with a quoting error
/// affects only its own.
fn is_checksum_translated<'a>(rows: impl Iterator<Item = &'a HopRecord>) -> bool {
    let mut differences = rows
        .filter_map(|row| Answer::of(row)?.checksum_difference())
        .skip_while(|difference| *difference == 0);
    differences.next().is_some() && differences.all(|difference| difference != 0)
}

/// The rows of one TTL of the path. At the maximum TTL they include the row of the distance probe.
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

    /// The responder of the first answer.
    fn first(&self) -> Option<IpAddr> {
        self.answers().next().map(|answer| answer.reply.responder)
    }

    /// The responder of the first answer that is neither a complaint nor an arrival. These two are never a return: a router that
    /// complains may have answered at a lower TTL before, and an arrival ends the path.
    fn first_expired(&self) -> Option<IpAddr> {
        let on_the_way = |row: &HopRecord| !row.is_complaint() && !row.is_arrival();
        let mut answers = self.answers().filter(|answer| on_the_way(answer.row));
        answers.next().map(|answer| answer.reply.responder)
    }

    fn is_next_to(&self, next: &Hop) -> bool {
        self.ttl.0.checked_add(1) == Some(next.ttl.0)
    }
}

/// Returns the TTLs of the path, lowest first. TTLs that were not probed are left out.
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
    // If a router complained about a probe and still forwarded it, the two answers do not show balancing.
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

/// Adds the anomalies that the last TTL of `before` and `next` show together.
fn add_neighbours(before: &[Hop], next: &Hop, found: &mut Anomalies) {
    let Some((hop, earlier)) = before.split_last() else {
        return;
    };
    if !hop.is_next_to(next) {
        return;
    }
    // If one router answers at several TTLs with rising quoted TTLs, it answers for other hosts. That is no tunnel.
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

/// Adds the anomalies that the timeouts of a TTL show. Call it only if a later TTL has an answer.
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

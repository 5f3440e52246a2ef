//! Holds a dataset against the record of what its network did: every packet, every answer, and nothing else.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use pathsurvey::lab::{Delivery, Recorded};
use pathsurvey::model::Status;

use crate::rows::{Dataset, Hop, HopReply, Quoted};

use super::lab::Surveyed;

/// What tells the probes of a run apart: destination, source port, destination port, TTL, IP ID.
type Key = (Ipv4Addr, u16, u16, u8, u16);

/// A probe's row beside what happened to it.
pub struct Accounted<'a> {
    /// The probe's own row.
    pub own: &'a Hop,
    /// Rows of further replies, in their order.
    pub extra: Vec<&'a Hop>,
    /// What the network did with it.
    pub happened: &'a Recorded,
}

impl Surveyed {
    /// Joins every probe's rows with what happened to it, and checks that they say so. With it goes all that a survey must not
    /// do: lose a packet, or take one for something else.
    pub fn account(&self) -> Vec<Accounted<'_>> {
        let lab = self.end.lab.as_ref().unwrap();
        assert_eq!(
            (lab.refused, lab.overflowed, lab.waiting, lab.device_dropped),
            (0, 0, 0, Some(0)),
            "{lab:?}"
        );
        let accounted = account(&self.dataset, &self.log);
        nothing_lost(&self.dataset, &self.log);
        for probe in &accounted {
            probe.check(self.config.timeout.as_micros() as i32);
        }
        accounted
    }
}

/// Joins rows and packets, one to one.
pub fn account<'a>(dataset: &'a Dataset, log: &'a [Recorded]) -> Vec<Accounted<'a>> {
    let mut packets: HashMap<Key, &Recorded> = HashMap::new();
    for recorded in log {
        let key = key_of_packet(&recorded.packet);
        assert!(
            packets.insert(key, recorded).is_none(),
            "{key:?} was sent twice"
        );
    }
    let mut extra: HashMap<i64, Vec<&Hop>> = HashMap::new();
    for row in dataset.hops.iter().filter(|row| row.reply_index > 0) {
        extra.entry(row.probe_id).or_default().push(row);
    }
    let mut accounted = Vec::new();
    for own in dataset.probes().filter(|row| row.sent_at.is_some()) {
        let key = key_of_row(own);
        let happened = packets
            .remove(&key)
            .unwrap_or_else(|| panic!("no packet, or a second row, for {own:?}"));
        let mut extra = extra.remove(&own.probe_id).unwrap_or_default();
        extra.sort_by_key(|row| row.reply_index);
        accounted.push(Accounted {
            own,
            extra,
            happened,
        });
    }
    assert!(packets.is_empty(), "packets without a row: {packets:?}");
    assert!(extra.is_empty(), "replies to no probe: {extra:?}");
    accounted
}

/// The manifest counts what the rows are, and every answer was received, matched and written.
fn nothing_lost(dataset: &Dataset, log: &[Recorded]) {
    counts_agree(dataset);
    let answers: usize = log.iter().map(|recorded| recorded.deliveries.len()).sum();
    assert_eq!(dataset.count("/packets/received"), answers as u64);
    assert_eq!(dataset.count("/probes/sent"), log.len() as u64);
    let discarded = dataset.manifest["packets"]["discarded"]
        .as_object()
        .unwrap();
    assert!(
        discarded.values().all(|count| *count == 0),
        "{discarded:?} {}",
        dataset.manifest["run"]["discard_samples"]
    );
    assert_eq!(dataset.count("/kernel_drops/receive_buffer"), 0);
    assert_eq!(dataset.count("/kernel_drops/lab_device"), 0);
}

/// The manifest's counts are those of the rows.
pub fn counts_agree(dataset: &Dataset) {
    for status in Status::ALL {
        let status = status.as_str();
        let count = |own: bool| {
            let rows = dataset.hops.iter().filter(|row| row.status == status);
            rows.filter(|row| (row.reply_index == 0) == own).count() as u64
        };
        assert_eq!(
            dataset.count(&format!("/probes/by_status/{status}")),
            count(true),
            "{status}"
        );
        assert_eq!(
            dataset.count(&format!("/extra_replies/{status}")),
            count(false),
            "{status}"
        );
    }
    assert_eq!(
        dataset.count("/probes/total"),
        dataset.probes().count() as u64
    );
    assert_eq!(
        dataset.count("/tables/hops/rows"),
        dataset.hops.len() as u64
    );
    assert_eq!(
        dataset.count("/tables/traces/rows"),
        dataset.traces.len() as u64
    );
}

impl Accounted<'_> {
    /// What the network delivered, in the order of its arrival.
    pub fn deliveries(&self) -> Vec<&Delivery> {
        let mut deliveries: Vec<&Delivery> = self.happened.deliveries.iter().collect();
        deliveries.sort_by_key(|delivery| delivery.at);
        deliveries
    }

    /// Every delivery is one row, which says what its bytes say; a probe without any is a timeout.
    fn check(&self, timeout_us: i32) {
        let (own, happened) = (self.own, self.happened);
        let context = || format!("{own:?} and {:?} for {happened:?}", self.extra);
        let indices: Vec<i16> = self.extra.iter().map(|row| row.reply_index).collect();
        let numbers: Vec<i16> = (1..=self.extra.len() as i16).collect();
        assert_eq!(indices, numbers, "{}", context());
        let answered = own.status != "timeout";
        let rows: Vec<&Hop> = answered
            .then_some(own)
            .into_iter()
            .chain(self.extra.iter().copied())
            .collect();
        let deliveries = self.deliveries();
        assert_eq!(rows.len(), deliveries.len(), "{}", context());
        for (at, (row, delivery)) in rows.iter().zip(deliveries).enumerate() {
            assert_eq!(
                row.reply,
                Some(reply_of_packet(&delivery.packet)),
                "{}",
                context()
            );
            let fits = match (at, row.status.as_str(), row.rtt_us) {
                // The column is cut to whole microseconds: at exactly the timeout it may be either.
                (0, "late", Some(rtt_us)) => rtt_us >= timeout_us,
                (0, "replied", Some(rtt_us)) => rtt_us <= timeout_us,
                // Where the machine held the sender up within a batch, a reply may be there before the moment that its probe
                // is taken to have left: then there is no round trip to tell, and it was in time.
                (0, "replied", None) => row.received_at < row.sent_at,
                (0, ..) => false,
                (_, status, _) => status == "duplicate",
            };
            assert!(fits, "{}", context());
        }
        assert_eq!(own.probe_size as usize, happened.packet.len());
        assert_eq!(own.probe_checksum, Some(word(&happened.packet, 26)));
        assert_eq!(own.source, Some(address(&happened.packet, 12)));
        assert_eq!(own.reason, None);
    }
}

fn key_of_row(row: &Hop) -> Key {
    (
        row.destination,
        row.src_port,
        row.dst_port,
        row.ttl,
        row.probe_ip_id.unwrap(),
    )
}

fn key_of_packet(packet: &[u8]) -> Key {
    (
        address(packet, 16),
        word(packet, 20),
        word(packet, 22),
        packet[8],
        word(packet, 4),
    )
}

fn word(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

fn address(packet: &[u8], at: usize) -> Ipv4Addr {
    let bytes: [u8; 4] = packet[at..at + 4].try_into().unwrap();
    bytes.into()
}

/// What the columns must say of a delivered packet, read off its bytes: an IPv4 header without options, an ICMP error, and the
/// probe that it quotes (RFC 792, RFC 4884, RFC 4950).
fn reply_of_packet(packet: &[u8]) -> HopReply {
    let quote = &packet[28..];
    // RFC 4884: with extensions the quote's length is told, in words of 32 bits.
    let told = usize::from(packet[25]) * 4;
    let (quoted_bytes, mpls) = match told {
        0 => (quote.len(), Vec::new()),
        told => (told, labels(&quote[told..])),
    };
    let length = usize::from(word(quote, 2));
    // Behind the probe there is only padding; where the router took 8 bytes of it, from there on: its marks are no zeros.
    let whole = quoted_bytes.min(length);
    let size = match quote[28..whole].iter().any(|byte| *byte != 0) {
        true => whole,
        false => 28,
    };
    HopReply {
        responder: address(packet, 12),
        icmp_type: packet[20],
        icmp_code: packet[21],
        ttl: packet[8],
        tos: packet[1],
        size: i32::from(word(packet, 2)),
        ip_id: word(packet, 4),
        destination: address(packet, 16),
        quoted: Quoted {
            ttl: quote[8],
            tos: quote[1],
            ip_id: word(quote, 4),
            length: length as i32,
            checksum: word(quote, 26),
            src_port: word(quote, 20),
            dst_port: word(quote, 22),
            source: address(quote, 12),
            destination: address(quote, 16),
            size: size as i32,
        },
        mpls,
    }
}

/// The label stack of an extension structure that holds nothing else.
fn labels(extension: &[u8]) -> Vec<(u32, u8, bool, u8)> {
    assert_eq!((extension[0] >> 4, extension[6], extension[7]), (2, 1, 1));
    extension[8..]
        .chunks_exact(4)
        .map(|entry| {
            let entry = u32::from_be_bytes(entry.try_into().unwrap());
            (
                entry >> 12,
                (entry >> 9 & 7) as u8,
                entry >> 8 & 1 == 1,
                entry as u8,
            )
        })
        .collect()
}

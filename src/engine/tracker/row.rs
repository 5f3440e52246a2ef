//! The columns of a row that describe its probe.

use std::time::Duration;

use super::settling::{Live, Settler};
use crate::engine::ledger::Entry;
use crate::model::{HopRecord, Probe, ProbeId, Status, Time, UnsentReason};

impl Settler {
    /// Returns a row that describes the probe, without a reply.
    pub fn row(&self, id: ProbeId, entry: &Entry, status: Status) -> HopRecord {
        let sent = entry.marked();
        let with_headers = sent.filter(|_| self.format.quotes_with_headers);
        let six = entry.probe.destination.is_ipv6();
        HopRecord {
            probe_id: Some(id),
            source: entry.source,
            flow_label: with_headers.filter(|_| six).map(|sent| sent.flow_label),
            probe_ip_id: with_headers.filter(|_| !six).map(|sent| sent.serial),
            probe_checksum: sent.and_then(|sent| self.format.checksum(&sent)),
            sent_at: Some(entry.sent_at),
            ..self.row_without_probe(&entry.probe, status)
        }
    }

    /// Returns a row that describes a probe which no number was given to.
    #[inline]
    pub fn row_without_probe(&self, probe: &Probe, status: Status) -> HopRecord {
        let (format, number) = (&self.format, self.format.src_port(probe.flow));
        let ports = format.protocol.has_ports();
        HopRecord {
            trace_id: format.trace_id(probe.target, probe.flow),
            probe_id: None,
            reply_index: 0,
            on_path: None,
            destination: probe.destination,
            source: None,
            protocol: format.protocol.name(),
            src_port: ports.then_some(number),
            dst_port: ports.then(|| format.dst_port(probe.flow, probe.ttl)),
            icmp_id: (!ports).then_some(number),
            flow_label: None,
            flow: probe.flow,
            round: probe.round.into(),
            ttl: Some(probe.ttl),
            attempt: probe.attempt,
            purpose: probe.purpose,
            probe_size: format.size(probe.destination, probe.ttl, probe.size),
            probe_tos: format.tos,
            probe_ip_id: None,
            probe_checksum: None,
            sent_at: None,
            status,
            reason: None,
            reply: None,
            evidence: None,
            rtt_us: None,
            inferred: None,
        }
    }

    /// Returns the row of a probe that was not sent. It has no send time.
    pub fn unsent_row(
        &self,
        live: &Live<'_>,
        status: Status,
        reason: Option<UnsentReason>,
    ) -> HopRecord {
        let row = self.row(live.id, live.entry, status);
        HopRecord {
            reason,
            sent_at: None,
            ..row
        }
    }
}

/// Returns the receive timestamp minus the send timestamp, µs.
///
/// - Returns 0 if the reply has a timestamp up to 1 ms before that of its probe: some timestamps are that coarse.
/// - Returns `None` if the reply has an earlier timestamp than that, or if the result does not fit.
pub(super) fn rtt_us(sent_at: Time, received_at: Time) -> Option<i32> {
    if received_at + Duration::from_millis(1) < sent_at {
        return None;
    }
    i32::try_from(received_at.since(sent_at).as_micros()).ok()
}

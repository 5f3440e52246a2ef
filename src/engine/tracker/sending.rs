//! Probes that are about to be sent, sent, refused, skipped or inferred.

use std::net::IpAddr;

use super::settling::Live;
use super::{Settled, Tracker};
use crate::engine::core::Event;
use crate::engine::format::Marked;
use crate::engine::ledger::State;
use crate::model::{
    HopRecord, Inferred, InferredHop, Probe, ProbeId, Purpose, Status, Time, UnsentReason,
};
use crate::wire::token::MarkedFields;

impl Tracker {
    /// Prepares to enter `probes`: see [`Ledger::fetch`](crate::engine::ledger::Ledger::fetch).
    pub fn expect<'a>(&self, probes: impl Iterator<Item = &'a Probe>) {
        self.ledger.fetch(probes);
    }

    /// Enters a probe that is about to be sent, and draws its serial and marks. The probe is entered before the packet is sent,
    /// because a reply can arrive before the send call returns.
    pub fn enter(&mut self, probe: Probe, source: IpAddr, now: Time) -> (ProbeId, Marked) {
        let serial = self.draw_serial(&probe);
        let format = &self.settler.format;
        let drawn = self.tokens.marks(&MarkedFields {
            destination: probe.destination,
            src_port: format.src_port(probe.flow),
            dst_port: format.dst_port(probe.flow, probe.ttl),
            ttl: probe.ttl,
            serial,
            probe_id: self.ledger.next_id(),
        });
        let marked = Marked {
            source,
            destination: probe.destination,
            flow: probe.flow,
            ttl: probe.ttl,
            size: probe.size,
            serial,
            marks: format.marks(drawn, &self.tokens, probe.destination, probe.flow),
            flow_label: format.flow_label(probe.destination, probe.flow),
        };
        (self.ledger.add(probe, &marked, now), marked)
    }

    /// Enters a probe that cannot be sent, and ends it as a send error.
    pub fn enter_refused(
        &mut self,
        probe: Probe,
        reason: UnsentReason,
        now: Time,
        out: &mut Settled,
    ) {
        let id = self.ledger.add_unsent(probe, now);
        if let Some(entry) = self.ledger.get_mut(id) {
            self.settler.refused(Live { id, entry }, reason, out);
        }
    }

    /// Enters a probe that waited too long to be sent, and ends it as skipped.
    pub fn enter_skipped(
        &mut self,
        probe: Probe,
        reason: UnsentReason,
        now: Time,
        out: &mut Settled,
    ) {
        let id = self.ledger.add_unsent(probe, now);
        if let Some(entry) = self.ledger.get_mut(id) {
            self.settler.skipped(Live { id, entry }, reason, out);
        }
    }

    /// Ends a probe as skipped that was entered, and that is not handed to the kernel after all.
    pub fn skip(&mut self, id: ProbeId, reason: UnsentReason, out: &mut Settled) {
        if let Some(entry) = self.ledger.get_mut(id)
            && entry.state == State::Unstamped
        {
            entry.state = State::Refused;
            // It was prepared for nothing.
            entry.source = None;
            self.settler.skipped(Live { id, entry }, reason, out);
        }
    }

    /// Adds the row of a hop that is known without a probe. It takes no probe number.
    pub fn enter_inferred(&self, hop: &InferredHop, out: &mut Settled) {
        let probe = Probe {
            target: hop.target,
            destination: hop.destination,
            flow: hop.flow,
            ttl: hop.ttl,
            attempt: 1,
            purpose: Purpose::Trace,
            size: None,
            round: hop.round,
        };
        let reason = hop.responder.is_none().then_some(UnsentReason::Ambiguous);
        let inferred = Inferred {
            responder: hop.responder,
            from: hop.from,
        };
        out.events.push_back(Event::Row(HopRecord {
            inferred: Some(Box::new(inferred)),
            reason,
            ..self.settler.row_without_probe(&probe, Status::Inferred)
        }));
    }

    /// Records that the kernel accepted a probe at `sent_at`. If its reply arrived before the send call returned, the reply
    /// settles the probe now.
    pub fn stamp(&mut self, id: ProbeId, sent_at: Time, out: &mut Settled) {
        if let Some(entry) = self.ledger.get_mut(id)
            && entry.state == State::Unstamped
        {
            entry.sent_at = sent_at;
            entry.state = State::Waiting;
            self.settler.settle_held(&mut Live { id, entry }, out);
        }
    }

    /// Records that the kernel refused a probe, and ends it as a send error.
    pub fn refuse(&mut self, id: ProbeId, reason: UnsentReason, out: &mut Settled) {
        if let Some(entry) = self.ledger.get_mut(id)
            && entry.state == State::Unstamped
        {
            entry.state = State::Refused;
            self.settler.refused(Live { id, entry }, reason, out);
        }
    }

    /// Withdraws a probe for which the kernel has no room, and returns it. The caller enters it again later. Returns `None` if
    /// the probe is not waiting for the send call to return.
    pub fn withdraw(&mut self, id: ProbeId) -> Option<Probe> {
        let entry = self.ledger.get_mut(id)?;
        if entry.state != State::Unstamped {
            return None;
        }
        entry.state = State::Refused;
        let probe = entry.probe;
        self.settler.forget_all(&mut Live { id, entry });
        Some(probe)
    }

    /// Draws a serial that no live attempt with the same target, flow and TTL has. If the format does not show the TTL, no live
    /// probe of the flow has it.
    fn draw_serial(&mut self, probe: &Probe) -> u16 {
        loop {
            let serial = self.tokens.serial(self.drawn);
            self.drawn += 1;
            // If the format shows the TTL, the first attempt of the first round has no earlier one. The look-up would only cost
            // time.
            let ttl = self.format().shows_ttl().then_some(probe.ttl);
            let taken = (probe.attempt > 1 || probe.round > 0 || ttl.is_none())
                && self
                    .ledger
                    .with_facts(probe.destination, probe.flow, ttl)
                    .any(|(_, entry)| entry.serial == serial);
            if !taken {
                return serial;
            }
        }
    }
}

//! What the sender tells: probes that are about to be sent, sent, or refused.

use std::net::IpAddr;

use super::{Findings, Tracker};
use crate::engine::format::Marked;
use crate::engine::ledger::State;
use crate::model::{Probe, ProbeId, Time, UnsentReason};
use crate::wire::token::{Facts, TokenMaker};

impl Tracker {
    /// Prepares to enter `probes`: see [`Ledger::fetch`](crate::engine::ledger::Ledger::fetch).
    pub fn expect(&self, probes: &[Probe]) {
        self.ledger.fetch(probes);
    }

    /// Enters a probe that is about to be sent: draws its serial and marks. The entry stands before the packet leaves, because a
    /// reply can beat the return of the call that sends it.
    pub fn enter(&mut self, probe: Probe, source: IpAddr, now: Time) -> (ProbeId, Marked) {
        let serial = self.draw_serial(&probe);
        let drawn = self.tokens.marks(&Facts {
            destination: probe.destination,
            src_port: self.format.src_port(probe.flow),
            dst_port: self.format.dst_port(probe.ttl),
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
            marks: self
                .format
                .marks(drawn, &self.tokens, probe.destination, probe.flow),
            flow_label: match probe.destination {
                IpAddr::V4(_) => 0,
                IpAddr::V6(_) => TokenMaker::flow_label(probe.destination),
            },
        };
        (self.ledger.add(probe, &marked, now), marked)
    }

    /// Enters a probe for which there is no source address, and settles it as a send error.
    pub fn enter_refused(
        &mut self,
        probe: Probe,
        reason: UnsentReason,
        now: Time,
        out: &mut Findings,
    ) {
        let id = self.ledger.add_refused(probe, now);
        self.settle_refused(id, reason, out);
    }

    /// Notes that the kernel took a probe at `sent_at`.
    pub fn stamp(&mut self, id: ProbeId, sent_at: Time) {
        if let Some(entry) = self.ledger.get_mut(id)
            && entry.state == State::Unstamped
        {
            entry.sent_at = sent_at;
            entry.state = State::Waiting;
        }
    }

    /// Notes that the kernel refused a probe.
    pub fn refuse(&mut self, id: ProbeId, reason: UnsentReason, out: &mut Findings) {
        if let Some(entry) = self.ledger.get_mut(id)
            && entry.state == State::Unstamped
        {
            entry.state = State::Refused;
            self.settle_refused(id, reason, out);
        }
    }

    /// Takes a probe back that the kernel has no room for: it has not ended, and is to be entered again. `None` if it has ended.
    pub fn withdraw(&mut self, id: ProbeId) -> Option<Probe> {
        let entry = self.ledger.get_mut(id)?;
        if entry.state != State::Unstamped {
            return None;
        }
        entry.state = State::Refused;
        Some(entry.probe)
    }

    /// Draws serials until one is not that of a live attempt of the same target, flow and TTL.
    fn draw_serial(&mut self, probe: &Probe) -> u16 {
        loop {
            let serial = self.tokens.serial(self.drawn);
            self.drawn += 1;
            // A first attempt at a TTL that shows has no earlier one: looking it up would only cost a trip to memory.
            let ttl = self.format.shows_ttl().then_some(probe.ttl);
            let taken = (probe.attempt > 1 || ttl.is_none())
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

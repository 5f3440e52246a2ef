//! The engine over an in-process network, in virtual time: one thread, no clock, no socket.
//!
//! The same strategy, pacer, tracker and assembler as in a real run; time jumps from one event to the next. For the
//! same arguments everything is the same, down to the last row and stamp.

use std::time::Duration;

use crate::model::{Probe, Time, UnsentReason};
use crate::transport::{InProcessNetwork, PacketBatch};
use crate::wire::icmp;

use super::assembler::{Assembled, Assembler};
use super::dispatch::{Dispatcher, Next};
use super::report::Tally;
use super::sink::{RecordSink, SinkError};
use super::stop::Stop;
use super::tracker::{Findings, Tracker};

/// The sink is told of the time at least this often.
const TICK: Duration = Duration::from_millis(500);
/// Probes collected at a time.
const BATCH: usize = 64;

/// All that a run in virtual time consists of.
pub struct VirtualRun<'a> {
    /// What to send, and how fast.
    pub dispatcher: Dispatcher,
    /// Who follows it.
    pub tracker: Tracker,
    /// Who orders the rows.
    pub assembler: Assembler,
    /// Where it goes.
    pub network: &'a mut dyn InProcessNetwork,
    /// Where rows go.
    pub sink: &'a mut dyn RecordSink,
    /// When the run begins.
    pub start: Time,
    /// How long to listen after the last probe.
    pub cooldown: Duration,
    /// Set from outside to end early.
    pub stop: &'a Stop,
    /// Told of progress: probes sent, pairs completed.
    pub progress: &'a mut dyn FnMut(&Tally, u64),
}

impl VirtualRun<'_> {
    /// Runs to the end. Returns the figures and the time at which it ended.
    pub fn run(mut self) -> Result<(Tally, Time), SinkError> {
        let mut now = self.start;
        let mut next_tick = now + TICK;
        let mut tally = Tally::default();
        let mut findings = Findings::default();
        let mut records = Assembled::default();
        let mut probes = Vec::new();
        let mut batch = PacketBatch::default();
        let mut sending = true;
        loop {
            self.receive(now, &mut tally, &mut findings);
            self.tracker.advance(now, usize::MAX, &mut findings);
            self.settle(&mut findings, &mut records, now);
            let mut wake = None;
            if sending {
                let next = match self.stop.is_asked() {
                    true => Next::Done,
                    false => self.dispatcher.collect(now, BATCH, &mut probes),
                };
                match next {
                    Next::Send => {
                        self.send(&probes, &mut batch, now, &mut tally, &mut findings);
                        self.settle(&mut findings, &mut records, now);
                        continue;
                    }
                    Next::Wait(until) => wake = Some(until),
                    Next::AwaitOutcome => {}
                    Next::Done => sending = false,
                }
            }
            if !records.hops.is_empty() || !records.traces.is_empty() {
                self.sink.write(&mut records, now)?;
            }
            if now >= next_tick {
                self.fill(&mut tally);
                self.sink.tick(now, &tally)?;
                (self.progress)(&tally, self.dispatcher.completed());
                next_tick = now + TICK;
            }
            let quiet_at = tally.last_sent.map_or(now, |sent| sent + self.cooldown);
            if !sending && self.tracker.is_settled() && now >= quiet_at {
                break;
            }
            let events = [
                wake,
                self.network.next_arrival(),
                self.tracker.next_timeout(),
            ];
            let drained = (!sending && self.tracker.is_settled()).then_some(quiet_at);
            // A strategy that waits for an outcome while nothing is under way would wait for ever.
            let Some(next) = events.into_iter().flatten().chain(drained).min() else {
                break;
            };
            now = now.max(next);
        }
        self.dispatcher.interrupt(now);
        self.settle(&mut findings, &mut records, now);
        self.sink.write(&mut records, now)?;
        self.fill(&mut tally);
        (self.progress)(&tally, self.dispatcher.completed());
        Ok((tally, now))
    }

    fn receive(&mut self, now: Time, tally: &mut Tally, findings: &mut Findings) {
        while let Some((at, packet)) = self.network.receive(now) {
            let refused = match icmp::decode(&packet, at) {
                Ok(reply) => self.tracker.reply(Box::new(reply), findings),
                Err(reason) => Some(self.tracker.discard(reason)),
            };
            if let Some(reason) = refused {
                tally.discard_samples.offer(reason, at, &packet);
            }
        }
    }

    fn send(
        &mut self,
        probes: &[Probe],
        batch: &mut PacketBatch,
        now: Time,
        tally: &mut Tally,
        findings: &mut Findings,
    ) {
        let source = self.network.vantage();
        for probe in probes {
            if source.is_ipv4() != probe.destination.is_ipv4() {
                self.tracker
                    .enter_refused(*probe, UnsentReason::NoRoute, now, findings);
                continue;
            }
            let (id, marked) = self.tracker.enter(*probe, source, now);
            batch.clear();
            self.tracker.format().encode(&marked, batch);
            for (_, packet) in batch.iter_from(0) {
                self.network.send(packet, now);
            }
            self.tracker.stamp(id, now);
            tally.first_sent = tally.first_sent.or(Some(now));
            tally.last_sent = Some(now);
        }
    }

    /// Passes findings on: rows to the assembler, outcomes to the strategy, ended traces back to the assembler.
    fn settle(&mut self, findings: &mut Findings, records: &mut Assembled, now: Time) {
        for row in findings.rows.drain(..) {
            self.assembler.row(row, records);
        }
        self.dispatcher.observe(&findings.outcomes, now);
        findings.outcomes.clear();
        while let Some(end) = self.dispatcher.take_ended() {
            self.assembler.end(&end, records);
        }
    }

    fn fill(&self, tally: &mut Tally) {
        tally.statistics = self.assembler.statistics().clone();
        tally.statistics.merge(self.tracker.counts());
        (tally.traces_ended, tally.traces_reached) = self.assembler.traces();
        tally.nat_checksum_delta = self.tracker.nat_checksum_delta();
        // Virtual stamps are exact.
        tally.rtt_error_us_p99 = tally.first_sent.map(|_| 0);
    }
}

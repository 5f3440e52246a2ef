//! The engine over an in-process network, in virtual time: one thread, no clock, no socket.
//!
//! The same strategy, pacer, tracker and assembler as in a real run; time jumps from one event to the next. For the
//! same arguments everything is the same, down to the last row and stamp.

use std::time::Duration;

use crate::model::{Probe, Time, UnsentReason};
use crate::transport::{InProcessNetwork, PacketBatch};
use crate::wire::{self, Reassembler, Taken};

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

/// What a run leaves behind, however it ended.
pub struct VirtualEnd {
    /// The figures.
    pub tally: Tally,
    /// When it ended.
    pub ended_at: Time,
    /// What the sink could not do, if that ended the run.
    pub error: Option<SinkError>,
}

/// Where a run stands.
struct Course {
    now: Time,
    sending: bool,
    tally: Tally,
    findings: Findings,
    records: Assembled,
    fragments: Reassembler,
}

impl VirtualRun<'_> {
    /// Runs to the end.
    pub fn run(mut self) -> VirtualEnd {
        let mut course = Course {
            now: self.start,
            sending: true,
            tally: Tally::default(),
            findings: Findings::default(),
            records: Assembled::default(),
            fragments: Reassembler::default(),
        };
        let error = self.follow(&mut course).err();
        self.fill(&mut course.tally);
        (self.progress)(&course.tally, self.dispatcher.completed());
        VirtualEnd {
            tally: course.tally,
            ended_at: course.now,
            error,
        }
    }

    /// Goes from event to event until nothing is left to send or to hear.
    fn follow(&mut self, course: &mut Course) -> Result<(), SinkError> {
        let mut next_tick = course.now + TICK;
        let (mut probes, mut batch) = (Vec::new(), PacketBatch::default());
        loop {
            self.receive(course);
            self.tracker
                .advance(course.now, usize::MAX, &mut course.findings);
            self.settle(course);
            let mut wake = None;
            if course.sending {
                let next = match self.stop.is_asked() {
                    true => Next::Done,
                    false => self.dispatcher.collect(course.now, BATCH, &mut probes),
                };
                match next {
                    Next::Send => {
                        self.send(&probes, &mut batch, course);
                        self.settle(course);
                        continue;
                    }
                    Next::Wait(until) => wake = Some(until),
                    Next::AwaitOutcome => {}
                    Next::Done => course.sending = false,
                }
            }
            self.write(course)?;
            if course.now >= next_tick {
                self.fill(&mut course.tally);
                self.sink.tick(course.now, &course.tally)?;
                (self.progress)(&course.tally, self.dispatcher.completed());
                next_tick = course.now + TICK;
            }
            match self.next_event(wake, course) {
                Some(next) => course.now = course.now.max(next),
                None => break,
            }
        }
        course.fragments.give_up();
        self.count_dropped(course);
        self.dispatcher.interrupt(course.now);
        self.settle(course);
        self.write(course)
    }

    /// When something happens next; `None` when the run is over.
    fn next_event(&self, wake: Option<Time>, course: &Course) -> Option<Time> {
        let drained = !course.sending && self.tracker.is_settled();
        let quiet_at = course
            .tally
            .last_sent
            .map_or(course.now, |sent| sent + self.cooldown);
        if drained && course.now >= quiet_at {
            return None;
        }
        let events = [
            wake,
            self.network.next_arrival(),
            self.tracker.next_timeout(),
            drained.then_some(quiet_at),
        ];
        // A strategy that waits for an outcome while nothing is under way would wait for ever: that is the end, too.
        events.into_iter().flatten().min()
    }

    fn write(&mut self, course: &mut Course) -> Result<(), SinkError> {
        let records = &mut course.records;
        if records.hops.is_empty() && records.traces.is_empty() {
            return Ok(());
        }
        self.sink.write(records, course.now)
    }

    fn receive(&mut self, course: &mut Course) {
        while let Some((at, packet)) = self.network.receive(course.now) {
            if let Taken::Whole(whole) = course.fragments.take(&packet, at) {
                let refused = match wire::decode(whole, at) {
                    Ok(reply) => self.tracker.reply(Box::new(reply), &mut course.findings),
                    Err(reason) => Some(self.tracker.discard(reason)),
                };
                if let Some(reason) = refused {
                    course.tally.discard_samples.offer(reason, at, whole);
                }
            }
        }
        self.count_dropped(course);
    }

    /// Counts the fragments that became part of no packet.
    fn count_dropped(&mut self, course: &mut Course) {
        for fragment in course.fragments.take_dropped() {
            let reason = self.tracker.discard(fragment.reason);
            let samples = &mut course.tally.discard_samples;
            samples.offer(reason, fragment.at, &fragment.packet);
        }
    }

    fn send(&mut self, probes: &[Probe], batch: &mut PacketBatch, course: &mut Course) {
        let now = course.now;
        for probe in probes {
            let Some(source) = self.network.source_for(probe.destination) else {
                let out = &mut course.findings;
                self.tracker
                    .enter_refused(*probe, UnsentReason::NoRoute, now, out);
                continue;
            };
            let (id, marked) = self.tracker.enter(*probe, source, now);
            batch.clear();
            self.tracker.format().encode(&marked, batch);
            for (_, packet) in batch.iter_from(0) {
                self.network.send(packet, now);
            }
            self.tracker.stamp(id, now);
            course.tally.first_sent = course.tally.first_sent.or(Some(now));
            course.tally.last_sent = Some(now);
        }
    }

    /// Passes findings on: rows to the assembler, outcomes to the strategy, ended traces back to the assembler.
    fn settle(&mut self, course: &mut Course) {
        let Course {
            now,
            findings,
            records,
            ..
        } = course;
        for row in findings.rows.drain(..) {
            self.assembler.row(row, records);
        }
        self.dispatcher.observe(&findings.outcomes, *now);
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
